"""Pictures, sounds, tables and texts of samples as HTML that contains all of them, with descriptions of what is seen."""

import base64
import csv
import io
import re
import struct
from collections.abc import Sequence
from html import escape, unescape
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from gan_jax.errors import InputError
from gan_jax.imaging.grid import grid_columns
from gan_jax.reports.html import read_json_object

PICTURES = {".svg": "image/svg+xml", ".png": "image/png"}  # the first one, if there are both with one name
SUFFIXES = (*PICTURES, ".wav", ".csv", ".txt", ".smi")
MAX_ROWS = 12  # of a table on the page
MAX_HEADS = 20  # class names over the columns of a grid
MAX_LEVEL_NAME = 4  # characters of a class name that fits over a column; longer ones are turned


class Shown(NamedTuple):
    """What is known about a group of samples that is shown: a phrase for `alt`, and the class of each sample, if G was passed
    one."""

    description: str
    labels: Sequence[str] = ()


def media_files(run_dir: Path) -> list[Path]:
    """The files in `run_dir`/samples that a page can show: pictures, then sounds, tables and texts, each by name."""
    folder = run_dir.resolve() / "samples"
    # Skip links: they could put any file of this machine into a page that is made to be shared.
    files = [p for p in folder.iterdir() if p.is_file() and p.resolve().parent == folder] if folder.is_dir() else []
    return sorted((p for p in files if p.suffix in SUFFIXES), key=lambda path: (SUFFIXES.index(path.suffix), path.name))


def read_labels(run_dir: Path) -> dict[str, list[str]]:
    """The classes of the samples shown, by the beginning of the file names: `real`, `step`, `interpolation`; empty for games
    without classes. Raises InputError if the file is corrupt."""
    path = run_dir / "samples" / "labels.json"
    if not path.is_file() or path.is_symlink():
        return {}
    content = read_json_object(path)
    if not all(isinstance(labels, list) and all(isinstance(label, str) for label in labels) for labels in content.values()):
        raise InputError(f"{path} is corrupt: expected lists of class names")
    return content


def embed(files: Sequence[Path], shown: Shown) -> str:
    """Return the files of one group of samples as HTML. Raises InputError, naming the file, if one cannot be read or is
    corrupt."""
    by_stem: dict[str, dict[str, Path]] = {}
    for path in files:
        by_stem.setdefault(path.stem, {})[path.suffix] = path
    clips = [stem for stem, group in by_stem.items() if ".wav" in group]
    html = "".join(_embed_group(group, shown) for stem, group in by_stem.items() if stem not in clips)
    cells = "".join(_clip(by_stem[stem], i, shown) for i, stem in enumerate(clips))
    return html + (f'<div class="sounds">{cells}</div>' if cells else "")


def count_pictures(files: Sequence[Path]) -> int:
    """The number of pictures that are not those of single sounds."""
    sounds = {path.stem for path in files if path.suffix == ".wav"}
    return len({path.stem for path in files if path.suffix in PICTURES} - sounds)


def _embed_group(group: dict[str, Path], shown: Shown) -> str:
    html = ""
    if picture := next((group[suffix] for suffix in PICTURES if suffix in group), None):
        drawn = _grid(picture, shown)
        # Drawings of many things with text, which would be too small on a phone.
        detailed = picture.suffix == ".svg" and group.keys() & {".csv", ".smi"}
        html += f'<div class="scroll detailed">{drawn}</div>' if detailed else drawn
    if ".csv" in group:
        html += _table(group[".csv"])
    elif ".txt" in group:  # next to a table, the same rows
        html += f'<pre tabindex="0">{escape(_read(group[".txt"]).decode(errors="replace"))}</pre>'
    if ".smi" in group:
        text = f'<pre tabindex="0">{escape(_read(group[".smi"]).decode(errors="replace"))}</pre>'
        html += f"<details><summary>SMILES</summary>{text}</details>" if picture else text
    return html


def _picture(path: Path, description: str, css_class: str = "") -> str:
    data = _read(path)
    if path.suffix == ".svg":
        if b"<svg" not in data:
            raise _corrupt(path)
        source = f"data:image/svg+xml,{quote(data, safe=' ,;:/=()+*!?@$&~.-_')}"
        if seen := re.search(rb"<desc>(.*?)</desc>", data, re.DOTALL):  # what the drawing says about itself
            description += f". {unescape(seen[1].decode(errors='replace'))}"
    else:
        if not (data.startswith(b"\x89PNG\r\n\x1a\n") and data.endswith(b"IEND\xaeB\x60\x82")):
            raise _corrupt(path)
        source = f"data:image/png;base64,{base64.b64encode(data).decode()}"
        # Enlarge small pictures without smoothing. A PNG's width is the first number of its header.
        css_class = css_class or ("pixels" if int.from_bytes(data[16:20]) < 400 else "")
    return f'<img {f"class={css_class} " if css_class else ""}alt="{escape(description)}" src="{escape(source)}">'


def _grid(path: Path, shown: Shown) -> str:
    """The picture of a grid, with the class over each column or before each row that has only one."""
    lines, names = _heads(shown.labels)
    if not names:
        return _picture(path, shown.description)
    picture = _picture(path, f"{shown.description}: a grid whose {lines} are the classes {', '.join(names)}")
    long = " long" if max(map(len, names)) > MAX_LEVEL_NAME and lines == "columns" else ""
    heads = "".join(f"<span>{escape(name)}</span>" for name in names)
    return f'<div class="heads {lines}{long}"><div aria-hidden="true">{heads}</div>{picture}</div>'


def _heads(labels: Sequence[str]) -> tuple[str, list[str]]:
    """Whether columns or rows of a grid of samples with these labels have one class each, and these classes; none if neither
    do, or if there are too many."""
    columns = grid_columns(len(labels)) if labels else 0
    rows = [labels[i : i + columns] for i in range(0, len(labels), columns)] if columns else []
    if rows and columns <= MAX_HEADS and len(rows[-1]) == columns:
        for name, lines in (("columns", list(zip(*rows, strict=True))), ("rows", rows)):
            if all(len(set(line)) == 1 for line in lines):
                return name, [line[0] for line in lines]
    return "", []


def _clip(group: dict[str, Path], number: int, shown: Shown) -> str:
    """A player under the spectrogram of its sound, if there is one, with the class that G was passed."""
    path = group[".wav"]
    data = _read(path)
    if not data.startswith(b"RIFF"):
        raise _corrupt(path)
    label = shown.labels[number] if number < len(shown.labels) else ""
    name = f"class {label}" if label else f"sound {number + 1}"
    axes = _describe_sound(data)
    picture = ""
    if ".png" in group:
        alt = f"Spectrogram of {name}, time to the right, low frequencies at the bottom. {shown.description}"
        picture = _picture(group[".png"], alt, "spectrogram")
    source = f"data:audio/wav;base64,{base64.b64encode(data).decode()}"
    # Without the menu, which would take the place of the button that starts a narrow player.
    controls = 'controls controlslist="nodownload noplaybackrate"'
    player = f'<audio {controls} aria-label="{escape(f"{name}. {shown.description}")}" src="{source}"></audio>'
    caption = f"<figcaption><b>{escape(label or name)}</b> {axes}</figcaption>"
    return f"<figure>{caption}{picture}{player}</figure>"


def _describe_sound(data: bytes) -> str:
    """The length and the range of frequencies of a wav file, from its header; empty if that is unusual."""
    if len(data) < 44 or data[12:16] != b"fmt " or data[36:40] != b"data":
        return ""
    rate, bytes_per_second = struct.unpack("<II", data[24:32])
    (size,) = struct.unpack("<I", data[40:44])
    return f"{size / bytes_per_second:.2g} s, 0 to {rate / 2000:g} kHz" if bytes_per_second else ""


def _table(path: Path) -> str:
    """The first rows of a csv file."""
    rows = list(csv.reader(io.StringIO(_read(path).decode(errors="replace"))))
    if not rows:
        raise _corrupt(path)
    head, body = rows[0], rows[1:]
    numeric = [all(_is_number(row[i]) for row in body if i < len(row) and row[i]) for i in range(len(head))]
    columns = zip(head, numeric, strict=True)
    cells = "".join(f'<th scope="col"{" class=number" if right else ""}>{escape(name)}</th>' for name, right in columns)
    lines = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in body[:MAX_ROWS])
    table = f'<table class="rows"><thead><tr>{cells}</tr></thead><tbody>{lines}</tbody></table>'
    note = f"The first {MAX_ROWS} of {len(body):,} rows." if len(body) > MAX_ROWS else f"{len(body)} rows."
    return (
        f'<div class="scroll" tabindex="0" role="group" aria-label="Rows of the table">{table}</div><p class="note">{note}</p>'
    )


def _cell(text: str) -> str:
    if not text:
        return '<td class="missing">missing</td>'
    return f'<td class="number">{escape(text)}</td>' if _is_number(text) else f"<td>{escape(text)}</td>"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _corrupt(path: Path) -> InputError:
    return InputError(f"{path} is corrupt: not a complete {path.suffix[1:]} file; delete it to leave it out of the report")
