"""Read SMILES from the files of other programs: one per line, with or without names, or in a column of a delimited file."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from gan_jax.data.reading import DELIMITERS, MISSING, SPLIT_COLUMNS, lines, listed, read_rows, read_strings, read_text
from gan_jax.errors import InputError, needs

EXAMINED = 50  # rows, spread over the file, by which a column of SMILES is recognised
STRUCTURES = (".sdf", ".mol", ".mol2", ".pdb", ".xyz")  # suffixes of files that hold no SMILES


class Smiles(NamedTuple):
    """The SMILES in a file."""

    texts: list[str]  # one for each row, "" where it is missing, with a CXSMILES extension where there is one
    notes: tuple[str, ...]  # where they were found


def read_smiles(path: Path, column: str | int | None) -> Smiles:
    """Return the SMILES in a file: of the named or numbered (from 1) column; or of the one that its header calls smiles, or
    something with smiles, such as canonical_smiles; or of the only one whose cells are molecules. If no row is divided, they
    are the lines. Raises InputError if no column, or more than one, is a candidate, and names those of the file."""
    where = f"data molecules: {path}"
    if path.suffix.lower() in STRUCTURES:
        raise InputError(f"{where}: this format is not read: convert it to SMILES, as in obabel {path.name} -O molecules.smi")
    return find_smiles(read_text(path, "data molecules"), where, column)


def read_samples(path: Path) -> Smiles:
    """Return the SMILES in a file that any program wrote, for measuring: the array `smiles` of an .npz, or else those of
    `read_smiles`."""
    return Smiles(read_strings(path, "smiles"), ()) if path.suffix == ".npz" else read_smiles(path, None)


def find_smiles(content: str, where: str, column: str | int | None) -> Smiles:
    """Return the SMILES in the content of a file; see `read_smiles`. `where` begins the messages."""
    rows = _rows(content, where)
    width = max(map(len, rows), default=0)
    if not width:
        return Smiles([], ())
    named = _named(rows[0], where) if column is None else _chosen(rows[0], width, where, column)
    if named is None:
        named = _recognised(rows, width, where) if width > 1 else 0
    name = rows[0][named] if named < len(rows[0]) else ""
    # A header is a row that names the column; among several columns, also one with a word there that is no molecule.
    word = width > 1 and re.fullmatch(r"[A-Za-z][\w ]*", name) and not _is_molecule(name)
    header = bool(_is_name(name) or name == column or word)
    texts = [_cell(row, named) for row in rows[header:]]
    title = f"{name!r}" if header else f"{named + 1} of {width}"
    notes = (f"SMILES are in column {title}",) if width > 1 or (header and not _is_name(name)) else ()
    stated = [cell for cell in rows[0] if cell.lower() in SPLIT_COLUMNS] if header else []
    notes += (f"column {stated[0]!r} does not decide which molecules are held out",) if stated else ()
    return Smiles(["" if text.lower() in MISSING else text for text in texts], notes)


def _rows(content: str, where: str) -> list[list[str]]:
    """Return the cells of all rows: divided by the delimiter, if it divides the header or most of the lines; or by white space,
    if that divides most of the lines; or else whole lines, blank ones included."""
    all_lines = lines(content)
    filled = [line.strip() for line in all_lines if line.strip()]
    header = read_rows(filled[0], where)[0].cells if filled and _is_name(filled[0]) else []
    if len(header) > 1:  # in ZINC250k each SMILES ends with a line end within its quotes, so lines are no rows
        return [row.cells for row in read_rows(content, where)]
    examined = filled[1 :: max(1, len(filled) // EXAMINED)] or filled

    def most(condition: Callable[[str], bool]) -> bool:
        return sum(map(condition, examined)) > len(examined) / 2

    named = most(lambda line: len(line.split()) > 1 and _is_molecule(line))  # such as "CCO ethanol, pure"
    if most(lambda line: "\t" in line) or (not named and most(lambda line: any(mark in line for mark in DELIMITERS))):
        return [row.cells for row in read_rows(content, where)]
    if most(lambda line: len(_words(line)) > 1):
        return [[word.strip('"') for word in _words(line)] for line in all_lines]
    return [[line.strip().strip('"')] for line in all_lines]


def _words(line: str) -> list[str]:
    return re.findall(r"\S+(?:\s+\|[^|]*\|)?", line)  # a CXSMILES extension, between bars, belongs to its SMILES


def _cell(row: Sequence[str], column: int) -> str:
    return row[column] if column < len(row) else ""


def _is_name(text: str) -> bool:
    return "smiles" in text.lower()


def _named(header: Sequence[str], where: str) -> int | None:
    """Return the column that is called smiles, or the only one whose name contains it."""
    names = [i for i, name in enumerate(header) if _is_name(name)]
    exact = [i for i in names if header[i].lower() == "smiles"]
    if len(exact or names) > 1:
        raise _undecided(where, "several columns have SMILES", header)
    return (exact or names or [None])[0]


def _chosen(header: Sequence[str], width: int, where: str, column: str | int) -> int:
    if type(column) is int and 1 <= column <= width:
        return column - 1
    if header.count(column) != 1:
        raise _undecided(where, f"{'several columns' if column in header else 'no column'} {column!r}", header)
    return header.index(column)


def _recognised(rows: Sequence[Sequence[str]], width: int, where: str) -> int:
    """Return the only column most of whose cells are molecules of at least two atoms."""
    examined = rows[1 :: max(1, len(rows) // EXAMINED)] or rows
    fits = [i for i in range(width) if sum(_is_molecule(_cell(row, i), 2) for row in examined) > len(examined) / 2]
    if len(fits) != 1:
        raise _undecided(where, f"{'several columns' if fits else 'no column'} of {width} can be read as SMILES", rows[0])
    return fits[0]


def _undecided(where: str, problem: str, header: Sequence[str]) -> InputError:
    return InputError(f'{where}: {problem}: column="..." names, or counts from 1, one of {listed(header, 20)}')


def _is_molecule(text: str, min_atoms: int = 1) -> bool:
    """Whether RDKit can read a cell, or all parts of a reaction."""
    parts = [parse(part) for word in text.split()[:1] for part in word.split(">") if part]
    return bool(parts) and all(part is not None and part.GetNumAtoms() >= min_atoms for part in parts)


def parse(text: str) -> Any:
    """Return the molecule of a SMILES, None if RDKit cannot read it. A CXSMILES extension is ignored; other text after the
    SMILES makes it invalid."""
    smiles, *extension = text.split(maxsplit=1) or [""]
    return None if extension and not extension[0].startswith("|") else rdkit().MolFromSmiles(smiles)


def rdkit() -> Any:
    """Import RDKit's Chem module and silence its messages about rejected molecules."""
    with needs("molecules need RDKit", "gan_jax[molecules]"):
        from rdkit import Chem, RDLogger
    RDLogger.DisableLog("rdApp.*")
    return Chem
