"""Read generated recordings that any program wrote, by the rate, length and spectrogram of the real ones."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from gan_jax.data.audio import layout, sound_files
from gan_jax.data.audio.decoding import Sound
from gan_jax.data.audio.mel import Mel
from gan_jax.data.audio.recordings import ClipFormat, of_files, read_clips
from gan_jax.data.reading import counted, listed
from gan_jax.errors import InputError


class Fakes(NamedTuple):
    """Generated recordings."""

    count: int  # valid or not
    valid: float  # fraction that could be read
    names: list[str]  # of the recording of each clip
    waves: np.ndarray | None  # int16 [N, T]; None if spectrograms are given
    log_mel: np.ndarray | None  # float32 [N, F, bands, 1], from an .npz
    label: np.ndarray | None  # [N, ...]: classes of the real data, or the spectrograms from which a vocoder generated
    notes: tuple[str, ...]


def read_fakes(path: Path, form: ClipFormat, mel: Mel | None, classes: tuple[str, ...]) -> Fakes:
    """Read a folder or zip of sounds, or an .npz with `waves` [N, T] as sample.py writes it; with `mel`, rather its `log_mel`,
    if there is one. Recordings that cannot be read are invalid. The labels are those in the .npz, or else what `layout` finds,
    if these are all `classes` of the real data.

    Raises InputError as `recordings.read_clips` does, and if no recording is valid."""
    form = form._replace(drop_damaged=True)
    if path.suffix == ".npz":
        return _npz(path, form, mel)
    files = sound_files.find(path)
    clips = read_clips(of_files(files, files.sounds), form, f"in {path}")
    label, notes, used = None, (), set()
    if classes:
        try:
            plan = layout.understand(files, None, needed=True)
            used = set(plan.used)
            label, notes = _labels(plan.words.by_name or {}, clips.names, classes)
        except InputError as error:
            notes = (f"no labels: {error}",)
    valid = len(set(clips.names))
    dropped = counted(valid, len(files.sounds), "recordings", {reason: len(bad) for reason, bad in clips.damaged.items()})
    notes = (*dropped, *clips.notes, *notes, *files.passed_over(used))
    return Fakes(len(files.sounds), valid / len(files.sounds), clips.names, clips.waves, None, label, notes)


def _labels(words: dict[str, str], names: list[str], classes: tuple[str, ...]) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Return the number of each recording's class among those of the real data, and a note."""
    if not words:
        return None, ("no labels: folders, tables and file names state no classes",)
    unknown = sorted({words.get(name, "none") for name in names} - set(classes))
    if unknown:
        return None, (f"no labels: {listed(unknown)} are no classes of the real data, {listed(classes)}",)
    return np.array([classes.index(words[name]) for name in names], np.int32), ("labels are those of the files",)


def _npz(path: Path, form: ClipFormat, mel: Mel | None) -> Fakes:
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files if name in ("waves", "log_mel", "label")}
            others = sorted(set(archive.files) - set(arrays))
    except Exception as error:  # not a zip, object arrays, a damaged member: each raises its own
        raise InputError(f"data audio: {path} cannot be read as an .npz: {error}") from error
    label = arrays.get("label")
    if mel is not None and "log_mel" in arrays:
        spectrograms = np.asarray(arrays["log_mel"], np.float32)
        shape = (form.length // mel.hop, mel.bands, 1)
        if spectrograms.shape[1:] != shape:
            raise InputError(f"data audio: log_mel in {path} must be [N, {shape[0]}, {shape[1]}, 1], got {spectrograms.shape}")
        finite = np.isfinite(spectrograms).all(axis=(1, 2, 3))
        if not finite.any():
            raise InputError(f"data audio: log_mel in {path} has no finite spectrogram")
        notes = counted(finite.sum(), len(finite), "spectrograms", {"with NaN or infinite values": (~finite).sum()})
        label = None if label is None else label[finite]
        return Fakes(len(finite), float(finite.mean()), [], None, spectrograms[finite], label, notes)
    if "waves" not in arrays:
        raise InputError(f"data audio: {path} has no array `waves` [N, T], only {listed(others) or 'others'}")
    waves = arrays["waves"]
    if waves.ndim not in (2, 3) or waves.shape[2:] not in ((), (1,)) or waves.dtype.kind not in "fi" or not len(waves):
        raise InputError(f"data audio: waves in {path} must be numbers [N, T], got {waves.dtype} {waves.shape}")
    sounds = [(str(row), lambda wave=wave: Sound(wave.reshape(-1, 1), None)) for row, wave in enumerate(waves)]
    clips = read_clips(sounds, form._replace(cut=False), f"in {path}")
    rows = [int(name) for name in clips.names]
    notes = counted(len(rows), len(waves), "recordings", {reason: len(bad) for reason, bad in clips.damaged.items()})
    label = None if label is None else label[rows]
    return Fakes(len(waves), len(rows) / len(waves), clips.names, clips.waves, None, label, (*notes, *clips.notes))
