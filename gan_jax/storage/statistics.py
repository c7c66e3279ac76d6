"""Files with the mean and the covariance of the features of real images, as pytorch-fid, clean-fid and NVIDIA's projects write
them: an .npz with `mu` and `sigma`, or a pickle of arrays, which is read without executing anything.

Pickles are those of EDM2, {"fid": {"mu": ..., "sigma": ...}, ...}, and of StyleGAN2-ADA, StyleGAN3 and R3GAN, which hold the
sums of features and of their products, and the number of images."""

import io
import math
import pickle
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from gan_jax.errors import InputError, reading
from gan_jax.storage.files import open_atomically
from gan_jax.storage.npz import load_headers, load_npz
from gan_jax.storage.pytorch import Function, unpickle

_SUMS = {"raw_mean", "raw_cov", "num_items"}
_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
_ROUNDING = 1e-4  # relative to the largest entry, of covariances computed or stored in float32
_DTYPES = ("f8", "f4", "i8", "i4", "b1")


class Statistics(NamedTuple):
    """Mean [D] and covariance [D, D] of features, float64."""

    mean: np.ndarray
    covariance: np.ndarray


def is_statistics(path: Path) -> bool:
    """Whether a file holds statistics of features, judging by its suffix and, for .npz, the names of its arrays."""
    if path.suffix == ".npz" and path.is_file():
        return not {"mu", "sigma"}.isdisjoint(load_headers(path))
    return path.suffix == ".pkl" and path.is_file()


def read_statistics(path: Path) -> Statistics:
    """Read statistics. Raises InputError, which names the file, unless it holds a mean [D] and a covariance [D, D] of finite
    real numbers, D > 0, the latter symmetric without negative eigenvalues, up to rounding."""
    with reading(str(path), "is damaged, or not a file of statistics"):
        try:
            if path.suffix == ".npz":
                arrays: Any = load_npz(path, ("mu", "sigma"))
                if missing := {"mu", "sigma"} - arrays.keys():
                    raise InputError(f"has no {missing.pop()}, only {next(iter(arrays))}")
                mean, covariance = arrays["mu"], arrays["sigma"]
            else:
                mean, covariance = _of_pickle(_load(path))
        except InputError as error:
            raise InputError(str(error) if str(path) in str(error) else f"{path}: {error}") from error
        shapes = np.shape(mean), np.shape(covariance)
        if len(shapes[0]) != 1 or shapes[1] != shapes[0] * 2 or not shapes[0][0]:
            raise InputError(
                f"{path}: the mean must be [D] and the covariance [D, D], got {list(shapes[0])} and {list(shapes[1])}"
            )
        for dtype in (np.asarray(mean).dtype, np.asarray(covariance).dtype):
            if dtype.kind not in "fiu":
                raise InputError(f"{path}: the statistics must be real numbers, got {dtype}")
        statistics = Statistics(np.asarray(mean, np.float64), np.asarray(covariance, np.float64))
        if not all(np.isfinite(x).all() for x in statistics):
            raise InputError(f"{path}: the statistics are not finite")
        _check_covariance(path, statistics.covariance)
    return statistics


def _check_covariance(path: Path, covariance: np.ndarray) -> None:
    rounding = _ROUNDING * np.abs(covariance).max()
    if np.abs(covariance - covariance.T).max() > rounding:
        raise InputError(f"{path}: sigma is not a covariance: it is not symmetric")
    lowest = np.linalg.eigvalsh(covariance)[0]
    if lowest < -rounding:
        raise InputError(f"{path}: sigma is not a covariance: it has the negative eigenvalue {lowest:.3g}")


def write_statistics(path: Path, statistics: Statistics) -> None:
    """Write an .npz with `mu` and `sigma`, which pytorch-fid, clean-fid, EDM and EDM2 read. Raises InputError if it cannot be
    written."""
    try:
        with open_atomically(path) as file:
            np.savez(file, mu=statistics.mean, sigma=statistics.covariance)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error


def _of_pickle(content: Any) -> tuple[np.ndarray, np.ndarray]:
    if isinstance(content, dict) and isinstance(content.get("fid"), dict):
        content = content["fid"]
    if isinstance(content, dict) and {"mu", "sigma"} <= content.keys():
        return content["mu"], content["sigma"]
    if isinstance(content, dict) and content.keys() >= _SUMS and content["raw_cov"] is not None:
        count = content["num_items"]
        if isinstance(count, bool) or not isinstance(count, int | np.integer) or count < 1:
            raise InputError(f"num_items must be a number of images, got {str(count)[:20]}")
        mean, products = (np.asarray(content[name], np.float64) / count for name in ("raw_mean", "raw_cov"))
        return mean, products - np.outer(mean, mean)
    raise InputError('the pickle has neither "mu" and "sigma" nor "raw_mean", "raw_cov" and "num_items"')


def _load(path: Path) -> Any:
    with path.open("rb") as file:
        return _arrays(unpickle(io.BytesIO(file.read()), _Unpickler))


class _Dtype:
    """Stands in for a NumPy dtype."""

    __slots__ = ("order", "text")

    def __init__(self, text: Any, *_: Any):
        if text not in _DTYPES:
            raise InputError(f"refused: an array of type {str(text)[:20]!r}, only {', '.join(_DTYPES)} are allowed")
        self.text, self.order = text, "<"

    def __setstate__(self, state: tuple) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def decode(self, raw: bytes, shape: tuple[int, ...], order: str) -> np.ndarray:
        """The elements of an array. Raises InputError unless they are as many as its shape says."""
        dtype = np.dtype(self.order + self.text)
        if type(raw) not in (bytes, bytearray) or not all(type(n) is int and n >= 0 for n in shape):
            raise InputError("refused: an array without bytes, or with a shape other than of whole numbers")
        if len(raw) != math.prod(shape) * dtype.itemsize:
            raise InputError(f"damaged: an array {list(shape)} of {len(raw):,} bytes")
        return np.frombuffer(raw, dtype).reshape(shape, order=order)


class _Array:
    """Stands in for a NumPy array until its elements are known."""

    __slots__ = ("array",)

    def __setstate__(self, state: tuple) -> None:
        _, shape, dtype, fortran, raw = state
        self.array = _decode(raw, dtype, shape, "F" if fortran is True else "C")


class _Dict(dict):
    """Stands in for dnnlib's EasyDict."""

    __slots__ = ()


def _decode(raw: Any, dtype: Any, shape: Any, order: str = "C") -> np.ndarray:
    if not isinstance(dtype, _Dtype) or type(shape) is not tuple:
        raise InputError("refused: an array without a type or a shape")
    return dtype.decode(raw, shape, order)


def _encode(text: str, encoding: str) -> bytes:
    """Return the bytes of a string, which is how pickle protocols below 3 store bytes."""
    return str(text).encode("latin1" if encoding == "latin1" else "ascii")


class _Unpickler(pickle.Unpickler):
    """Unpickler restricted to what dictionaries of numbers and arrays need; none of it resolves to NumPy itself."""

    def __init__(self, content: bytes):
        super().__init__(io.BytesIO(content))

    def find_class(self, module: str, name: str) -> Any:
        functions = {
            "_reconstruct": lambda *_: _Array(),
            "_frombuffer": lambda raw, dtype, shape, order: _decode(raw, dtype, shape, order),
            "scalar": lambda dtype, raw: _decode(raw, dtype, ())[()],
        }
        if module in _MODULES and name in functions:
            return Function(functions[name])
        if (module, name) == ("numpy", "ndarray"):
            return Function(lambda *_: _Array())
        if (module, name) == ("numpy", "dtype"):
            return Function(_Dtype)
        if (module, name) == ("_codecs", "encode"):
            return Function(_encode)
        if (module, name) == ("dnnlib.util", "EasyDict"):
            return _Dict
        raise InputError(f"refused: the file refers to {module}.{name}, which is not needed to store arrays")


def _arrays(content: Any, depth: int = 2) -> Any:
    """Replace the stand-ins in nested dictionaries by their arrays."""
    if isinstance(content, _Array):
        return getattr(content, "array", None)
    if isinstance(content, dict) and depth:
        return {name: _arrays(value, depth - 1) for name, value in content.items()}
    return content
