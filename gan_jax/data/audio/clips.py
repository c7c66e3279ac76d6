"""Speech and other short sounds, from folders and zips of sound files: as log-mel spectrograms in the form of images, as
waveforms, or as waveforms with their spectrograms as labels, for vocoders.

Spectrograms are evaluated as images, by a classifier trained on spectrograms (`data/images/metrics.py`); waveforms by their
spectrograms. The output of a vocoder is compared with the clip whose spectrogram was its input (`metrics/audio.py`), next to
Griffin-Lim (`spectrogram.py`), which also makes spectrograms audible.
"""

import io
import wave
from collections import Counter
from dataclasses import replace
from functools import partial

import numpy as np

from gan_jax import spectrogram
from gan_jax.data.audio import metrics, recordings
from gan_jax.data.audio.mel import Mel, as_wave
from gan_jax.data.audio.recordings import ClipFormat
from gan_jax.data.dataset import Format, Presentation, Source, Split
from gan_jax.data.images import pixels
from gan_jax.data.paths import locate
from gan_jax.errors import InputError, unknown

FORMS = ("mel", "wave", "vocoder")
NUM_SOUNDS = 10  # wav files written with a picture


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
    classes: str | None = None,
    resample: bool = False,
    drop_damaged: bool = False,
) -> Source:
    """Read clips of `length` samples at `rate` Hz, padded with silence or truncated; channels are averaged, and recordings
    scaled to a peak of 1.

    The samples depend on `form`:

    mel: log-mel spectrograms [length / hop, bands, 1], in about [-1, 1];
    wave: waves [length, 1] in [-1, 1];
    vocoder: waves with their flattened spectrograms [length / hop * bands] as labels. Recordings longer than `length` are cut
    into several clips, not truncated.

    `path` is a folder or a zip of sounds, or `tfds:speech_commands`, `tfds:ljspeech` or another data set of sounds prepared by
    tensorflow-datasets, which is read without TensorFlow. 16-bit wav files are read directly, other formats (wav, flac, ogg,
    mp3, ...) by soundfile. Without `path`, the clips are synthetic tones.

    Classes are the column label, class, category, ... of a csv or tsv file that lists the recordings; else the folders; else,
    if all files lie in one folder and are called WORD_SPEAKER_NUMBER as in the Free Spoken Digit Dataset, the words. `classes`
    chooses one of these ways instead (FILE.csv or FILE.csv:COLUMN, first_folder, last_folder, file_names), or none.

    Held out are the recordings of testing_list.txt, as in Speech Commands; else of the table's column split or its last fold,
    or of a table called test; else of a folder test or, without one, validation; else, for the names above, numbers below 5,
    which is the official split; else a tenth of each class at random. Recordings of a validation list, column or folder are
    neither trained on nor held out: `--validation` uses them.

    `resample` converts recordings of other rates; `drop_damaged` leaves out those that are empty, cut short, unreadable or not
    finite. Raises InputError for these otherwise, for data that can be understood in two ways, and if a split is empty.
    """
    _check_options(form, rate, length, bands, fft, hop)
    for name, value in (("resample", resample), ("drop_damaged", drop_damaged)):
        if type(value) is not bool:
            raise InputError(f"data audio: {name} must be True or False, got {value!r}")
    if classes is not None and (path is None or path.startswith("tfds:")):
        raise InputError(f"data audio: classes={classes!r} applies to folders and zips of sounds only: leave it off")
    mel = Mel(rate, bands, fft, hop)
    vocoder = form == "vocoder"
    clip_format = ClipFormat(rate, length, vocoder, resample, drop_damaged)
    if path is None:
        found = recordings.tones(clip_format)
    elif path.startswith("tfds:"):
        found = recordings.prepared(path.removeprefix("tfds:"), data_dir, clip_format)
    else:
        found = recordings.read(locate(path, data_dir), clip_format, classes, needs_classes=not vocoder)
    label, words = None, ()
    if vocoder:
        label = mel.spectrograms(found.waves).reshape(len(found.waves), -1)
    elif found.words is not None:
        words = tuple(sorted(set(found.words)))
        label = np.array([words.index(word) for word in found.words], np.int32)
    stored = (mel.spectrograms(found.waves) if form == "mel" else found.waves)[..., None]

    def split(name: str) -> Split:
        rows = np.flatnonzero(found.splits == name)
        return Split(stored[rows], None if label is None else label[rows])

    train, test = split("train"), split("test")
    if not min(train.count, test.count):
        raise InputError(
            f"data audio: {path} has {train.count:,} clips to train on and {test.count:,} held out: both are needed"
        )
    validation = split("validation") if "validation" in found.splits else None
    facts = {"form": form, **mel._asdict()}
    shown = presentation(**facts)
    functions = {"show": shown.show, "pack": shown.pack, "export": shown.export, "format": Format("audio", facts)}
    if form == "mel":
        functions |= {"to_float": _as_stored, "evaluator": partial(metrics.evaluate_mel, mel, clip_format, validation)}
    else:
        functions |= {"to_float": as_wave, "evaluator": partial(metrics.evaluate_waves, mel, clip_format, validation)}
    if vocoder:
        functions["evaluator"] = partial(metrics.evaluate_pairs, mel, clip_format, validation, _digests(found))
    num_classes = label.shape[1] if vocoder else len(words)
    source = Source(train, test, num_classes, **functions, classes=words, notes=found.notes, eval_labels_held_out=vocoder)
    # Stated by the files, whatever the fraction.
    return replace(source, set_aside=None if validation is None else lambda fraction: (source, validation))


def _digests(found: recordings.Recordings) -> dict[metrics.Piece, bytes]:
    """Return the digest of each clip, by its recording and its number in it."""
    numbers = Counter()
    digests = {}
    for name, clip in zip(found.names, found.waves, strict=True):
        digests[name, numbers[name]] = metrics.clip_digest(clip)
        numbers[name] += 1
    return digests


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


# Pictures and sounds


def presentation(form: str, rate: int, bands: int, fft: int, hop: int) -> Presentation:
    """Return the presentation of spectrograms or waves; for the arguments see `audio`. Samples are decoded to waves [N, T]."""
    mel = Mel(rate, bands, fft, hop)
    show, pack = (_show_mel, _pack_mel) if form == "mel" else (_show_waves, _pack_waves)

    def decode(samples: np.ndarray) -> np.ndarray:
        return pack(mel, samples)["waves"]

    return Presentation(
        show=partial(show, mel),
        pack=partial(pack, mel),
        decode=decode,
        export=lambda samples: _wav_files(mel, decode(samples), "/{:05d}"),
    )


def _show_mel(mel: Mel, samples: np.ndarray) -> dict[str, bytes]:
    """Return a grid of spectrograms, low frequencies at the bottom, time to the right; and the first samples as wav files."""
    return _files(mel, np.asarray(samples), _pack_mel(mel, samples[:NUM_SOUNDS])["waves"])


def _show_waves(mel: Mel, samples: np.ndarray) -> dict[str, bytes]:
    """Return a grid of the spectrograms of waves, and the first waves as wav files."""
    waves = np.asarray(samples)[..., 0]
    return _files(mel, mel.spectrograms(waves)[..., None], waves[:NUM_SOUNDS])


def _files(mel: Mel, spectrograms: np.ndarray, sounds: np.ndarray) -> dict[str, bytes]:
    upright = spectrograms.swapaxes(1, 2)[:, ::-1]
    palette = _palette()
    files = pixels.show(upright, palette) | _wav_files(mel, sounds, "-{}")
    for i in range(len(sounds)):  # the spectrogram of each sound, next to it
        files[f"-{i}.png"] = _spectrogram(upright[i, ..., 0], palette)
    return files


def _spectrogram(levels: np.ndarray, palette: bytes) -> bytes:
    """Return the spectrogram [bands, frames], in about [-1, 1], as a PNG with a pixel for each number."""
    from PIL import Image

    scaled = np.nan_to_num(np.clip((levels + 1) * 127.5, 0, 255))
    picture = Image.fromarray(np.rint(scaled).astype(np.uint8))
    picture.putpalette(palette)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return out.getvalue()


def _palette() -> bytes:
    """Matplotlib's magma, from quiet to loud: its lightness is even, so it also reads in grey."""
    import matplotlib

    return matplotlib.colormaps["magma"](np.arange(256), bytes=True)[:, :3].tobytes()


def _wav_files(mel: Mel, sounds: np.ndarray, name: str) -> dict[str, bytes]:
    return {f"{name.format(number)}.wav": _wav(sound, mel.rate) for number, sound in enumerate(sounds)}


def _pack_mel(mel: Mel, samples: np.ndarray) -> dict[str, np.ndarray]:
    """Return the spectrograms, and the waves [N, T] that Griffin-Lim computes from them, scaled to a peak of 1."""
    sounds = mel.waves(np.asarray(samples)[..., 0])
    sounds = sounds / np.maximum(1e-6, np.abs(sounds).max(axis=-1, keepdims=True))
    return {"log_mel": samples, "waves": sounds}


def _pack_waves(mel: Mel, samples: np.ndarray) -> dict[str, np.ndarray]:
    return {"waves": np.asarray(samples)[..., 0]}


def _wav(sound: np.ndarray, rate: int) -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((np.clip(sound, -1, 1) * 32_767).astype("<i2").tobytes())
    return out.getvalue()
