"""Recordings in folders and zips as clips of one length, and which of them are held out."""

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
NAMED = re.compile(r"(\w+)_(\w+)_(\d+)")  # file names: word, speaker, number of the take
TAKES = 5  # number of held-out takes of each speaker and word: the first ones
LOUDEST = 32_767  # largest stored value


Sounds = Iterable[tuple[str, np.ndarray, int | None]]  # (name, samples [T], rate; None if it is the requested one)


def clips(path: Path, rate: int, length: int, whole: bool) -> tuple[list[str], np.ndarray, list[str] | None]:
    """-> (paths of the clips within the folder or zip; clips int16 [N, length]; names listed as held out, if there is a list).
    `whole` cuts long recordings into several clips."""
    files, test_names = _files(path)
    return *_cut(_sounds(path, files), str(path), rate, length, whole), test_names


def prepared(
    name: str, data_dir: str | None, rate: int, length: int, whole: bool
) -> tuple[list[str], np.ndarray, list[str] | None]:
    """The same for a data set prepared by tensorflow-datasets, NAME or NAME/CONFIG, whose test split, or else validation split,
    is held out."""
    names, clips = _cut(tfds.sounds(name, data_dir), f"tfds:{name}", rate, length, whole)
    splits = [[name for name in names if Path(name).name.startswith(f"{split}-")] for split in ("test", "validation")]
    return names, clips, splits[0] or splits[1] or None


def _cut(sounds: Sounds, where: str, rate: int, length: int, whole: bool) -> tuple[list[str], np.ndarray]:
    names, clips = [], []
    for name, samples, sound_rate in sounds:
        if sound_rate not in (None, rate):
            problem = f"{name} in {where} has {sound_rate} samples a second"
            raise InputError(f"data audio: {problem}: set rate={sound_rate}, or convert it")
        count = max(1, round(len(samples) / length)) if whole else 1
        padded = np.zeros(count * length, np.float32)
        padded[: len(samples)] = samples[: count * length]
        clips.append(np.int16(np.rint(padded / max(1e-6, np.abs(padded).max()) * LOUDEST)).reshape(count, length))
        names += [name] * count
    return names, np.concatenate(clips)


def _sounds(path: Path, files: list[tuple[str, Callable[[], bytes]]]) -> Sounds:
    for name, read in files:
        try:
            yield name, *_decoded(read())
        except InputError as error:
            raise InputError(f"data audio: {name} in {path} {error}") from error
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"data audio: {name} in {path} cannot be read: {error}") from error


def _files(path: Path) -> tuple[list[tuple[str, Callable[[], bytes]]], list[str] | None]:
    """The sounds in a folder or zip as (path within it, function that reads it), and the names in its testing_list.txt."""
    if path.is_dir():
        readers = {str(file.relative_to(path)): file.read_bytes for file in path.rglob("*") if file.is_file()}
    else:
        try:
            archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"data audio: {path} is neither a folder nor a zip of wav files: {error}") from error
        readers = {name: partial(archive.read, name) for name in archive.namelist()}
    # Folders with a leading underscore are not classes: _background_noise_ in Speech Commands.
    files = [(name, readers[name]) for name in sorted(readers) if name.lower().endswith(SUFFIXES) and name[0] != "_"]
    if not files:
        raise InputError(f"data audio: there is no wav file in {path}")
    test_names = readers["testing_list.txt"]().decode().split() if "testing_list.txt" in readers else None
    return files, test_names


def _decoded(content: bytes) -> tuple[np.ndarray, int]:
    """-> (samples [T], the mean of the channels; their rate). Raises InputError for content that is not a sound."""
    try:
        with wave.open(io.BytesIO(content)) as file:
            if file.getsampwidth() == 2:
                samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, file.getnchannels())
                return samples.mean(axis=1), file.getframerate()
    except (wave.Error, EOFError, ValueError):
        pass  # perhaps another format
    try:
        import soundfile
    except ImportError as error:
        raise InputError("is not a 16-bit wav file; to read other formats: pip install 'gan_jax[audio]'") from error
    try:
        samples, rate = soundfile.read(io.BytesIO(content), always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise InputError(f"cannot be read as a sound: {error}") from error
    return samples.mean(axis=1), rate


def labels(names: list[str], test_names: list[str] | None) -> tuple[np.ndarray | None, np.ndarray, list[str]]:
    """-> (classes [N] or None, which clips are held out [N], names of the classes)."""
    paths = [Path(name) for name in names]
    takes = [NAMED.fullmatch(path.stem) for path in paths]
    if all(takes):
        words = [take[1] for take in takes]
        held = np.array([int(take[3]) < TAKES for take in takes])
    else:
        folders = {path.parent for path in paths}
        words = [path.parent.name for path in paths] if len(folders) > 1 else []
        files = sorted(set(names))  # all clips of a file belong to one split
        # RandomState's stream never changes (NEP 19).
        drawn = np.random.RandomState(0).permutation(len(files)) < round(HELD_OUT * len(files))
        test_files = set(test_names) if test_names else {file for file, out in zip(files, drawn, strict=True) if out}
        held = np.array([name in test_files for name in names])
    classes = sorted(set(words))
    return (np.array([classes.index(word) for word in words], np.int32) if words else None), held, classes


def tones(rate: int, length: int) -> tuple[list[str], np.ndarray, None]:
    """Synthetic chirps that rise, fall or stay, at many pitches."""
    random, time = np.random.RandomState(0), np.arange(length) / rate
    waves, names = [], []
    for number in range(250):
        for word, change in (("falls", 0.5), ("rises", 2.0), ("stays", 1.0)):
            pitch, last = rate * random.uniform(0.04, 0.1), time[-1] * random.uniform(0.5, 0.9)
            progress = np.minimum(time / last, 1)
            phase = 2 * np.pi * np.cumsum(pitch * change**progress) / rate
            waves.append(np.int16(LOUDEST * np.sin(phase) * np.sin(np.pi * progress)))
            names.append(f"{word}/{number}")
    return names, np.stack(waves), None
