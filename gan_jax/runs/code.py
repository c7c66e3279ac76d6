"""The code that a run executes: the user's files that its config names, what they import from their folder, and this package.

The digest of each is recorded in environment.json, and the source is copied into the run directory.
"""

import ast
import hashlib
import io
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from gan_jax.config import Config
from gan_jax.errors import InputError
from gan_jax.runs.trust import named_code
from gan_jax.spec.lookup import split_code

PACKAGE = Path(__file__).resolve().parents[1]
INSTALLED = (PACKAGE, *(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")))


class Source(NamedTuple):
    """A user's file: the fields of the config that use it, and its content."""

    fields: tuple[str, ...]
    content: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def user_code(config: Config) -> dict[str, Source]:
    """The user's files that `config` names, as `path.py` or as an imported module, and those that they import from their own
    folder by an `import` statement, by path. Call it after the game is built: an unknown file has been reported by then.

    Raises InputError for a file that cannot be read."""
    sources: dict[str, Source] = {}
    for field, texts in named_code(config).items():
        for file in (file for text in texts for path, root in _named_file(text) for file in _closure(path, root)):
            fields = sources[str(file)].fields if str(file) in sources else ()
            sources[str(file)] = Source(tuple(dict.fromkeys((*fields, field))), _read(file))
    return sources


def changed_code(recorded: dict[str, str], current: dict[str, Source]) -> list[str]:
    """The files that differ from the `recorded` digests, as `loss: mine.py (sha256 0123..., now 4567...)`."""
    changes = []
    for path in sorted(recorded.keys() | current.keys()):
        before = str(recorded.get(path, "none"))
        now = current[path].sha256 if path in current else "not used"
        if before != now:
            fields = f"{', '.join(current[path].fields)}: " if path in current else ""
            changes.append(f"{fields}{path} (sha256 {before[:12]}, now {now[:12]})")
    return changes


def copies(sources: dict[str, Source]) -> dict[str, bytes]:
    """The files to keep in a run directory, by name: the users' sources, and this package unless it equals its commit."""
    files = {f"{Path(path).stem}-{source.sha256[:12]}.py": source.content for path, source in sources.items()}
    if not (commit := package_commit()) or commit.endswith("+"):
        files[f"gan_jax-{package_digest()[:12]}.zip"] = _package_archive()
    return files


@cache
def package_commit() -> str | None:
    """The commit of this package, with a `+` if files differ from it; None outside a checkout."""

    def git(*command: str) -> str:
        command = ("git", "-C", str(PACKAGE), *command)
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", "__init__.py")  # an installed package may lie in the user's checkout
        return git("describe", "--always", "--abbrev=40", "--dirty=+", "--exclude=*") or None
    except (OSError, subprocess.SubprocessError):
        return None


@cache
def package_digest() -> str:
    """sha256 over the names and contents of the package's source files."""
    sha = hashlib.sha256()
    for name, content in _package_files():
        sha.update(f"{name} {len(content)} ".encode() + content)
    return sha.hexdigest()


@cache
def _package_archive() -> bytes:
    """The package's source files as a zip, equal for equal contents."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for name, content in _package_files():
            target.writestr(zipfile.ZipInfo(f"gan_jax/{name}"), content, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def _package_files() -> Iterator[tuple[str, bytes]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        name = path.relative_to(PACKAGE).as_posix()
        if not name.startswith("recipes/"):  # of an installed package; a checkout has them elsewhere, and a run its config
            yield name, path.read_bytes()


def _named_file(text: str) -> Iterator[tuple[Path, Path]]:
    """The file of a function or network called `text`, if it is a file, and the folder from which it imports."""
    source, _ = split_code(text)
    if source.endswith(".py") and Path(source).is_file():
        yield Path(source), Path(source).parent
    file = getattr(sys.modules.get(source), "__file__", None)
    if file and file.endswith(".py"):
        yield Path(file), Path(file).parents[source.count(".") + Path(file).match("__init__.py")]


def _closure(path: Path, root: Path) -> list[Path]:
    """A file and those that it imports, directly or not, from its own folder or from `root`. Installed packages, which a
    version describes, are not searched."""
    found, waiting = [], [path]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        found.append(file)
        if not _is_installed(file):
            waiting += [other for folder in dict.fromkeys((file.parent, root)) for other in _imported(file, folder)]
    return found


def _imported(file: Path, folder: Path) -> Iterator[Path]:
    """The files below `folder` that the import statements in a file name."""
    try:
        tree = ast.parse(_read(file))
    except (SyntaxError, ValueError):  # of a file that is not imported by the syntax of this Python
        return
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from _modules(folder, alias.name)
        elif isinstance(node, ast.ImportFrom):
            base = file.parents[min(node.level, len(file.parents)) - 1] if node.level else folder
            for alias in node.names:
                yield from _modules(base, ".".join(part for part in (node.module, alias.name) if part))


def _modules(folder: Path, name: str) -> Iterator[Path]:
    """The files that `import NAME` executes if NAME lies in `folder`: those of its packages and its own."""
    for part in name.split("."):
        folder = folder / part
        for file in (folder / "__init__.py", folder.with_name(f"{part}.py")):
            if file.is_file() and not _is_installed(file):
                yield file
                break


def _is_installed(path: Path) -> bool:
    return any(path.resolve().is_relative_to(folder) for folder in INSTALLED)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
