"""Speech and other short sounds, from folders and zips of sound files: as log-mel spectrograms in the form of images, as
waveforms, or as waveforms with their spectrograms as labels, for vocoders.

Spectrograms are evaluated as images, by a classifier trained on spectrograms (`data/images/metrics.py`); waveforms by their
spectrograms. The output of a vocoder is compared with the clip whose spectrogram was its input (`metrics/audio.py`), next to
Griffin-Lim (`spectrogram.py`), which also makes spectrograms audible.
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
from gan_jax.data.audio.recordings import INT16_MAX
from gan_jax.data.dataset import Data, Measure, Protocol, Source, Split
from gan_jax.data.images import pixels
from gan_jax.data.images.metrics import QUICK
from gan_jax.data.paths import locate
from gan_jax.errors import InputError, unknown
from gan_jax.metrics import audio as distances
from gan_jax.metrics.jackknife import with_errors

FORMS = ("mel", "wave", "vocoder")
NUM_SOUNDS = 10  # wav files written with a picture


class _Mel(NamedTuple):
    """Parameters of the spectrograms."""

    rate: int
    bands: int
    fft: int
    hop: int

    def spectrograms(self, waves: np.ndarray) -> np.ndarray:
        """Convert waves [N, T], floats or stored integers, to log-mel spectrograms [N, F, bands]."""
        log_mel = jax.jit(partial(spectrogram.log_mel, rate=self.rate, bands=self.bands, fft=self.fft, hop=self.hop))
        return _in_blocks(lambda x: log_mel(_as_wave(x) if x.dtype == np.int16 else x), waves)

    def waves(self, spectrograms: np.ndarray) -> np.ndarray:
        """Convert log-mel spectrograms [N, F, bands] to waves [N, T], by Griffin-Lim."""
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
    """Read clips of `length` samples at `rate` Hz, padded with silence or truncated; recordings are scaled to a peak of 1.

    The samples depend on `form`:

    mel: log-mel spectrograms [length / hop, bands, 1], in about [-1, 1];
    wave: waves [length, 1] in [-1, 1];
    vocoder: waves with their flattened spectrograms [length / hop * bands] as labels. Recordings longer than `length` are cut
    into several clips, not truncated.

    `path` is a folder or a zip of sounds; 16-bit wav files are read directly, other wav, flac and ogg files by soundfile. If
    all files are called WORD_SPEAKER_NUMBER, as in the Free Spoken Digit Dataset, words are classes, and numbers below 5 are
    held out, which is the official split. Otherwise sub-folders, if there are several, are classes, and a tenth of the files is
    held out, or those listed in a testing_list.txt, as in Speech Commands. `path` may also be `tfds:speech_commands`,
    `tfds:ljspeech` or another data set of sounds prepared by tensorflow-datasets, which is read without TensorFlow. Without
    `path`, the clips are synthetic tones. Raises InputError for a file that is not a sound, a different rate, or too few clips.
    """
    _check_options(form, rate, length, bands, fft, hop)
    mel = _Mel(rate, bands, fft, hop)
    vocoder = form == "vocoder"
    if path is None:
        names, clips, test_names = recordings.tones(rate, length)
    elif path.startswith("tfds:"):
        names, clips, test_names = recordings.prepared(path.removeprefix("tfds:"), data_dir, rate, length, cut=vocoder)
    else:
        names, clips, test_names = recordings.clips(locate(path, data_dir), rate, length, cut=vocoder)
    label, held_out, words = recordings.labels(names, test_names)
    num_train, num_held_out = (~held_out).sum(), held_out.sum()
    if min(num_train, num_held_out) < 10:
        raise InputError(
            f"data audio: {path} has too few clips: {num_train} for training, {num_held_out} held out; 10 of each are needed"
        )
    if form == "mel":
        stored = mel.spectrograms(clips)[..., None]
        functions = {"to_float": _as_stored, "show": partial(_show_mel, mel), "pack": partial(_pack_mel, mel)}
        functions["export"] = lambda samples: _wav_files(mel, _pack_mel(mel, samples)["waves"], "/{:05d}")
        functions["evaluator"] = _evaluate_mel
    else:
        stored = clips[..., None]
        functions = {"to_float": _as_wave, "show": partial(_show_waves, mel), "pack": _pack_waves}
        functions["export"] = lambda samples: _wav_files(mel, np.asarray(samples)[..., 0], "/{:05d}")
        functions["evaluator"] = partial(_evaluate_waves, mel)
    if vocoder:
        flat = mel.spectrograms(clips).reshape(len(clips), -1)
        label, words = flat, []
        functions["evaluator"] = partial(_evaluate_pairs, mel)

    def split(rows: np.ndarray) -> Split:
        return Split(stored[rows], None if label is None else label[rows])

    num_classes = flat.shape[1] if vocoder else len(words)
    return Source(
        split(~held_out), split(held_out), num_classes, classes=tuple(words), eval_labels_held_out=vocoder, **functions
    )


def _check_options(form: str, rate: int, length: int, bands: int, fft: int, hop: int) -> None:
    """Raise InputError for options that `audio` cannot use."""
    if form not in FORMS:
        raise unknown("form of data audio", form, FORMS)
    minimums = {"rate": (rate, 1_000), "length": (length, 1), "bands": (bands, 1), "fft": (fft, 4), "hop": (hop, 2)}
    for name, (value, minimum) in minimums.items():
        if type(value) is not int or value < minimum:
            raise InputError(f"data audio: {name} must be a whole number of at least {minimum}, got {value!r}")
    if fft % hop or fft % 2:
        raise InputError(f"data audio: fft must be even and a multiple of hop, {hop}, got {fft}")
    if length % hop or length < max(fft, 8 * hop):
        raise InputError(f"data audio: length must be a multiple of {hop}, at least {max(fft, 8 * hop)}, got {length}")


def _as_stored(spectrograms):
    return spectrograms


def _as_wave(stored):
    return stored.astype(np.float32) / INT16_MAX


def _in_blocks(function: Callable, x: np.ndarray, rows: int = 250) -> np.ndarray:
    return np.concatenate([np.asarray(function(x[i : i + rows])) for i in range(0, len(x), rows)])


# Evaluation


def _evaluate_mel(data: Data, protocol: Protocol) -> Measure:
    """Evaluate spectrograms as images; by default also by the fraction of each class."""
    if not protocol.metrics and data.train.labels is not None:
        protocol = replace(protocol, metrics=(*QUICK, "class_shares"))
    return pixels.evaluator(data, protocol)


def _evaluate_waves(mel: _Mel, data: Data, protocol: Protocol) -> Measure:
    """Evaluate waves by their spectrograms."""

    def spectrograms(split: Split) -> Split:
        return Split(mel.spectrograms(_as_wave(split.samples[..., 0]))[..., None], split.labels)

    train, test = spectrograms(data.train), spectrograms(data.test)
    as_mel = replace(data, train=train, test=test, sample_shape=train.samples.shape[1:], to_float=_as_stored, validation=None)
    mel_measure = _evaluate_mel(as_mel, protocol)

    def measure(samples: np.ndarray, label: np.ndarray | None = None) -> dict[str, float]:
        return mel_measure(mel.spectrograms(np.asarray(samples)[..., 0])[..., None], label)

    description = f"spectrograms of {mel.bands} mel bands, in a {mel_measure.description}"
    return Measure(measure, description, mel_measure.facts | mel._asdict())


def _evaluate_pairs(mel: _Mel, data: Data, protocol: Protocol) -> Measure:
    """Return the `Measure` of waves [N, T, 1] and the spectrograms [N, F * bands] from which they were generated: distances
    between the waves and the held-out clips of these spectrograms, and the same for Griffin-Lim, which is not trained."""
    if protocol.extractor or protocol.metrics:
        raise InputError(f"{data.name} is evaluated clip by clip: leave off --extractor and --metrics")
    row_of = {label.tobytes(): row for row, label in enumerate(data.test.labels)}
    settings = {"bands": mel.bands, "fft": mel.fft, "hop": mel.hop}

    @jax.jit
    def differences(real: jax.Array, fake: jax.Array) -> list[jax.Array]:
        cepstral = distances.mel_cepstral_distortion(real, fake, mel.rate, **settings)
        return [distances.mel_l1(real, fake, mel.rate, **settings), distances.multi_resolution_stft(real, fake), cepstral]

    def mean(*values: np.ndarray) -> dict[str, float]:
        return {name: float(x.mean()) for name, x in zip(("mel_l1", "mstft", "mcd"), values, strict=True)}

    def paired_distances(rows: tuple[int, ...], waves: np.ndarray) -> list[np.ndarray]:
        real = _as_wave(data.test.samples[list(rows), :, 0])
        blocks = [differences(real[i : i + 100], waves[i : i + 100]) for i in range(0, len(real), 100)]
        return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]

    @lru_cache(maxsize=2)
    def griffin_lim(rows: tuple[int, ...]) -> dict[str, float]:
        inputs = data.test.labels[list(rows)].reshape(len(rows), -1, mel.bands)
        return {f"{name}_griffin_lim": x for name, x in mean(*paired_distances(rows, mel.waves(inputs))).items()}

    def measure(samples: np.ndarray, label: np.ndarray | None = None) -> dict[str, float]:
        rows = tuple(row_of.get(np.float32(x).tobytes(), -1) for x in ([] if label is None else label))
        if not rows or -1 in rows:
            raise InputError(
                f"samples of {data.name} can be measured only if a vocoder generated them from held-out spectrograms"
            )
        values = paired_distances(rows, np.asarray(samples)[..., 0])
        return (with_errors(mean, tuple(values)) if protocol.errors else mean(*values)) | griffin_lim(rows)

    description = f"held-out clips ({data.test.count:,}), each compared with the wave generated from its spectrogram"
    facts = {"data": data.name, "checksum": data.checksum, "held_out": data.test.count} | mel._asdict()
    return Measure(measure, description, facts)


# Pictures and sounds


def _show_mel(mel: _Mel, samples: np.ndarray) -> dict[str, bytes]:
    """Return a grid of spectrograms, low frequencies at the bottom, time to the right; and the first samples as wav files."""
    return _files(mel, np.asarray(samples), _pack_mel(mel, samples[:NUM_SOUNDS])["waves"])


def _show_waves(mel: _Mel, samples: np.ndarray) -> dict[str, bytes]:
    """Return a grid of the spectrograms of waves, and the first waves as wav files."""
    waves = np.asarray(samples)[..., 0]
    return _files(mel, mel.spectrograms(waves)[..., None], waves[:NUM_SOUNDS])


def _files(mel: _Mel, spectrograms: np.ndarray, sounds: np.ndarray) -> dict[str, bytes]:
    upright = spectrograms.swapaxes(1, 2)[:, ::-1]
    return pixels.show(upright) | _wav_files(mel, sounds, "-{}")


def _wav_files(mel: _Mel, sounds: np.ndarray, name: str) -> dict[str, bytes]:
    return {f"{name.format(number)}.wav": _wav(sound, mel.rate) for number, sound in enumerate(sounds)}


def _pack_mel(mel: _Mel, samples: np.ndarray) -> dict[str, np.ndarray]:
    """Return the spectrograms, and the waves [N, T] that Griffin-Lim computes from them, scaled to a peak of 1."""
    sounds = mel.waves(np.asarray(samples)[..., 0])
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
