"""Find functions by name, without a registry: the public functions defined in a module are its variants, and
`path/file.py:function` or `package.module:function` names any other function. Options go in brackets: `mmd(kernel="gaussian")`.
"""

import importlib
import importlib.util
import inspect
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import ModuleType
from typing import Any

from gan_jax.errors import InputError, reading, reason, unknown
from gan_jax.spec.elsewhere import unknown_name
from gan_jax.spec.expressions import bind, parse_call


def public_functions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """Return the public functions defined in (not imported into) a module by name, including the records of `types.py`."""
    return {
        name: value
        for name, value in vars(module).items()
        if callable(value)
        and not inspect.isclass(value)
        and getattr(getattr(value, "function", value), "__module__", None) == module.__name__
        and not name.startswith("_")
    }


def variants(*modules: ModuleType) -> dict[str, Callable[..., Any]]:
    """Return the public functions of several modules by name."""
    return {name: function for module in modules for name, function in public_functions(module).items()}


def find(what: str, text: str, *modules: ModuleType) -> Callable[..., Any]:
    """Return the function that `NAME` or `NAME(key=value, ...)` names, with its options bound: a public function of `modules`,
    or any other as `path/file.py:function` or `package.module:function`. Raises InputError for an unknown name or option."""
    name, options = parse_call(text)
    return bind(what, name, find_function(what, name, variants(*modules)), options)


def find_function(what: str, name: str, functions: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    """Return one of `functions`, or any other as in `find`, by its name without options. `what` (loss, penalty, ...) starts the
    error message."""
    if name in functions:
        return functions[name]
    if ":" not in name:
        raise unknown_name(what, name, [*functions, "path/file.py:function"])
    source, function = split_code(name)
    module = load_module(what, source)
    if not callable(getattr(module, function, None)):
        raise unknown(f"{what} in {source}", function, public_functions(module))
    return getattr(module, function)


def calling(what: str, text: str) -> AbstractContextManager[None]:
    """Turn any failure within the block, in which the function that `text` names is called, into an InputError if it may be due
    to the user: in a function of the user's own, or in one of ours with options. A failure of ours without options is a bug."""
    return reading(f"{what} {text}", "fails") if is_code(text) or "(" in text else nullcontext()


def is_code(name: str) -> bool:
    """Whether a name reaches code outside this package: no variant of ours has a dot or a colon in its name, except functions
    that belong to one family of networks, such as gan_jax.models.fastgan:reconstruction. A file is never ours, whatever its
    name: gan_jax.models.mine/loss.py may lie in a directory that was received."""
    source, _ = split_code(name)
    ours = re.fullmatch(r"gan_jax\.models\.\w+", source) and not source.endswith(".py")
    return (":" in name or "." in name) and not ours


def split_code(name: str) -> tuple[str, str]:
    """`path/file.py:function` -> ("path/file.py", "function"); without a function, for a model, ("path/file.py", "")."""
    source, colon, function = name.rpartition(":")
    return (source, function) if colon else (name, "")


def load_module(what: str, source: str) -> ModuleType:
    """Import `package.module`, or load `path/file.py`. Raises InputError if that fails."""
    if source.endswith(".py"):
        return load_file(Path(source))
    try:
        return importlib.import_module(source)
    except (Exception, SystemExit) as error:  # the module may do anything
        raise InputError(f"{what} module {source!r} cannot be imported: {reason(error)}") from error


def load_file(path: Path) -> Any:
    """Load a Python file as a module: a recipe, or a user's loss or network. Raises InputError if it cannot be executed."""
    path = Path(path)
    with reading(f"the file {str(path)!r}"):  # a name may be too long
        exists = path.is_file()
    if not exists:
        raise InputError(f"no file {path}")
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except SyntaxError as error:
        raise InputError(f"{path}:{error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:  # the file may do anything
        raise InputError(f"{path} cannot be loaded: {reason(error)}") from error
    return module
