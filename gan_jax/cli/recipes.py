"""List the recipes that come with the package, with their data, time and result: `gan_jax recipes`.

`gan_jax recipes NAME` shows the file of one and its docstring, which says how its figures were measured. `gan_jax train NAME`
trains it; a copy of the file with changes of your own is trained by `gan_jax train COPY.py`.
"""

import ast
import re
import shutil
import textwrap
from pathlib import Path
from typing import NamedTuple

from gan_jax.cli.command import Parser
from gan_jax.config import load_recipe
from gan_jax.errors import InputError, reading
from gan_jax.spec.recipes import find_recipe, recipe_files


class Row(NamedTuple):
    """A recipe in the list."""

    name: str
    data: str
    time: str
    result: str


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("recipe", nargs="?", metavar="NAME", help="a recipe to describe (default: list all)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    if options.recipe is None:
        rows = [row(name, path) for name, path in recipe_files().items()]
        print(table(rows, shutil.get_terminal_size((250, 24)).columns))
    else:
        path = find_recipe(options.recipe)
        if path.suffix == ".json":
            raise InputError(f"{path} is a config without a description: `gan_jax train {path} --dry_run` shows it")
        load_recipe(path)  # any other file that is no recipe is refused
        print(path, docstring(path), sep="\n\n")


def row(name: str, path: Path) -> Row:
    """A recipe's row: its data from its config, and the lines `Time:` and `Measured:` (or `Published:`) of its docstring."""
    lines = dict(re.findall(r"^(Time|Measured|Published): (.*)$", docstring(path), re.MULTILINE))
    published = f"published: {lines['Published']}" if "Published" in lines else "-"
    return Row(name, short(load_recipe(path).data), lines.get("Time", "-"), lines.get("Measured", published))


def docstring(path: Path) -> str:
    """The docstring of a recipe; empty if it has none. Raises InputError for a file that cannot be read."""
    with reading(f"the recipe {path}"):
        return ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""


def short(data: str) -> str:
    """The name of data; of options, only the path: `text(path="a.txt", length=32)` -> `text(a.txt)`."""
    return re.sub(r'\(path="([^"]*)".*\)', r"(\1)", data)


def table(rows: list[Row], columns: int) -> str:
    """The rows as text. Results are wrapped at the width of the terminal; if it is narrow, each has lines of its own."""
    rows = [Row("recipe", "data", "time", "result"), *rows]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)][:3]
    indent = sum(widths) + 2 * len(widths)
    narrow = columns - indent < 40
    lines = []
    for name, data, time, result in rows:
        left = f"{name:{widths[0]}}  {data:{widths[1]}}  {time:{widths[2]}}"
        wrapped = textwrap.wrap(result, max(columns, 40) - (4 if narrow else indent))
        if narrow:
            lines += [left.rstrip(), *(f"    {line}" for line in wrapped)]
        else:
            lines += [f"{left}  {wrapped[0]}", *(" " * indent + line for line in wrapped[1:])]
    return "\n".join(lines)
