"""What the package imports: of the default installation when a module is loaded, and an extra only where it is used, with the
line that installs it in the error."""

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
# Imported packages whose distributions have other names.
DISTRIBUTIONS = {"PIL": "pillow", "sklearn": "scikit-learn", "imageio_ffmpeg": "imageio-ffmpeg", "orbax": "orbax-checkpoint"}
# Not on Windows.
POSIX = {"fcntl", "grp", "posix", "pwd", "pty", "resource", "syslog", "termios", "tty"}
# Loaded only where PyTorch is installed.
TORCH = {"gan_jax/benchmark/twin.py", "gan_jax/benchmark/twin_filtered.py", "gan_jax/benchmark/twin_networks.py"}
SOURCES = sorted((ROOT / "gan_jax").rglob("*.py"))


def distribution(package):
    return DISTRIBUTIONS.get(package, package).replace("_", "-").lower()


def names(requirements):
    return {re.match(r"[\w-]+", requirement)[0].lower() for requirement in requirements}


def imported(statements):
    for node in statements:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module.split(".")[0]


def test_every_module_loads_with_the_default_installation_on_every_system():
    allowed = names(PROJECT["dependencies"]) | (sys.stdlib_module_names - POSIX) | {"jaxlib", "gan-jax"}
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        inside = {id(inner) for node in ast.walk(tree) for inner in _later(node)}
        loaded = {distribution(name) for name in imported(node for node in ast.walk(tree) if id(node) not in inside)}
        where = path.relative_to(ROOT).as_posix()
        assert loaded - allowed - ({"torch"} if where in TORCH else set()) == set(), where


def _later(node):
    """What a function holds is executed when it is called."""
    return ast.walk(node) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) else ()


def test_an_extra_in_an_error_installs_what_is_missing():
    found = set()
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.With) or not re.match(r"needs\(", call := ast.unparse(node.items[0].context_expr)):
                continue
            requirement = ast.literal_eval(node.items[0].context_expr.args[1])
            extra = re.fullmatch(r"gan_jax\[(\w+)\]", requirement)
            installs = names(PROJECT["optional-dependencies"][extra[1]] if extra else [requirement])
            packages = {distribution(name) for name in imported(node.body)}
            assert packages and packages <= installs, f"{path}: {call} does not install {packages - installs}"
            found |= packages
    assert found >= {"nltk", "rdkit", "selfies", "soundfile", "safetensors", "imageio-ffmpeg", "grain", "tensorflow-datasets"}


def test_every_extra_named_in_the_sources_exists():
    text = "".join(path.read_text() for path in [*SOURCES, ROOT / "README.md"])
    named = set(re.findall(r"gan_jax\[(\w+)\]", text))
    assert {"audio", "molecules", "prepare"} <= named <= PROJECT["optional-dependencies"].keys()
