"""Read the tensors of PyTorch files, zipped or older, without PyTorch and without executing anything in them.

Such a file is a pickle, i.e. a program that could do anything. This reader supports dictionaries of tensors and TorchScript,
and refuses anything else. Of TorchScript it reads the parameters and buffers, named by the attributes that lead to them as in
its `state_dict`, not the code. Sizes are checked against the file's before memory is allocated.
"""

import io
import math
import mmap
import pickle
import pickletools
import reprlib
import struct
import zipfile
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from gan_jax.errors import InputError
from gan_jax.storage.npz import check_sizes

BFLOAT16 = "bfloat16"  # not a NumPy type: read as float32, which represents it exactly
_MAGIC = 0x1950A86A20F9469CFC6C  # first object in a PyTorch file older than 1.6
_STORAGES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": BFLOAT16, "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1", "BoolStorage": "?",
}  # fmt: skip
_SHARED = 10  # how many times the file's size its tensors may take: several may share a storage


def read_zip(archive: zipfile.ZipFile, data_name: str) -> dict[str, np.ndarray]:
    """Return the tensors of a zip file with the pickle NAME/data.pkl, `data_name`, and the storages NAME/data/KEY, by name.

    Raises InputError, without the name of the file, for anything but a dictionary of tensors or TorchScript; for a damaged file
    any other error."""
    folder = data_name.removesuffix(".pkl")
    names = [name for name in archive.namelist() if name == data_name or name.startswith(f"{folder}/")]
    check_sizes(archive, names, ratio=1, always=0)  # PyTorch compresses code only
    stored = unpickle(io.BytesIO(archive.read(data_name)))
    tensors = _check(_module_tensors(stored) if isinstance(stored, _ScriptModule) else stored)
    keys = {tensor.storage.key for tensor in tensors.values()}
    return _rebuild_all(tensors, {key: archive.read(f"{folder}/{key}") for key in sorted(keys)})


def read_legacy(file: BinaryIO) -> dict[str, np.ndarray]:
    """Return the tensors of a PyTorch file older than 1.6 by name: pickles of magic number, protocol, system, object and
    storage keys, then the storages in that order. Raises as `read_zip`."""
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        if unpickle(content) != _MAGIC:
            raise InputError("not a PyTorch file")
        protocol, system, state_dict, keys = (unpickle(content) for _ in range(4))
        if protocol != 1001 or not system["little_endian"]:
            facts = f"protocol {protocol}, {reprlib.repr(system)}"
            raise InputError(f"a PyTorch file with {facts}; only little-endian files with protocol 1001 are supported")
        tensors = _check(state_dict)
        sizes = {tensor.storage.key: itemsize(tensor.storage.dtype) for tensor in tensors.values()}
        storages = {}
        for key in keys:  # each storage is its number of elements (int64), then the elements
            (count,) = struct.unpack("<q", content.read(8))
            if not 0 <= count * sizes[key] <= len(content) - content.tell():
                raise InputError(f"damaged: a storage of {count:,} elements does not fit in the file")
            storages[key] = content.read(count * sizes[key])
    return _rebuild_all(tensors, storages)


def decode(raw: bytes | bytearray, dtype: str) -> np.ndarray:
    """Return the elements of a storage, [N]."""
    if dtype == BFLOAT16:
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(raw, dtype)


def itemsize(dtype: str) -> int:
    """Return the stored bytes of an element."""
    return 2 if dtype == BFLOAT16 else np.dtype(dtype).itemsize


class _Storage(NamedTuple):
    dtype: str
    key: str


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _Dict(dict):
    """In place of OrderedDict: without attributes, with which a pickle could fill the memory."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        """Ignore the attributes, such as the versions of modules."""


class _ScriptModule:
    """A module of a TorchScript file: a name and a value for each of its attributes."""

    __slots__ = ("attributes",)

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes


def _module_tensors(script: _ScriptModule) -> dict[str, _Tensor]:
    """Return the tensors of a module and of the modules within it, by name."""
    tensors, visited, pending = {}, set(), [("", script)]
    while pending:
        prefix, module = pending.pop()
        if id(module) in visited:  # copies could multiply without end
            raise InputError(f"refused: the module {prefix} occurs twice")
        visited.add(id(module))
        for name, value in module.attributes.items():
            if isinstance(value, _Tensor):
                tensors[prefix + name] = value
            elif isinstance(value, _ScriptModule):
                pending.append((f"{prefix}{name}.", value))
    return tensors


class Function:
    """A function that a pickle may call but not change."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]):
        self._function = function

    def __call__(self, *arguments: Any) -> Any:
        return self._function(*arguments)

    def __setstate__(self, state: Any) -> None:
        raise InputError("refused: the file changes a function")


def _rebuild_tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> _Tensor:
    numbers = (offset, *size, *stride)
    if len(size) != len(stride) or len(size) > 32 or not all(type(number) is int for number in numbers):
        raise InputError("contains a tensor whose size is not one of at most 32 whole numbers")
    return _Tensor(storage, offset, tuple(size), tuple(stride))


class _Unpickler(pickle.Unpickler):
    """Unpickler restricted to the names that state dictionaries use; none of them resolves to PyTorch itself."""

    def __init__(self, content: bytes):
        super().__init__(io.BytesIO(content), encoding="utf-8")
        self._entries = len(content)  # more cannot be listed in the pickle, but a list could be copied many times

    def _ordered_dict(self, items: Any = ()) -> _Dict:
        self._entries -= len(items)
        if self._entries < 0:
            raise InputError("refused: the file makes copies of its dictionaries")
        return _Dict(items)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return Function(self._ordered_dict)
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return Function(_rebuild_tensor)
        if module == "torch._utils" and name == "_rebuild_parameter":
            return Function(lambda tensor, *_: tensor)
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if module.split(".")[0] == "__torch__":
            return _ScriptModule
        if module == "torch.jit._pickle":  # lists with the type of their elements
            return Function(lambda values, *_: values)
        raise InputError(f"refused: the file refers to {module}.{name}, which is not needed to store tensors")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, _, *view = pid
        if kind != "storage" or dtype not in _STORAGES.values() or not isinstance(key, str) or any(v is not None for v in view):
            raise InputError(f"refused: unknown storage {reprlib.repr(pid)}")
        return _Storage(dtype, key)


def unpickle(file: BinaryIO | mmap.mmap, unpickler: Callable[[bytes], pickle.Unpickler] = _Unpickler) -> Any:
    """Return the object of the pickle that begins at the file's position, read by a restricted `unpickler`, and advance
    to its end."""
    start = file.tell()
    indices = [argument for opcode, argument, _ in pickletools.genops(file) if "PUT" in opcode.name and argument is not None]
    size = file.tell() - start
    if max(indices, default=0) > size:  # the memo of an unpickler is an array of that length
        raise InputError(f"damaged: a pickle of {size:,} bytes has an object number {max(indices):,}")
    file.seek(start)
    return unpickler(file.read(size)).load()


def _check(state_dict: Any) -> dict[str, _Tensor]:
    """Check that a state dictionary is a flat dictionary of names and tensors, and return it."""
    if not isinstance(state_dict, dict) or not state_dict:
        raise InputError(f"contains a {type(state_dict).__name__.lstrip('_').lower()}, not a dictionary of tensors")
    for name, value in state_dict.items():
        if not isinstance(name, str) or not isinstance(value, _Tensor) or not isinstance(value.storage, _Storage):
            raise InputError(f"contains a {type(value).__name__} under {reprlib.repr(name)}, not a tensor")
    return dict(state_dict)


def _rebuild_all(tensors: Mapping[str, _Tensor], storages: Mapping[str, bytes]) -> dict[str, np.ndarray]:
    flat = {tensor.storage: decode(storages[tensor.storage.key], tensor.storage.dtype) for tensor in tensors.values()}
    for tensor in tensors.values():
        _check_fit(tensor, flat[tensor.storage].size)
    total = sum(math.prod(tensor.size) * flat[tensor.storage].itemsize for tensor in tensors.values())
    stored = sum(map(len, storages.values()))
    if total > _SHARED * stored:
        raise InputError(f"refused: tensors of {total:,} bytes share {stored:,} bytes, more than {_SHARED} times each")
    return {name: _rebuild(tensor, flat[tensor.storage]) for name, tensor in tensors.items()}


def _check_fit(tensor: _Tensor, stored: int) -> None:
    """Raise InputError unless a tensor lies within its storage of `stored` elements."""
    count = math.prod(tensor.size)
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.size, tensor.stride, strict=True))
    if min(tensor.offset, *tensor.size, *tensor.stride, 0) < 0 or count > stored or (count and last >= stored):
        layout = f"strides {tensor.stride}, offset {tensor.offset}"
        raise InputError(f"a tensor {tensor.size} ({layout}) does not fit the {stored} elements stored for it")


def _rebuild(tensor: _Tensor, flat: np.ndarray) -> np.ndarray:
    """Return a strided view of a storage as a new array."""
    if not math.prod(tensor.size):
        return np.zeros(tensor.size, flat.dtype)
    strides = [stride * flat.itemsize for stride in tensor.stride]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.size, strides).copy()
