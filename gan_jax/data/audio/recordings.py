"""Read recordings from folders and zips as clips of equal length, and choose which of them are held out."""

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
HELD_OUT = 0.1  # fraction of the files
FILE_NAME = re.compile(r"(\w+)_(\w+)_(\d+)")  # word, speaker, number of the take
HELD_OUT_TAKES = 5  # the first takes of each speaker and word are held out
INT16_MAX = 32_767

Sounds = Iterable[tuple[str, np.ndarray, int | None]]  # (name, samples [T], rate in Hz; None if unknown)


def clips(path: Path, rate: int, length: int, cut: bool) -> tuple[list[str], np.ndarray, list[str] | None]:
    """Read a folder or zip. Return (the path of each clip's recording within it; the clips, int16 [N, length]; the names listed
    as held out, None if there is no such list). `cut` cuts long recordings into several clips instead of truncating them."""
    files, test_names = _files(path)
    return *_clips(_sounds(path, files), str(path), rate, length, cut), test_names


def prepared(
    name: str, data_dir: str | None, rate: int, length: int, cut: bool
) -> tuple[list[str], np.ndarray, list[str] | None]:
    """Read a data set prepared by tensorflow-datasets, NAME or NAME/CONFIG; the result is that of `clips`. Its test split, or
    else its validation split, is held out."""
    names, samples = _clips(tfds.sounds(name, data_dir), f"tfds:{name}", rate, length, cut)
    splits = [[path for path in names if Path(path).name.startswith(f"{split}-")] for split in ("test", "validation")]
    return names, samples, splits[0] or splits[1] or None


def _clips(sounds: Sounds, where: str, rate: int, length: int, cut: bool) -> tuple[list[str], np.ndarray]:
    names, clips = [], []
    for name, samples, sound_rate in sounds:
        if sound_rate not in (None, rate):
            raise InputError(
                f"data audio: {name} in {where} has {sound_rate} samples per second: set rate={sound_rate}, or convert it"
            )
        count = max(1, round(len(samples) / length)) if cut else 1
        padded = np.zeros(count * length, np.float32)
        padded[: len(samples)] = samples[: count * length]
        clips.append(np.int16(np.rint(padded / max(1e-6, np.abs(padded).max()) * INT16_MAX)).reshape(count, length))
        names += [name] * count
    return names, np.concatenate(clips)


def _sounds(path: Path, files: list[tuple[str, Callable[[], bytes]]]) -> Sounds:
    for name, read in files:
        try:
            yield name, *_decode(read())
        except InputError as error:
            raise InputError(f"data audio: {name} in {path} {error}") from error
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"data audio: {name} in {path} cannot be read: {error}") from error


def _files(path: Path) -> tuple[list[tuple[str, Callable[[], bytes]]], list[str] | None]:
    """Return the sounds in a folder or zip as (path within it, function that reads its content), and the names in its
    testing_list.txt, or None if there is no such file."""
    if path.is_dir():
        readers = {str(file.relative_to(path)): file.read_bytes for file in path.rglob("*") if file.is_file()}
    else:
        try:
            archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"data audio: {path} is neither a folder nor a zip of sound files: {error}") from error
        readers = {name: partial(archive.read, name) for name in archive.namelist()}
    # Folders with a leading underscore are not classes: _background_noise_ in Speech Commands.
    files = [(name, readers[name]) for name in sorted(readers) if name.lower().endswith(SUFFIXES) and name[0] != "_"]
    if not files:
        raise InputError(f"data audio: there is no wav, flac or ogg file in {path}")
    test_names = readers["testing_list.txt"]().decode().split() if "testing_list.txt" in readers else None
    return files, test_names


def _decode(content: bytes) -> tuple[np.ndarray, int]:
    """Return (samples [T], averaged over channels; their rate in Hz). Raises InputError for content that is not a sound."""
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
    """Return (classes [N], None if there are none; which clips are held out, bool [N]; names of the classes)."""
    paths = [Path(name) for name in names]
    takes = [FILE_NAME.fullmatch(path.stem) for path in paths]
    if all(takes):
        words = [take[1] for take in takes]
        held_out = np.array([int(take[3]) < HELD_OUT_TAKES for take in takes])
    else:
        folders = {path.parent for path in paths}
        words = [path.parent.name for path in paths] if len(folders) > 1 else []
        files = sorted(set(names))  # all clips of a file belong to one split
        # RandomState's stream never changes (NEP 19).
        selected = np.random.RandomState(0).permutation(len(files)) < round(HELD_OUT * len(files))
        test_files = (
            set(test_names) if test_names else {file for file, is_selected in zip(files, selected, strict=True) if is_selected}
        )
        held_out = np.array([name in test_files for name in names])
    classes = sorted(set(words))
    return (np.array([classes.index(word) for word in words], np.int32) if words else None), held_out, classes


def tones(rate: int, length: int) -> tuple[list[str], np.ndarray, None]:
    """Generate chirps of random pitch that fall, rise or stay constant; the result is that of `clips`."""
    random, time = np.random.RandomState(0), np.arange(length) / rate
    waves, names = [], []
    for number in range(250):
        for word, change in (("falls", 0.5), ("rises", 2.0), ("stays", 1.0)):
            pitch, duration = rate * random.uniform(0.04, 0.1), time[-1] * random.uniform(0.5, 0.9)
            progress = np.minimum(time / duration, 1)
            phase = 2 * np.pi * np.cumsum(pitch * change**progress) / rate
            waves.append(np.int16(INT16_MAX * np.sin(phase) * np.sin(np.pi * progress)))
            names.append(f"{word}/{number}")
    return names, np.stack(waves), None
