"""Tensors of weights files, read by name without executing anything in the file."""

import io
import json
import math
import pickle
import struct
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from gan_jax.errors import InputError

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # first object in a PyTorch file older than 1.6
_BFLOAT16 = "bfloat16"  # not a NumPy type: read as float32, which represents it exactly
_STORAGES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": _BFLOAT16, "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1", "BoolStorage": "?",
}  # fmt: skip
_SAFETENSORS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": _BFLOAT16, "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1", "BOOL": "?",
}  # fmt: skip


def load_tensors(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of an .npz, .safetensors, PyTorch (zip, or older) or TorchScript file by name. Formats are detected by
    content.

    PyTorch files are pickles, i.e. programs that could do anything: this reader supports ordered dictionaries and tensors, runs
    nothing from the file, and refuses anything else. Of a TorchScript file it reads the parameters and buffers, named by the
    attributes that lead to them as in its `state_dict`, not the code. bfloat16 becomes float32. Raises InputError, which names
    the file.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            head = file.read(9)
            file.seek(0)
            if head[8:] == b"{":
                return _read_safetensors(file)
            if head[:4] == b"PK\x03\x04":
                return _read_zip(file)
            return _read_legacy(file)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # a damaged pickle can raise anything
        formats = "an .npz, .safetensors, PyTorch or TorchScript file of tensors"
        raise InputError(f"{path} is damaged, or not {formats} ({type(error).__name__}: {error})") from error


def _read_safetensors(file: BinaryIO) -> dict[str, np.ndarray]:
    """Length of the header (uint64), header (JSON), tensors. Source: https://github.com/huggingface/safetensors, README."""
    (length,) = struct.unpack("<Q", file.read(8))
    header = json.loads(file.read(length))
    data = memoryview(file.read())
    tensors = {}
    for name, entry in header.items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            tensors[name] = _decode(data[begin:end], _SAFETENSORS[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def _read_zip(file: BinaryIO) -> dict[str, np.ndarray]:
    """Read an .npz, or a PyTorch file: NAME/data.pkl, and NAME/data/KEY for each storage."""
    with zipfile.ZipFile(file) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if not pickles:
            file.seek(0)
            with np.load(file, allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        stored = _Unpickler(io.BytesIO(archive.read(pickles[0]))).load()
        tensors = _check(_module_tensors(stored) if isinstance(stored, _ScriptModule) else stored)
        folder = pickles[0].removesuffix(".pkl")
        keys = {tensor.storage.key for tensor in tensors.values()}
        storages = {key: archive.read(f"{folder}/{key}") for key in sorted(keys)}
    return {name: _rebuild(tensor, storages) for name, tensor in tensors.items()}


def _read_legacy(file: BinaryIO) -> dict[str, np.ndarray]:
    """Read a PyTorch file older than 1.6: pickles of magic number, protocol, system, object and storage keys; then the storages
    in that order."""
    if _Unpickler(file).load() != _TORCH_MAGIC:
        raise InputError("not a PyTorch file")
    protocol, system, state_dict, keys = (_Unpickler(file).load() for _ in range(4))
    if protocol != 1001 or not system["little_endian"]:
        raise InputError(
            f"a PyTorch file with protocol {protocol}, {system}; only little-endian files with protocol 1001 are supported"
        )
    tensors = _check(state_dict)
    sizes = {tensor.storage.key: _itemsize(tensor.storage.dtype) for tensor in tensors.values()}
    storages = {}
    for key in keys:  # each storage is its number of elements (int64), then the elements
        (count,) = struct.unpack("<q", file.read(8))
        storages[key] = file.read(count * sizes[key])
    return {name: _rebuild(tensor, storages) for name, tensor in tensors.items()}


class _Storage(NamedTuple):
    dtype: str
    key: str


class _Tensor(NamedTuple):
    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


class _ScriptModule:
    """A module of a TorchScript file: a name and a value for each of its attributes."""

    def __setstate__(self, attributes: dict[str, Any]) -> None:
        self.attributes = attributes


def _module_tensors(module: _ScriptModule, prefix: str = "") -> dict[str, _Tensor]:
    """Return the tensors of a module and of the modules within it, by name."""
    tensors = {}
    for name, value in module.attributes.items():
        if isinstance(value, _Tensor):
            tensors[prefix + name] = value
        elif isinstance(value, _ScriptModule):
            tensors |= _module_tensors(value, f"{prefix}{name}.")
    return tensors


class _Unpickler(pickle.Unpickler):
    """Unpickler restricted to the names that state dictionaries use; none of them resolves to PyTorch itself."""

    def __init__(self, file: BinaryIO):
        super().__init__(file, encoding="utf-8")

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        # New functions for each call, because a pickle can set attributes on the objects it receives.
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: _Tensor(storage, offset, size, stride)
        if module == "torch._utils" and name == "_rebuild_parameter":
            return lambda tensor, *_: tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        if module.split(".")[0] == "__torch__":
            return type(name, (_ScriptModule,), {})
        if module == "torch.jit._pickle":  # lists with the type of their elements
            return lambda values, *_: values
        raise InputError(f"refused: the file refers to {module}.{name}, which is not needed to store tensors")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, _, *view = pid
        if kind != "storage" or dtype not in _STORAGES.values() or not isinstance(key, str) or any(v is not None for v in view):
            raise InputError(f"refused: unknown storage {pid!r}")
        return _Storage(dtype, key)


def _check(state_dict: Any) -> dict[str, _Tensor]:
    """Check that a state dictionary is a flat dictionary of names and tensors, and return it."""
    if not isinstance(state_dict, dict) or not state_dict:
        raise InputError(f"contains a {type(state_dict).__name__}, not a dictionary of tensors")
    for name, value in state_dict.items():
        if not isinstance(name, str) or not isinstance(value, _Tensor) or not isinstance(value.storage, _Storage):
            raise InputError(f"contains a {type(value).__name__} under {name!r}, not a tensor")
    return dict(state_dict)


def _rebuild(tensor: _Tensor, storages: dict[str, bytes]) -> np.ndarray:
    """Return a strided view of a storage as a new array, after checking that it lies within the storage."""
    flat = _decode(storages[tensor.storage.key], tensor.storage.dtype)
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.size, tensor.stride, strict=True))
    count = math.prod(tensor.size)
    if min(tensor.offset, *tensor.size, *tensor.stride, 0) < 0 or count > flat.size or (count and last >= flat.size):
        layout = f"strides {tensor.stride}, offset {tensor.offset}"
        raise InputError(f"a tensor {tensor.size} ({layout}) does not fit the {flat.size} elements stored for it")
    if not count:
        return np.zeros(tensor.size, flat.dtype)
    strides = [stride * flat.itemsize for stride in tensor.stride]
    return np.lib.stride_tricks.as_strided(flat[tensor.offset :], tensor.size, strides).copy()


def _decode(raw: bytes | memoryview, dtype: str) -> np.ndarray:
    if dtype == _BFLOAT16:
        return (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    return np.frombuffer(raw, dtype)


def _itemsize(dtype: str) -> int:
    return 2 if dtype == _BFLOAT16 else np.dtype(dtype).itemsize
