"""Speech and other short sounds: folders and zips of wav files, as images of their log-mel spectrograms.

A spectrogram is judged as an image is, by a classifier that is trained on the spectrograms (`metrics.images`); what is shown is
also heard, through Griffin-Lim (`spectral.py`).
"""

import io
import re
import wave
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np

from gan_jax import spectral
from gan_jax.data import Source, Split, images
from gan_jax.data.locate import locate
from gan_jax.errors import InputError

BANDS = 64
HELD_OUT = 0.1
HEARD = 10  # sounds that come with a picture
NAMED = re.compile(r"(\w+)_(\w+)_(\d+)")  # of a file: what is said, who says it, for which time
TAKES = 5  # of each speaker and word: the first ones are held out


def audio(data_dir: str | None = None, *, path: str | None = None, rate: int = 8_000, length: int = 8_192) -> Source:
    """Clips of `length` samples at `rate` a second, brought to a peak of 1, padded with silence or cut, as log-mel spectrograms
    [length / 128, 64, 1] in about [-1, 1].

    `path` is a folder or a zip of wav files. Where all are called WORD_SPEAKER_NUMBER.wav, as those of the Free Spoken Digit
    Dataset, words are classes, and numbers below 5 are held out, which is its official split; else sub-folders are classes, if
    there are any, and a tenth is held out. Null is tones of our own making. Raises InputError for a file that is no wav, is not
    of that rate, or a set too small.
    """
    for name, value, least in (("rate", rate, 1_000), ("length", length, 8 * spectral.HOP)):
        if type(value) is not int or value < least:
            raise InputError(f"data audio: {name} must be a whole number of at least {least}, got {value!r}")
    if length % spectral.HOP:
        raise InputError(f"data audio: length must be a multiple of {spectral.HOP}, got {length}")
    if path is None:
        clips, names = _tones(rate, length)
    else:
        names, clips = zip(*_clips(locate(path, data_dir), rate, length), strict=True)
    label, held, classes = _labels(list(names))
    if min(held.sum(), (~held).sum()) < 10:
        raise InputError(f"data audio: {path} has too few clips: {(~held).sum()} to train on, {held.sum()} held out")
    blocks = np.array_split(np.stack(clips), max(1, len(clips) // 500))
    stored = np.concatenate([np.asarray(spectral.log_mel(block, rate, BANDS)) for block in blocks])[..., None]

    def split(rows: np.ndarray) -> Split:
        return Split(stored[rows], None if label is None else label[rows])

    return Source(
        train=split(~held),
        test=split(held),
        num_classes=classes,
        to_float=_as_stored,
        show=partial(_show, rate),
        pack=lambda samples: {"log_mel": samples, "waves": np.asarray(_heard(samples, rate))},
        evaluator=images.evaluator,
    )


def _as_stored(spectrograms):
    return spectrograms


def _clips(path: Path, rate: int, length: int) -> Iterator[tuple[str, np.ndarray]]:
    """(path inside the folder or zip, clip [length]) of each wav file, by name."""
    for name, read in _files(path):
        try:
            with wave.open(io.BytesIO(read())) as file:
                if file.getsampwidth() != 2:
                    raise InputError(f"data audio: {name} in {path} has {8 * file.getsampwidth()} bits a sample, not 16")
                found, channels = file.getframerate(), file.getnchannels()
                samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").reshape(-1, channels).mean(axis=1)
        except (wave.Error, EOFError, OSError, ValueError, zipfile.BadZipFile) as error:
            raise InputError(f"data audio: {name} in {path} cannot be read as wav: {error}") from error
        if found != rate:
            raise InputError(f"data audio: {name} in {path} has {found} samples a second: set rate={found}, or convert it")
        clip = np.zeros(length, np.float32)
        clip[: len(samples)] = samples[:length]
        yield name, clip / max(1e-6, np.abs(clip).max())


def _files(path: Path) -> list[tuple[str, Callable[[], bytes]]]:
    """The wav files in a folder or zip: (path in it, its content)."""
    if path.is_dir():
        found = sorted(file for file in path.rglob("*") if file.suffix.lower() == ".wav" and file.is_file())
        files = [(str(file.relative_to(path)), file.read_bytes) for file in found]
    else:
        try:
            archive = zipfile.ZipFile(path)
        except (OSError, zipfile.BadZipFile) as error:
            raise InputError(f"data audio: {path} is neither a folder nor a zip of wav files: {error}") from error
        names = sorted(name for name in archive.namelist() if name.lower().endswith(".wav"))
        files = [(name, partial(archive.read, name)) for name in names]
    if not files:
        raise InputError(f"data audio: there is no wav file in {path}")
    return files


def _labels(names: list[str]) -> tuple[np.ndarray | None, np.ndarray, int]:
    """-> (classes [N] or None, which are held out [N], how many classes)."""
    paths = [Path(name) for name in names]
    takes = [NAMED.fullmatch(path.stem) for path in paths]
    if all(takes):
        words = [take[1] for take in takes]
        held = np.array([int(take[3]) < TAKES for take in takes])
    else:
        folders = {path.parent for path in paths}
        words = [path.parent.name for path in paths] if len(folders) > 1 else []
        # RandomState's stream never changes (NEP 19).
        held = np.random.RandomState(0).permutation(len(paths)) < round(HELD_OUT * len(paths))
    known = sorted(set(words))
    return (np.array([known.index(word) for word in words], np.int32) if words else None), held, len(known)


def _tones(rate: int, length: int) -> tuple[list[np.ndarray], list[str]]:
    """Chirps that rise, fall or stay, each of many pitches."""
    random, time = np.random.RandomState(0), np.arange(length) / rate
    clips, names = [], []
    for number in range(250):
        for word, change in (("falls", 0.5), ("rises", 2.0), ("stays", 1.0)):
            pitch, last = rate * random.uniform(0.04, 0.1), time[-1] * random.uniform(0.5, 0.9)
            share = np.minimum(time / last, 1)
            phase = 2 * np.pi * np.cumsum(pitch * change**share) / rate
            clips.append(np.float32(np.sin(phase) * np.sin(np.pi * share)))
            names.append(f"{word}/{number}")
    return clips, names


def _heard(samples: np.ndarray, rate: int) -> np.ndarray:
    """Spectrograms [N, F, BANDS, 1] -> sounds [N, T] with a peak of 1."""
    sounds = np.asarray(spectral.from_log_mel(jnp.asarray(samples)[..., 0], rate))
    return sounds / np.maximum(1e-6, np.abs(sounds).max(axis=-1, keepdims=True))


def _show(rate: int, samples: np.ndarray) -> dict[str, bytes]:
    """A grid of spectrograms, low tones at the bottom and time to the right, and what the first ones sound like, one by one."""
    upright = np.asarray(samples).swapaxes(1, 2)[:, ::-1]
    sounds = _heard(samples[:HEARD], rate)
    return images.show(upright) | {f"-{number}.wav": _wav(sound, rate) for number, sound in enumerate(sounds)}


def _wav(sound: np.ndarray, rate: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes())
    return out.getvalue()
