"""Classes and splits of recordings, from what comes with them: lists, tables and folders; failing these, file names."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple

from gan_jax.data.audio import labels
from gan_jax.data.audio.labels import Index, Table
from gan_jax.data.audio.sound_files import SoundFiles
from gan_jax.data.reading import SPLIT_COLUMNS, lines, listed, split_of
from gan_jax.errors import InputError, unknown

WAYS = ("none", "file_names", "first_folder", "last_folder")  # values of the option `classes`; or FILE.csv, FILE.csv:COLUMN
LISTS = {"testing_list.txt": "test", "validation_list.txt": "validation"}  # those of Speech Commands
MAX_TABLES = 20  # more are taken for annotations of single recordings
# Word, speaker, number of the take, in the Free Spoken Digit Dataset. In Speech Commands SPEAKER_nohash_NUMBER holds no word.
FILE_NAME = re.compile(r"(\w+)_(?!nohash_)([^\W_]+)_(\d+)")
HELD_OUT_TAKES = 5  # the first takes of each speaker and word are held out


class Stated(NamedTuple):
    """The class or split of each recording; a recording that is not among them is not used."""

    by_name: dict[str, str] | None = None  # recording -> its class, or train, validation or test; None if nothing is stated
    place: str = ""  # where it is stated, in words


class Layout(NamedTuple):
    """What is known about the recordings of a folder or zip."""

    words: Stated
    splits: Stated
    notes: tuple[str, ...] = ()
    used: frozenset[str] = frozenset()  # lists and tables that were read


def understand(files: SoundFiles, classes: str | None, needed: bool) -> Layout:
    """Return the layout of a folder or zip; `classes` is the option of `audio`. Unless classes are `needed`, there are none.

    Raises InputError for a table or list that cannot be understood, and where two readings are possible, naming the option that
    decides."""
    table_name, _, column = (classes or "").partition(":")
    is_table = table_name.lower().endswith(labels.SUFFIXES)
    if classes is not None and classes not in WAYS and not is_table:
        raise unknown("classes of data audio", classes, [*WAYS, "FILE.csv", "FILE.csv:COLUMN"])
    index = Index(files.sounds, files.top)
    tables, table_notes = _tables(files, index, table_name if is_table else None)
    splits, list_notes, lists = _listed_splits(files, index)
    splits = _table_splits(tables) if splits.by_name is None else splits
    folder_splits, folders = _folder_splits(files.sounds)
    splits = folder_splits if splits.by_name is None else splits
    words, word_notes = Stated(), ()
    if is_table or (classes is None and needed):
        words, word_notes = _table_words(tables, column, required=is_table)
    if classes in ("first_folder", "last_folder") or (classes is None and needed and words.by_name is None):
        words = _folder_words(folders, classes)
    if classes == "file_names" or (classes is None and words.by_name is None and not any(folders.values())):
        words, splits = _pattern(list(files.sounds), splits, required=classes is not None)
    if not needed:
        words = Stated()
    elif words.by_name is None:
        word_notes = (*word_notes, "no classes")
    used = frozenset(table.name for table in tables) | lists
    return Layout(words, splits, (*word_notes, *table_notes, *list_notes), used)


def _tables(files: SoundFiles, index: Index, chosen: str | None) -> tuple[list[Table], list[str]]:
    """Return the tables that mention recordings, and notes on others."""
    names = [name for name in files.others if name.lower().endswith(labels.SUFFIXES)]
    if chosen is not None:
        if chosen.removeprefix(files.top) not in files.others:
            raise InputError(f"data audio: there is no {chosen} in {files.where}: {listed(names) or 'no csv or tsv file'}")
        names = [chosen.removeprefix(files.top)]
    elif len(names) > MAX_TABLES:
        return [], [f'{len(names):,} csv and tsv files are not read; classes="FILE.csv" chooses one']
    tables, notes = [], []
    for name in names:
        table = labels.read_table(name, files.text(name), index)
        if table is not None:
            missing = [row.line for row, sound in zip(table.rows, table.found, strict=True) if sound is None]
            tables.append(table)
            if missing:
                notes.append(
                    f"{len(missing):,} of {len(table.rows):,} rows of {name} mention no recording here, or more than one, "
                    f"such as line {missing[0]}"
                )
        elif chosen is not None:
            raise InputError(f"data audio: no column of {name} mentions recordings in {files.where}")
        else:
            notes.append(f"{name} mentions none of the recordings and is not used")
    return tables, notes


def _table_words(tables: list[Table], column: str, required: bool) -> tuple[Stated, tuple[str, ...]]:
    """Return the classes that tables state, and notes. Several tables are read together if they are the splits of one."""
    columns = {table.name: table.chosen(column) if column else table.class_column() for table in tables}
    tables = [table for table in tables if columns[table.name] is not None]
    if not tables:
        if required:
            raise InputError('data audio: which column of the table holds the classes? Name it: classes="FILE.csv:COLUMN"')
        return Stated(), ()
    names = listed([table.name for table in tables])
    if len(tables) > 1 and not _are_splits(tables):
        raise InputError(f'data audio: several tables hold classes, {names}: choose one, as in classes="{tables[0].name}"')
    words = {}
    for table in tables:
        words |= table.values(columns[table.name])
    place = f"{names}, column {_column_name(tables[0], columns[tables[0].name])}"
    if len(set(words.values())) > max(1, len(words) // 2):
        problem = f"{place} has {len(set(words.values())):,} values for {len(words):,} recordings"
        if required:
            raise InputError(f"data audio: {problem}: these are no classes")
        return Stated(), (f"{problem}, so they are not read as classes",)
    return Stated(words, place), ()


def _column_name(table: Table, column: int) -> str:
    return table.header[column] if table.header else str(column + 1)


def _table_split(table: Table) -> str | None:
    """Return the split that the name of a table, or else of its folder, states."""
    path = PurePosixPath(table.name)
    return split_of(path.stem) or split_of(path.parent.name)


def _are_splits(tables: list[Table]) -> bool:
    splits = {_table_split(table) for table in tables}
    return "train" in splits and len(splits) == len(tables) and None not in splits


def _table_splits(tables: list[Table]) -> Stated:
    by_name = [table for table in tables if _table_split(table)]
    if len(by_name) > 1 and _are_splits(by_name):
        return _disjoint({table.name: (_table_split(table), set(table.found) - {None}) for table in by_name})
    for table in tables:
        column = table.column(SPLIT_COLUMNS)
        values = {} if column is None else table.values(column)
        place = f"{table.name}, column {_column_name(table, column)}" if values else ""
        if {"train"} < {split_of(value) for value in values.values()} and None not in map(split_of, values.values()):
            return Stated({name: split_of(value) for name, value in values.items()}, place)
        folds = set(values.values())
        if len(folds) > 1 and all(fold.isdecimal() for fold in folds):
            last = max(folds, key=int)
            held_out = {name: "test" if fold == last else "train" for name, fold in values.items()}
            return Stated(held_out, f"{place}: {last} is held out")
    return Stated()


def _disjoint(parts: dict[str, tuple[str, set[str]]]) -> Stated:
    """Return the split of each recording, from {list: (split, recordings)}. Raises InputError for one in two lists."""
    splits: dict[str, str] = {}
    for split, names in parts.values():
        both = sorted(name for name in names if splits.get(name, split) != split)
        if both:
            raise InputError(f"data audio: {listed(both)} are in two of the lists {listed(list(parts))}")
        splits |= dict.fromkeys(names, split)
    return Stated(splits, listed(list(parts)))


def _listed_splits(files: SoundFiles, index: Index) -> tuple[Stated, list[str], frozenset[str]]:
    """Return (the splits by lists as in Speech Commands, notes, the lists); recordings in no list are for training."""
    parts, notes = {}, []
    paths = [
        (path, split) for list_name, split in LISTS.items() for path in files.others if PurePosixPath(path).name == list_name
    ]
    for path, split in paths:
        entries = [line.strip() for line in lines(files.text(path)) if line.strip()]
        found = [index.find(entry, str(PurePosixPath(path).parent)) for entry in entries]
        missing = [entry for entry, name in zip(entries, found, strict=True) if name is None]
        if entries and len(missing) == len(entries):
            raise InputError(
                f"data audio: {path} in {files.where} names none of the recordings there, such as {entries[0]!r}: "
                f"a line is the path of one, as in {next(iter(files.sounds))}"
            )
        if missing:
            notes.append(f"{len(missing):,} of {len(entries):,} entries of {path} name no recording here: {listed(missing, 2)}")
        parts[path] = (split, set(found) - {None})
    if not parts:
        return Stated(), notes, frozenset()
    splits = _disjoint(parts)
    return Stated(dict.fromkeys(files.sounds, "train") | splits.by_name, splits.place), notes, frozenset(parts)


def _folder_splits(names: Iterable[str]) -> tuple[Stated, dict[str, Sequence[str]]]:
    """Return the splits that the first folders state, if these are splits, and the other folders of each recording."""
    folders = {name: PurePosixPath(name).parts[:-1] for name in names}
    splits = {name: split_of(parts[0]) if parts else None for name, parts in folders.items()}
    if not {"train"} < set(splits.values()) or None in splits.values():
        return Stated(), folders
    place = f"the folders {listed(sorted({parts[0] for parts in folders.values()}))}"
    return Stated(splits, place), {name: parts[1:] for name, parts in folders.items()}


def _folder_words(folders: dict[str, Sequence[str]], classes: str | None) -> Stated:
    """Return the classes that the folders of recordings state; a single folder is no class."""
    shared = 0
    while all(len(parts) > shared for parts in folders.values()) and len({parts[shared] for parts in folders.values()}) == 1:
        shared += 1
    folders = {name: parts[shared:] for name, parts in folders.items()}
    outside = [name for name, parts in folders.items() if not parts]
    deep = [name for name, parts in folders.items() if len(parts) > 1]
    if classes is None and any(folders.values()) and (outside or deep):
        example, option = (outside[0], "") if outside else (deep[0], 'classes="first_folder", classes="last_folder" or ')
        problem = "recordings are both inside and outside of folders" if outside else "folders contain folders"
        raise InputError(f'data audio: {problem}, as in {example}: set {option}classes="none"')
    level = -1 if classes == "last_folder" else 0
    words = {name: parts[level] for name, parts in folders.items() if parts}
    return Stated(words, "folders") if len(set(words.values())) > 1 else Stated()


def _pattern(names: list[str], splits: Stated, required: bool) -> tuple[Stated, Stated]:
    """Return the words and splits by the file names of the Free Spoken Digit Dataset; splits that are stated remain."""
    takes = {name: FILE_NAME.fullmatch(PurePosixPath(name).stem) for name in names}
    others = [name for name, take in takes.items() if not take]
    if others and required:
        raise InputError(f"data audio: {listed(others)} are not called WORD_SPEAKER_NUMBER")
    words = {name: take[1] for name, take in takes.items() if take}
    if others or (not required and (len(set(words.values())) < 2 or min(Counter(words.values()).values()) < 2)):
        return Stated(), splits
    by_take = {name: "test" if int(take[3]) < HELD_OUT_TAKES else "train" for name, take in takes.items()}
    every_word_in_both = len({(words[name], by_take[name]) for name in names}) == 2 * len(set(words.values()))
    if splits.by_name is None and every_word_in_both:
        official = "the official split of the Free Spoken Digit Dataset"
        splits = Stated(by_take, f"numbers below {HELD_OUT_TAKES} in the file names, {official}")
    return Stated(words, 'the file names WORD_SPEAKER_NUMBER (classes="none" turns this off)'), splits
