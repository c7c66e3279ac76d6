"""Evaluate generated spectrograms as images, waveforms by their spectrograms, and vocoders clip by clip."""

import hashlib
from dataclasses import replace
from functools import lru_cache
from pathlib import Path, PurePosixPath

import jax
import numpy as np

from gan_jax.data.audio.fakes import Fakes, read_fakes
from gan_jax.data.audio.labels import Index
from gan_jax.data.audio.mel import Mel, as_wave
from gan_jax.data.audio.recordings import ClipFormat
from gan_jax.data.dataset import Data, FileMetrics, Measure, Protocol, Split
from gan_jax.data.images import pixels
from gan_jax.data.images.metrics import QUICK
from gan_jax.data.reading import listed
from gan_jax.errors import InputError
from gan_jax.metrics import audio as distances
from gan_jax.metrics.jackknife import with_errors

Piece = tuple[str, int]  # the name of a recording, and the number of the clip in it


def evaluate_mel(mel: Mel, form: ClipFormat, validation: Split | None, data: Data, protocol: Protocol) -> Measure:
    """Evaluate spectrograms as images; by default also by the fraction of each class. `validation` is the split that the files
    state: if all real samples are the reference, these are among them."""
    measure = _measure_mel(_with_validation(data, validation, protocol), protocol)

    def measure_file(path: Path) -> FileMetrics:
        fakes = read_fakes(path, form, mel, data.classes)
        samples = mel.spectrograms(fakes.waves)[..., None] if fakes.log_mel is None else fakes.log_mel
        return _file_metrics(fakes, measure(samples, _class_labels(fakes, data.num_classes)))

    return replace(measure, measure_file=measure_file)


def evaluate_waves(mel: Mel, form: ClipFormat, validation: Split | None, data: Data, protocol: Protocol) -> Measure:
    """Evaluate waves by their spectrograms; for `validation` see `evaluate_mel`."""

    def spectrograms(split: Split) -> Split:
        return Split(mel.spectrograms(as_wave(split.samples[..., 0]))[..., None], split.labels)

    whole = _with_validation(data, validation, protocol)
    train, test = spectrograms(whole.train), spectrograms(whole.test)
    # Trained classifiers and features are cached by checksum: they also depend on the parameters of the spectrograms.
    checksum = hashlib.sha256(f"{whole.checksum} {tuple(mel)}".encode()).hexdigest()
    shape = train.samples.shape[1:]
    as_mel = replace(
        data, train=train, test=test, checksum=checksum, sample_shape=shape, to_float=lambda stored: stored, validation=None
    )
    mel_measure = _measure_mel(as_mel, protocol)

    def measure(samples: np.ndarray, label: np.ndarray | None = None) -> dict[str, float]:
        return mel_measure(mel.spectrograms(np.asarray(samples)[..., 0])[..., None], label)

    def measure_file(path: Path) -> FileMetrics:
        fakes = read_fakes(path, form, None, data.classes)
        return _file_metrics(fakes, measure(as_wave(fakes.waves)[..., None], _class_labels(fakes, data.num_classes)))

    description = f"spectrograms of {mel.bands} mel bands, in a {mel_measure.description}"
    return Measure(measure, description, mel_measure.facts | {"checksum": data.checksum} | mel._asdict(), measure_file)


def _measure_mel(data: Data, protocol: Protocol) -> Measure:
    if not protocol.metrics and data.train.labels is not None:
        protocol = replace(protocol, metrics=(*QUICK, "class_shares"))
    return pixels.evaluator(data, protocol)


def _with_validation(data: Data, validation: Split | None, protocol: Protocol) -> Data:
    """Return the data with a validation split among the held-out samples, if the protocol compares with all real ones."""
    if validation is None or not protocol.whole:
        return data
    test = jax.tree.map(lambda *parts: np.concatenate(parts), data.test, validation)
    digest = hashlib.sha256(data.checksum.encode())
    digest.update(np.ascontiguousarray(validation.samples))
    return replace(data, test=test, checksum=digest.hexdigest())


def _class_labels(fakes: Fakes, num_classes: int) -> np.ndarray | None:
    label = fakes.label
    if label is None or not num_classes:
        return None
    if label.ndim != 1 or label.dtype.kind not in "iu" or label.min() < 0 or label.max() >= num_classes:
        raise InputError(
            f"data audio: labels of the fakes must be classes 0..{num_classes - 1}, got {label.dtype} {label.shape}"
        )
    return label


def _file_metrics(fakes: Fakes, metrics: dict[str, float], notes: tuple[str, ...] = ()) -> FileMetrics:
    return FileMetrics(fakes.count, {"valid": fakes.valid} | metrics, (*fakes.notes, *notes))


def evaluate_pairs(
    mel: Mel, form: ClipFormat, validation: Split | None, digests: dict[Piece, bytes], data: Data, protocol: Protocol
) -> Measure:
    """Return the `Measure` of waves [N, T, 1] and the spectrograms [N, F * bands] from which they were generated: distances
    between the waves and the held-out clips of these spectrograms, and the same for Griffin-Lim, which is not trained.

    Recordings in files are compared with the real ones of the same name; `digests` hold `clip_digest` of each real clip."""
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

    def paired_distances(real: np.ndarray, fake: np.ndarray) -> list[np.ndarray]:
        blocks = [differences(real[i : i + 100], fake[i : i + 100]) for i in range(0, len(real), 100)]
        return [np.concatenate(parts) for parts in zip(*blocks, strict=True)]

    def compare(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
        values = paired_distances(real, fake)
        return with_errors(mean, tuple(values)) if protocol.errors else mean(*values)

    def griffin_lim(real: np.ndarray, spectrograms: np.ndarray) -> dict[str, float]:
        return {f"{name}_griffin_lim": x for name, x in mean(*paired_distances(real, mel.waves(spectrograms))).items()}

    @lru_cache(maxsize=2)
    def griffin_lim_of(rows: tuple[int, ...]) -> dict[str, float]:
        return griffin_lim(clips_of(rows), data.test.labels[list(rows)].reshape(len(rows), -1, mel.bands))

    def clips_of(rows: tuple[int, ...]) -> np.ndarray:
        return as_wave(data.test.samples[list(rows), :, 0])

    def measure(samples: np.ndarray, label: np.ndarray | None = None) -> dict[str, float]:
        rows = tuple(row_of.get(np.float32(x).tobytes(), -1) for x in ([] if label is None else label))
        if not rows or -1 in rows:
            raise InputError(
                f"samples of {data.name} can be measured only if a vocoder generated them from held-out spectrograms"
            )
        return compare(clips_of(rows), np.asarray(samples)[..., 0]) | griffin_lim_of(rows)

    def measure_file(path: Path) -> FileMetrics:
        fakes = read_fakes(path, form, None, ())
        if path.suffix == ".npz":
            return _file_metrics(fakes, measure(as_wave(fakes.waves)[..., None], fakes.label))
        splits = [data.train, data.test, data.validation or validation] if protocol.whole else [data.test]
        clips = {clip_digest(clip): clip[:, 0] for split in splits if split is not None for clip in split.samples}
        pieces = {piece: clips[digest] for piece, digest in digests.items() if digest in clips}
        real, fake, notes = pair(fakes, pieces)
        real, fake = as_wave(real), as_wave(fake)
        return _file_metrics(fakes, compare(real, fake) | griffin_lim(real, mel.spectrograms(real)), notes)

    clips = f"clips of all recordings ({len(digests):,})" if protocol.whole else f"held-out clips ({data.test.count:,})"
    description = f"{clips}, each compared with the wave generated from its spectrogram"
    facts = {"data": data.name, "checksum": data.checksum, "held_out": data.test.count} | mel._asdict()
    return Measure(measure, description, facts, measure_file)


def clip_digest(clip: np.ndarray) -> bytes:
    """Return a digest of a stored clip [T, 1], by which it is found again in shuffled splits."""
    return hashlib.blake2b(np.ascontiguousarray(clip), digest_size=16).digest()


def pair(fakes: Fakes, pieces: dict[Piece, np.ndarray]) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Return the real clips [N, T] and those of the fake recordings of the same names [N, T], and notes on those without a
    partner; names may differ in their suffixes. Raises InputError if there is no pair, or two for one recording."""
    names = sorted({name for name, _ in pieces})
    index = Index(names)
    partner = {name: index.find(str(PurePosixPath(name).with_suffix(""))) for name in dict.fromkeys(fakes.names)}
    fake_of: dict[str, str] = {}
    for fake, real in partner.items():
        if real is not None and fake_of.setdefault(real, fake) != fake:
            raise InputError(f"data audio: {fake_of[real]} and {fake} both have the name of the real recording {real}")
    if not fake_of:
        example = f"{next(iter(partner))} among the fakes, {listed(names, 1)} among the real recordings"
        raise InputError(f"data audio: no fake has the name of a real recording: {example}")
    number: dict[str, int] = {}
    rows = []
    for row, fake in enumerate(fakes.names):
        piece = (partner[fake], number.setdefault(fake, 0))
        number[fake] += 1
        if piece in pieces:
            rows.append((row, piece))
    alone = [fake for fake, real in partner.items() if real is None]
    notes = [
        f"{len(fake_of):,} of {len(names):,} real recordings are compared with the fakes of the same names, {len(rows):,} clips"
    ]
    if alone:
        notes.append(f"fakes without a real recording of that name, not measured: {len(alone):,} ({listed(alone, 3)})")
    return np.stack([pieces[piece] for _, piece in rows]), fakes.waves[[row for row, _ in rows]], tuple(notes)
