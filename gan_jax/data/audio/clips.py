"""Speech and other short sounds, from folders and zips of wav files: as images of their log-mel spectrograms, as waves, or as
waves to be made of their spectrograms, which is a vocoder's task.

A spectrogram is judged as an image is, by a classifier that is trained on the spectrograms (`metrics.images`), and so is a
wave, by its own. A vocoder is judged against the clip whose spectrogram it was given (`metrics.audio`), beside Griffin-Lim
(`spectral.py`), which is also how spectrograms are heard.
"""

import io
import wave
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache, partial
from typing import NamedTuple

import jax
import numpy as np

from gan_jax import spectrogram
from gan_jax.data.audio import recordings
from gan_jax.data.audio.recordings import LOUDEST
from gan_jax.data.dataset import Data, Measure, Protocol, Source, Split
from gan_jax.data.images import pixels
from gan_jax.data.images.metrics import QUICK
from gan_jax.data.paths import locate
from gan_jax.errors import InputError, unknown
from gan_jax.metrics import audio as distances
from gan_jax.metrics.jackknife import with_errors

FORMS = ("mel", "wave", "vocoder")
HEARD = 10  # sounds that come with a picture


class _Mel(NamedTuple):
    """How spectrograms are taken."""

    rate: int
    bands: int
    fft: int
    hop: int

    def of(self, waves: np.ndarray) -> np.ndarray:
        """[N, T], as floats or as stored -> log-mel spectrograms [N, F, bands]"""
        take = jax.jit(partial(spectrogram.log_mel, rate=self.rate, bands=self.bands, fft=self.fft, hop=self.hop))
        return _in_blocks(lambda x: take(_as_wave(x) if x.dtype == np.int16 else x), waves)

    def heard(self, spectrograms: np.ndarray) -> np.ndarray:
        """[N, F, bands] -> sounds [N, T], by Griffin-Lim"""
        return _in_blocks(lambda x: spectrogram.from_log_mel(x, self.rate, fft=self.fft, hop=self.hop), spectrograms)


def audio(
    data_dir: str | None = None,
    *,
    path: str | None = None,
    form: str = "mel",
    rate: int = 8_000,
    length: int = 8_192,
    bands: int = 64,
    fft: int = spectrogram.FFT,
    hop: int = spectrogram.HOP,
) -> Source:
    """Clips of `length` samples at `rate` a second, brought to a peak of 1, padded with silence or cut. By `form` they are

    mel: log-mel spectrograms [length / hop, bands, 1] in about [-1, 1];
    wave: [length, 1] in [-1, 1];
    vocoder: the same waves, whose labels are their spectrograms, [length / hop * bands]. Recordings that are longer than
    `length` are cut into as many clips as they are long for.

    `path` is a folder or a zip of wav files; 16-bit ones are read as they are, others, flac and ogg by soundfile. Where all are
    called WORD_SPEAKER_NUMBER.wav, as those of the Free Spoken Digit Dataset, words are classes, and numbers below 5 are held
    out, which is its official split; else sub-folders are classes, if there are any, and a tenth of the files is held out, or
    those that a testing_list.txt beside them names, as in Speech Commands. Or it is `tfds:speech_commands`, `tfds:ljspeech` or
    another set of sounds that tensorflow-datasets prepared, which is read without TensorFlow. Null is tones of our own making.
    Raises InputError for a file that is no sound, is not of that rate, or a set too small.
    """
    if form not in FORMS:
        raise unknown("form of data audio", form, FORMS)
    least = {"rate": (rate, 1_000), "length": (length, 1), "bands": (bands, 1), "fft": (fft, 4), "hop": (hop, 2)}
    for name, (value, at_least) in least.items():
        if type(value) is not int or value < at_least:
            raise InputError(f"data audio: {name} must be a whole number of at least {at_least}, got {value!r}")
    if fft % hop or fft % 2:
        raise InputError(f"data audio: fft must be even and a multiple of hop, {hop}, got {fft}")
    if length % hop or length < max(fft, 8 * hop):
        raise InputError(f"data audio: length must be a multiple of {hop}, at least {max(fft, 8 * hop)}, got {length}")
    mel = _Mel(rate, bands, fft, hop)
    whole = form == "vocoder"
    if path is None:
        names, clips, listed = recordings.tones(rate, length)
    elif path.startswith("tfds:"):
        names, clips, listed = recordings.prepared(path.removeprefix("tfds:"), data_dir, rate, length, whole)
    else:
        names, clips, listed = recordings.clips(locate(path, data_dir), rate, length, whole)
    label, held, words = recordings.labels(names, listed)
    if min(held.sum(), (~held).sum()) < 10:
        raise InputError(
            f"data audio: {path} has too few clips: {(~held).sum()} to train on, {held.sum()} held out, 10 of each are needed"
        )
    if form == "mel":
        stored = mel.of(clips)[..., None]
        seen = {"to_float": _as_stored, "show": partial(_show_mel, mel), "pack": partial(_pack_mel, mel), "evaluator": _judge}
    else:
        stored = clips[..., None]
        seen = {"to_float": _as_wave, "show": partial(_show_waves, mel), "pack": _pack_waves}
        seen["evaluator"] = partial(_judge_waves, mel)
    if form == "vocoder":
        flat = mel.of(clips).reshape(len(clips), -1)
        label, words = flat, []
        seen["evaluator"] = partial(_judge_pairs, mel)

    def split(rows: np.ndarray) -> Split:
        return Split(stored[rows], None if label is None else label[rows])

    num_classes = flat.shape[1] if form == "vocoder" else len(words)
    return Source(split(~held), split(held), num_classes, classes=tuple(words), eval_labels_held_out=whole, **seen)


def _as_stored(spectrograms):
    return spectrograms


def _as_wave(stored):
    return stored.astype(np.float32) / LOUDEST


def _in_blocks(function: Callable, x: np.ndarray, rows: int = 250) -> np.ndarray:
    return np.concatenate([np.asarray(function(x[i : i + rows])) for i in range(0, len(x), rows)])


# What is said of samples.


def _judge(data: Data, protocol: Protocol) -> Measure:
    """As images, and the share of every class."""
    if not protocol.metrics and data.train.labels is not None:
        protocol = replace(protocol, metrics=(*QUICK, "class_shares"))
    return pixels.evaluator(data, protocol)


def _judge_waves(mel: _Mel, data: Data, protocol: Protocol) -> Measure:
    """As their spectrograms are."""

    def spectrograms(split: Split) -> Split:
        return Split(mel.of(_as_wave(split.samples[..., 0]))[..., None], split.labels)

    train, test = spectrograms(data.train), spectrograms(data.test)
    seen = replace(data, train=train, test=test, sample_shape=train.samples.shape[1:], to_float=_as_stored, validation=None)
    of_spectrograms = _judge(seen, protocol)

    def measure(samples: np.ndarray, label: np.ndarray | None = None) -> dict[str, float]:
        return of_spectrograms(mel.of(np.asarray(samples)[..., 0])[..., None], label)

    description = f"spectrograms of {mel.bands} mel bands, in a {of_spectrograms.description}"
    return Measure(measure, description, of_spectrograms.facts | mel._asdict())


def _judge_pairs(mel: _Mel, data: Data, protocol: Protocol) -> Measure:
    """`measure(waves [N, T, 1], the spectrograms that they were made of [N, F * bands])`: distances to the clips of these, and
    beside them those of what Griffin-Lim makes of the same spectrograms, which learns nothing."""
    if protocol.extractor or protocol.metrics:
        raise InputError(f"{data.name} is judged clip by clip: no --extractor and no --metrics")
    row_of = {label.tobytes(): row for row, label in enumerate(data.test.labels)}
    settings = {"bands": mel.bands, "fft": mel.fft, "hop": mel.hop}

    @jax.jit
    def apart(real: jax.Array, fake: jax.Array) -> list[jax.Array]:
        cepstral = distances.mel_cepstral_distortion(real, fake, mel.rate, **settings)
        return [distances.mel_l1(real, fake, mel.rate, **settings), distances.multi_resolution_stft(real, fake), cepstral]

    def mean(*values: np.ndarray) -> dict[str, float]:
        return {name: float(x.mean()) for name, x in zip(("mel_l1", "mstft", "mcd"), values, strict=True)}

    def pairs(rows: tuple[int, ...], waves: np.ndarray) -> list[np.ndarray]:
        real = _as_wave(data.test.samples[list(rows), :, 0])
        blocks = [apart(real[i : i + 100], waves[i : i + 100]) for i in range(0, len(real), 100)]
        return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]

    @lru_cache(maxsize=2)
    def griffin_lim(rows: tuple[int, ...]) -> dict[str, float]:
        given = data.test.labels[list(rows)].reshape(len(rows), -1, mel.bands)
        return {f"{name}_griffin_lim": x for name, x in mean(*pairs(rows, mel.heard(given))).items()}

    def measure(samples: np.ndarray, label: np.ndarray | None = None) -> dict[str, float]:
        rows = tuple(row_of.get(np.float32(x).tobytes(), -1) for x in (() if label is None else label))
        if not rows or -1 in rows:
            raise InputError(f"samples of {data.name} are measured where a vocoder made them of held-out spectrograms alone")
        values = pairs(rows, np.asarray(samples)[..., 0])
        return (with_errors(mean, tuple(values)) if protocol.errors else mean(*values)) | griffin_lim(rows)

    description = f"held-out clips ({data.test.count:,}), each against what was made of its spectrogram"
    facts = {"data": data.name, "checksum": data.checksum, "held_out": data.test.count} | mel._asdict()
    return Measure(measure, description, facts)


# What a person sees and hears.


def _show_mel(mel: _Mel, samples: np.ndarray) -> dict[str, bytes]:
    """A grid of spectrograms, low tones at the bottom and time to the right, and what the first ones sound like, one by one."""
    return _shown(mel, np.asarray(samples), _pack_mel(mel, samples[:HEARD])["waves"])


def _show_waves(mel: _Mel, samples: np.ndarray) -> dict[str, bytes]:
    """The same of waves."""
    waves = np.asarray(samples)[..., 0]
    return _shown(mel, mel.of(waves)[..., None], waves[:HEARD])


def _shown(mel: _Mel, spectrograms: np.ndarray, sounds: np.ndarray) -> dict[str, bytes]:
    upright = spectrograms.swapaxes(1, 2)[:, ::-1]
    return pixels.show(upright) | {f"-{number}.wav": _wav(sound, mel.rate) for number, sound in enumerate(sounds)}


def _pack_mel(mel: _Mel, samples: np.ndarray) -> dict[str, np.ndarray]:
    """The spectrograms, and sounds [N, T] of them with a peak of 1."""
    sounds = mel.heard(np.asarray(samples)[..., 0])
    sounds = sounds / np.maximum(1e-6, np.abs(sounds).max(axis=-1, keepdims=True))
    return {"log_mel": samples, "waves": sounds}


def _pack_waves(samples: np.ndarray) -> dict[str, np.ndarray]:
    return {"waves": np.asarray(samples)[..., 0]}


def _wav(sound: np.ndarray, rate: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes())
    return out.getvalue()
