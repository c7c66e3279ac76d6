"""The flags of the fields of Config, in groups, with the names that they accept. JAX is not imported: names of functions are
read from the source files."""

import ast
from collections.abc import Iterable
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

from gan_jax.config import Config

# Group -> its first field; the fields of Config stand in the order of the groups.
GROUPS = {
    "run": "name",
    "data": "data",
    "networks": "model",
    "loss": "loss",
    "optimisation": "update",
    "evaluation": "log_every",
    "hardware": "dispatch",
}
PACKAGE = Path(__file__).parents[1]
# Field -> the file whose public functions are its known names.
FUNCTIONS = {
    "latent": "latents.py",
    "loss": "losses.py",
    "auxiliary": "auxiliary.py",
    "penalty": "penalties.py",
    "g_penalty": "g_penalties.py",
    "augment": "augment.py",
    "deceive": "deceive.py",
    "update": "game/update_rules.py",
    "metrics": "data/images/suite.py",
}


def parser_of_config(description: str) -> Any:
    """A jsonargparse parser with a flag for each field of Config."""
    import argparse

    from docstring_parser import parse_from_object
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(
        description=description,
        exit_on_error=False,
        default_env=False,
        allow_abbrev=False,
        usage="%(prog)s [RECIPE.py | RUN_DIR/config.json] [--field value ...] [--option ...]",
        formatter_class=partial(argparse.RawDescriptionHelpFormatter, max_help_position=26),
    )
    documented = {parameter.arg_name: parameter.description for parameter in parse_from_object(Config).params}
    starts = {first: title for title, first in GROUPS.items()}
    group: Any = parser
    for field in fields(Config):
        if field.name in starts:
            group = parser.add_argument_group(starts[field.name])
        default = [f"(default: {field.default})"] if field.default not in (None, "", False) else []
        text = " ".join([*documented[field.name].split(), *known_names(field.name), *default]).replace("%", "%%")
        group.add_argument(f"--{field.name}", type=field.type, default=field.default, help=text, metavar=_metavar(field.type))
    return parser


def _metavar(kind: Any) -> str:
    words = {int: "N", float: "X", bool: "[true|false]"}
    choices = getattr(kind, "__args__", (kind,))
    if all(isinstance(choice, str) for choice in choices):  # a Literal
        return "|".join(choices)
    return next((words[choice] for choice in choices if choice in words), "TEXT")


def known_names(field: str) -> Iterable[str]:
    """The words of the help that list what a field accepts."""
    if field == "model":
        yield f"(known: {', '.join(network_families())})"
    elif field in FUNCTIONS:
        yield f"(known: {', '.join(public_names(PACKAGE / FUNCTIONS[field]))})"


def public_names(path: Path) -> list[str]:
    """The public functions that a file defines."""
    return [
        node.name
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")
    ]


def network_families() -> list[str]:
    """The files of `gan_jax/models` that define a Generator."""
    families = []
    for path in sorted((PACKAGE / "models").glob("*.py")):
        nodes = ast.parse(path.read_text(encoding="utf-8")).body
        assigned = [
            target.id for node in nodes if isinstance(node, ast.Assign) for target in node.targets if hasattr(target, "id")
        ]
        if "Generator" in [*assigned, *(node.name for node in nodes if isinstance(node, ast.ClassDef))]:
            families.append(path.stem)
    return families
