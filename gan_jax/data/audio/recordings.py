"""Read recordings as clips of equal length, each with its class and split, and count what was changed or dropped."""

from collections import Counter
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from gan_jax.data import tfds
from gan_jax.data.audio import layout, sound_files
from gan_jax.data.audio.decoding import Damaged, Sound, decode, resample
from gan_jax.data.audio.layout import Layout, Stated
from gan_jax.data.reading import counted, listed, split_of, split_rows
from gan_jax.errors import InputError

HELD_OUT = 0.1  # fraction of the recordings, and of each class
MIN_HELD_OUT = 10
INT16_MAX = 32_767
CANCELLED = 0.01  # channels whose average is below this fraction of their peak are in opposite phase

Sounds = Iterable[tuple[str, Callable[[], Sound]]]  # the function may raise Damaged


class ClipFormat(NamedTuple):
    """How recordings become clips."""

    rate: int  # samples per second
    length: int  # samples
    cut: bool = False  # whether long recordings become several clips instead of being truncated
    resample: bool = False  # whether other rates are converted instead of refused
    drop_damaged: bool = False  # whether damaged recordings are dropped instead of refused


class Clips(NamedTuple):
    """Recordings as clips."""

    names: list[str]  # for each clip, its recording
    waves: np.ndarray  # int16 [N, length], each recording scaled to a peak of INT16_MAX
    damaged: dict[str, list[str]]  # reason -> the recordings that were dropped
    notes: tuple[str, ...]


class Recordings(NamedTuple):
    """Clips with their classes and splits."""

    names: list[str]  # for each clip, its recording
    waves: np.ndarray  # int16 [N, length]
    words: list[str] | None  # class of each clip
    splits: np.ndarray  # train, validation or test [N]
    notes: tuple[str, ...]


def read(path: Path, form: ClipFormat, classes: str | None, needs_classes: bool) -> Recordings:
    """Read a folder or zip; for `classes` and the errors see `layout.understand`."""
    files = sound_files.find(path)
    plan = layout.understand(files, classes, needs_classes)
    stated = [part.by_name for part in (plan.words, plan.splits) if part.by_name is not None]
    names = [name for name in files.sounds if all(name in part for part in stated)]
    clips = read_clips(of_files(files, names), form, f"in {path}")
    dropped = {"not mentioned": len(files.sounds) - len(names)}
    return _with_splits(clips, plan, len(files.sounds), dropped, files.passed_over(set(plan.used)))


def prepared(name: str, data_dir: str | None, form: ClipFormat) -> Recordings:
    """Read a data set prepared by tensorflow-datasets, NAME or NAME/CONFIG, with its own splits."""
    words, splits = {}, {}

    def sounds() -> Sounds:
        for record in tfds.sounds(name, data_dir):
            words[record.name] = record.word
            splits[record.name] = split_of(record.split) or "train"
            yield record.name, partial(_labelled, record)

    clips = read_clips(sounds(), form, f"in tfds:{name}")
    stated = "train" in splits.values() and len(set(splits.values())) > 1
    labelled = any(word is not None for word in words.values())
    plan = Layout(
        Stated(words if labelled else None, "the data set"), Stated(splits if stated else None, "the data set's splits")
    )
    return _with_splits(clips, plan, len(splits), {}, ())


def _labelled(record: tfds.Recording) -> Sound:
    if record.word == "":
        raise Damaged("without a class")
    return Sound(record.channels, record.rate)


def tones(form: ClipFormat) -> Recordings:
    """Generate chirps of random pitch that fall, rise or stay constant."""
    random, time = np.random.RandomState(0), np.arange(form.length) / form.rate
    waves, names = [], []
    for number in range(250):
        for word, change in (("falls", 0.5), ("rises", 2.0), ("stays", 1.0)):
            pitch, duration = form.rate * random.uniform(0.04, 0.1), time[-1] * random.uniform(0.5, 0.9)
            progress = np.minimum(time / duration, 1)
            phase = 2 * np.pi * np.cumsum(pitch * change**progress) / form.rate
            waves.append(np.int16(INT16_MAX * np.sin(phase) * np.sin(np.pi * progress)))
            names.append(f"{word}/{number}")
    plan = Layout(Stated({name: name.partition("/")[0] for name in names}, "synthetic tones"), Stated())
    return _with_splits(Clips(names, np.stack(waves), {}, ()), plan, len(names), {}, ())


def of_files(files: sound_files.SoundFiles, names: Iterable[str]) -> Sounds:
    """Return sound files as `Sounds`."""

    def sound(name: str) -> Sound:
        try:
            content = files.sounds[name]()
        except sound_files.READ_ERRORS as error:
            raise Damaged("unreadable", str(error)) from error
        return decode(content)

    return ((name, partial(sound, name)) for name in names)


def read_clips(sounds: Sounds, form: ClipFormat, where: str) -> Clips:
    """Return the clips of all sounds, the average of their channels, with notes on what was changed. `where` ends messages.

    Raises InputError naming recordings of other rates, unless they are resampled, and damaged ones, unless they are dropped."""
    names, clips, lengths = [], [], []
    damaged, details, rates = {}, {}, {}
    facts = {fact: [] for fact in ("with several channels", "whose channels cancel each other", "silent")}
    total = 0
    for name, read_sound in sounds:
        total += 1
        try:
            channels, rate = read_sound()
            samples = _average(channels)
        except Damaged as error:
            damaged.setdefault(str(error), []).append(name)
            details[name] = f": {error.detail}" if error.detail else ""
            continue
        if rate is not None:
            rates.setdefault(rate, []).append(name)
            if rate != form.rate:
                samples = resample(samples, rate, form.rate) if form.resample else samples
        count = max(1, round(len(samples) / form.length)) if form.cut else 1
        padded = np.zeros(count * form.length, np.float32)
        padded[: len(samples)] = samples[: count * form.length]
        peak = np.abs(padded).max()
        clips.append(np.int16(np.rint(padded / (peak or 1) * INT16_MAX)).reshape(count, form.length))
        names += [name] * count
        lengths.append(len(samples))
        if channels.shape[1] > 1:
            facts["with several channels"].append(name)
            if CANCELLED * np.abs(np.float32(channels)).max() > np.abs(samples).max():
                facts["whose channels cancel each other"].append(name)
        if peak == 0:
            facts["silent"].append(name)
    if not form.resample:
        _check_rates(rates, form.rate, where)
    if not total:
        raise InputError(f"data audio: no recording {where} is mentioned in both the list of classes and that of splits")
    if damaged and not (form.drop_damaged and clips):
        reasons = [f"{len(bad):,} {reason} ({listed(bad, 3)}{details[bad[0]]})" for reason, bad in damaged.items()]
        raise InputError(
            f"data audio: {sum(map(len, damaged.values())):,} of {total:,} recordings {where} cannot be used: "
            f"{', '.join(reasons)}: replace them{', or leave them out with drop_damaged=True' if clips else ''}"
        )
    notes = (*_notes_on_lengths(np.array(lengths), sum(map(len, clips)), form), *_notes_on_facts(facts, rates, form.rate))
    return Clips(names, np.concatenate(clips), damaged, notes)


def _average(channels: np.ndarray) -> np.ndarray:
    """Return the average of the channels [T, C]. Raises Damaged if there are no samples or they are not finite."""
    if not channels.size:
        raise Damaged("without samples")
    if channels.dtype.kind == "f" and not np.abs(channels).max() < np.finfo(np.float32).max:
        raise Damaged("with NaN or infinite samples")
    return channels.mean(axis=1)


def _check_rates(rates: dict[int, list[str]], rate: int, where: str) -> None:
    """Raise InputError if there are other rates than `rate`."""
    if not set(rates) - {rate}:
        return
    kinds = [f"{other} ({len(names):,}: {listed(names, 1)})" for other, names in sorted(rates.items())]
    if len(rates) == 1:
        problem = f"recordings {where} have {kinds[0]} samples per second, not {rate}"
        raise InputError(f"data audio: {problem}: set rate={next(iter(rates))}, or resample=True")
    raise InputError(
        f"data audio: recordings {where} have several rates: {', '.join(kinds)} samples per second; "
        f"resample=True converts all to rate={rate}"
    )


def _notes_on_lengths(lengths: np.ndarray, count: int, form: ClipFormat) -> tuple[str, ...]:
    low, median, high = (f"{x / form.rate:.2f}" for x in (lengths.min(), np.median(lengths), lengths.max()))
    duration = f"recordings last {low} to {high} s, median {median} s; each is scaled to a peak of 1"
    if form.cut:
        lost = np.maximum(0, lengths - np.maximum(1, np.rint(lengths / form.length)) * form.length).sum() / lengths.sum()
        return (f"{duration}, then cut into {count:,} clips of {form.length / form.rate:.2f} s; ends left over: {lost:.1%}",)
    short, long = lengths < form.length, lengths > form.length
    far_short, far_long = (2 * lengths < form.length).sum(), (lengths > 2 * form.length).sum()
    parts = []
    if short.any():
        far = f" ({far_short:,} to more than twice their length)" if far_short else ""
        parts.append(f"{short.sum():,} shorter and padded with silence{far}")
    if long.any():
        far = f" ({far_long:,} to less than half)" if far_long else ""
        parts.append(f"{long.sum():,} longer and truncated{far}")
    return (duration + (f"; length={form.length} ({form.length / form.rate:.2f} s): {', '.join(parts)}" if parts else ""),)


def _notes_on_facts(facts: dict[str, list[str]], rates: dict[int, list[str]], rate: int) -> tuple[str, ...]:
    consequences = {
        "with several channels": "their average is used",
        "whose channels cancel each other": "their average is nearly silent",
        "silent": "they stay silent clips",
    }
    notes = [f"{len(names):,} {fact}: {consequences[fact]} ({listed(names, 3)})" for fact, names in facts.items() if names]
    converted = [f"{len(names):,} from {other}" for other, names in sorted(rates.items()) if other != rate]
    if converted:
        notes.append(f"resampled to {rate} samples per second: {', '.join(converted)}")
    return tuple(notes)


def _with_splits(clips: Clips, plan: Layout, total: int, dropped: dict[str, int], notes: tuple[str, ...]) -> Recordings:
    """Add classes and splits. Without stated splits, a tenth of the recordings of each class is held out, at least
    `MIN_HELD_OUT` recordings, at most half."""
    names = list(dict.fromkeys(clips.names))
    words = plan.words.by_name
    if plan.splits.by_name is None:
        label = None if words is None else np.unique([words[name] for name in names], return_inverse=True)[1]
        fraction = min(max(HELD_OUT, MIN_HELD_OUT / len(names)), 0.5)
        held_out = set(split_rows(len(names), fraction, label)[1].tolist())
        splits = {name: "test" if row in held_out else "train" for row, name in enumerate(names)}
        how = f"{'a tenth' if fraction == HELD_OUT else f'{fraction:.0%}'}{' of each class' if words else ''}, at random"
    else:
        splits, how = {name: plan.splits.by_name[name] for name in names}, plan.splits.place
        if "test" not in splits.values():  # then the validation split serves as one
            splits = {name: "test" if split == "validation" else split for name, split in splits.items()}
    both = _speakers_in_both(splits)
    if both:
        notes = (f"{both:,} speakers, by the file names SPEAKER_nohash_NUMBER, are both trained on and held out", *notes)
    dropped |= {reason: len(bad) for reason, bad in clips.damaged.items()}
    notes = (
        *_notes_on_classes(words and {name: words[name] for name in names}, splits, plan.words.place),
        _note_on_splits(Counter(splits.values()), how),
        *counted(len(names), total, "recordings", dropped),
        *clips.notes,
        *plan.notes,
        *notes,
    )
    clip_words = None if words is None else [words[name] for name in clips.names]
    return Recordings(clips.names, clips.waves, clip_words, np.array([splits[name] for name in clips.names]), notes)


def _notes_on_classes(words: dict[str, str] | None, splits: dict[str, str], words_from: str) -> tuple[str, ...]:
    if not words:
        return ()
    counts = Counter(words.values())
    sizes = [f"{word} ({number:,})" for word, number in sorted(counts.items())]
    notes = [f"{len(counts):,} classes, from {words_from}: {listed(sizes, 12)}"]
    for split, what in (("train", "to train on"), ("test", "held out")):
        missing = sorted(set(counts) - {words[name] for name in words if splits[name] == split})
        if missing:
            notes.append(f"classes without recordings {what}: {listed(missing, 12)}")
    return tuple(notes)


def _speakers_in_both(splits: dict[str, str]) -> int:
    """Return how many speakers of Speech Commands, whose file names state them, are in the training and the test split."""
    speakers = {split: set() for split in ("train", "validation", "test")}
    for name, split in splits.items():
        speaker, pattern, _ = PurePosixPath(name).stem.partition("_nohash_")
        if pattern:
            speakers[split].add(speaker)
    return len(speakers["train"] & speakers["test"])


def _note_on_splits(counts: Counter, how: str) -> str:
    validation = f", {counts['validation']:,} for --validation, whatever its fraction, and otherwise unused"
    return (
        f"{counts['train']:,} recordings to train on, {counts['test']:,} held out"
        f"{validation if counts['validation'] else ''} ({how})"
    )
