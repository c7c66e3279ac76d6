"""The recipes that come with the package, by name: `toy/ring`, or `ring` for short.

They lie in `experiments/` of a checkout, which an installed package has as `gan_jax/recipes/`. Imports neither JAX nor NumPy.
"""

import difflib
from pathlib import Path

from gan_jax.errors import InputError, reading

_PACKAGE = Path(__file__).parents[1]
_INSTALLED = _PACKAGE / "recipes"
RECIPES = _INSTALLED if _INSTALLED.is_dir() else _PACKAGE.parent / "experiments"


def recipe_files() -> dict[str, Path]:
    """The files of all recipes, by DOMAIN/NAME in alphabetical order."""
    return {path.relative_to(RECIPES).with_suffix("").as_posix(): path for path in sorted(RECIPES.glob("*/*.py"))}


def find_recipe(text: str | Path) -> Path:
    """The file that `text` names: any existing file, or else a recipe of the package, as `toy/ring`, `ring` or, from wherever,
    `experiments/toy/ring.py`. Raises InputError, which suggests the nearest recipe, if there is no such file."""
    path = Path(text)
    with reading(f"the recipe {str(path)!r}"):  # a name may be too long
        if path.is_file():
            return path
    files = recipe_files()
    name = path.as_posix().removeprefix("experiments/").removesuffix(".py")
    matches = [known for known in files if known == name or known.endswith(f"/{name}")]
    if len(matches) == 1:
        return files[matches[0]]
    if matches:
        raise InputError(f"recipe {name!r} is ambiguous: {' or '.join(matches)}")
    if path.is_dir() and (path / "config.json").is_file():
        raise InputError(f"{path} is a run directory, not a recipe: did you mean {path / 'config.json'}?")
    nearest = _nearest(name, files)
    hint = f"did you mean {nearest}? `gan_jax recipes` lists all" if nearest else f"known: {', '.join(files)}"
    raise InputError(f"no recipe {text}: {hint}; or give the path of a RECIPE.py, or of a run's config.json")


def _nearest(name: str, files: dict[str, Path]) -> str | None:
    """The recipe whose name, with or without its domain, is nearest to `name`; None if none is near."""
    known = {spelling: full for full in files for spelling in (full, full.rpartition("/")[2])}
    nearest = difflib.get_close_matches(name, known, n=1)
    return known[nearest[0]] if nearest else None
