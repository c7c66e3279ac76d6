"""Recordings: what folders and zips of sounds hold, as clips of one length, and which of them are held out."""

import io
import re
import wave
import zipfile
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import numpy as np

from gan_jax.data import tfds
from gan_jax.errors import InputError

SUFFIXES = (".wav", ".flac", ".ogg")
HELD_OUT = 0.1
NAMED = re.compile(r"(\w+)_(\w+)_(\d+)")  # of a file: what is said, who says it, for which time
TAKES = 5  # of each speaker and word: the first ones are held out
LOUDEST = 32_767  # of a clip as it is stored


Sounds = Iterable[tuple[str, np.ndarray, int | None]]  # (name, samples [T], how many a second; None for what is asked for)


def clips(path: Path, rate: int, length: int, whole: bool) -> tuple[list[str], np.ndarray, list[str] | None]:
    """-> (the path of each clip inside the folder or zip, by name; the clips int16 [N, length]; the names that are listed as
    held out, where there is a list)."""
    files, listed = _files(path)
    return *_cut(_sounds(path, files), str(path), rate, length, whole), listed


def prepared(
    name: str, data_dir: str | None, rate: int, length: int, whole: bool
) -> tuple[list[str], np.ndarray, list[str] | None]:
    """The same of a set that tensorflow-datasets prepared, NAME or NAME/CONFIG, whose test split is held out, or else its
    validation split."""
    names, found = _cut(tfds.sounds(name, data_dir), f"tfds:{name}", rate, length, whole)
    splits = [[one for one in names if Path(one).name.startswith(f"{split}-")] for split in ("test", "validation")]
    return names, found, splits[0] or splits[1] or None


def _cut(sounds: Sounds, where: str, rate: int, length: int, whole: bool) -> tuple[list[str], np.ndarray]:
    names, found = [], []
    for name, samples, per_second in sounds:
        if per_second not in (None, rate):
            many = f"{name} in {where} has {per_second} samples a second"
            raise InputError(f"data audio: {many}: set rate={per_second}, or convert it")
        count = max(1, round(len(samples) / length)) if whole else 1
        kept = np.zeros(count * length, np.float32)
        kept[: len(samples)] = samples[: count * length]
        found.append(np.int16(np.rint(kept / max(1e-6, np.abs(kept).max()) * LOUDEST)).reshape(count, length))
        names += [name] * count
    return names, np.concatenate(found)


def _sounds(path: Path, files: list[tuple[str, Callable[[], bytes]]]) -> Sounds:
    for name, read in files:
        try:
            yield name, *_decoded(read())
        except InputError as error:
            raise InputError(f"data audio: {name} in {path} {error}") from error
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"data audio: {name} in {path} cannot be read: {error}") from error


def _files(path: Path) -> tuple[list[tuple[str, Callable[[], bytes]]], list[str] | None]:
    """The sounds in a folder or zip, (path in it, its content); and what its testing_list.txt lists."""
    if path.is_dir():
        found = {str(file.relative_to(path)): file.read_bytes for file in path.rglob("*") if file.is_file()}
    else:
        try:
            archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"data audio: {path} is neither a folder nor a zip of wav files: {error}") from error
        found = {name: partial(archive.read, name) for name in archive.namelist()}
    # Folders with a line before their name are no class: _background_noise_ of Speech Commands.
    files = [(name, found[name]) for name in sorted(found) if name.lower().endswith(SUFFIXES) and name[0] != "_"]
    if not files:
        raise InputError(f"data audio: there is no wav file in {path}")
    listed = found["testing_list.txt"]().decode().split() if "testing_list.txt" in found else None
    return files, listed


def _decoded(content: bytes) -> tuple[np.ndarray, int]:
    """-> (samples [T], how many a second), the mean of its channels. Raises InputError for what is no sound."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            if file.getsampwidth() == 2:
                samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
                return samples.mean(axis=1), file.getframerate()
    except (wave.Error, EOFError, ValueError):
        pass  # of another kind, perhaps
    try:
        import soundfile
    except ImportError as error:
        raise InputError("is no wav of 16 bits a sample; others are read by: pip install 'gan_jax[audio]'") from error
    try:
        samples, rate = soundfile.read(io.BytesIO(content), always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise InputError(f"cannot be read as a sound: {error}") from error
    return samples.mean(axis=1), rate


def labels(names: list[str], listed: list[str] | None) -> tuple[np.ndarray | None, np.ndarray, list[str]]:
    """-> (classes [N] or None, which are held out [N], what the classes are called)."""
    paths = [Path(name) for name in names]
    takes = [NAMED.fullmatch(path.stem) for path in paths]
    if all(takes):
        words = [take[1] for take in takes]
        held = np.array([int(take[3]) < TAKES for take in takes])
    else:
        folders = {path.parent for path in paths}
        words = [path.parent.name for path in paths] if len(folders) > 1 else []
        files = sorted(set(names))  # of which all clips are on one side
        # RandomState's stream never changes (NEP 19).
        drawn = np.random.RandomState(0).permutation(len(files)) < round(HELD_OUT * len(files))
        kept = set(listed) if listed else {file for file, out in zip(files, drawn, strict=True) if out}
        held = np.array([name in kept for name in names])
    known = sorted(set(words))
    return (np.array([known.index(word) for word in words], np.int32) if words else None), held, known


def tones(rate: int, length: int) -> tuple[list[str], np.ndarray, None]:
    """Chirps that rise, fall or stay, each of many pitches."""
    random, time = np.random.RandomState(0), np.arange(length) / rate
    found, names = [], []
    for number in range(250):
        for word, change in (("falls", 0.5), ("rises", 2.0), ("stays", 1.0)):
            pitch, last = rate * random.uniform(0.04, 0.1), time[-1] * random.uniform(0.5, 0.9)
            share = np.minimum(time / last, 1)
            phase = 2 * np.pi * np.cumsum(pitch * change**share) / rate
            found.append(np.int16(LOUDEST * np.sin(phase) * np.sin(np.pi * share)))
            names.append(f"{word}/{number}")
    return names, np.stack(found), None
