"""Published pretrained weights: downloaded on request, verified, and read without executing anything in the file."""

import hashlib
import http.client
import io
import json
import math
import pickle
import struct
import urllib.error
import urllib.request
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
from tqdm import tqdm

from gan_jax.errors import InputError, RunError
from gan_jax.storage.cache import cache_path, write_cache

_TIMEOUT = 8.0  # seconds, for connecting and for each read
_CHUNK = 1 << 20
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


class Weights(NamedTuple):
    """A published file: `name` is what users type, `size` is in bytes, `description` states what it is and its licence."""

    name: str
    url: str
    size: int
    sha256: str
    description: str

    @property
    def file(self) -> str:
        """Name of the published file."""
        return self.url.rsplit("/", 1)[1]


# Sizes and hashes as pinned independently by several public projects. The authors' own file name contains the first eight
# digits of the hash for Inception, but not for DINOv2.
INCEPTION = Weights(
    name="inception",
    url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    size=95_628_359,
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    description="InceptionV3 of the FID: the TensorFlow graph of 2015-12-05, converted by M. Seitzer (Apache-2.0)",
)
DINOV2 = Weights(
    name="dinov2",
    url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
    size=1_217_586_395,
    sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
    description="DINOv2 ViT-L/14, without registers, by Meta AI (Apache-2.0)",
)


def download(weights: Weights, directory: Path) -> Path:
    """Download the file to `directory`, verify it, and return its path. An existing file is only verified.

    A partial download is kept in a `.part` file next to it, and a later call resumes it. Raises InputError if the address
    cannot be reached, within seconds, or the file is not the expected one; RunError if the transfer was interrupted.
    """
    path = Path(directory) / weights.file
    part = path.with_name(path.name + ".part")
    if path.exists():
        _verify(path, weights, "delete it and download it again")
        return path
    try:
        if not part.exists() or part.stat().st_size < weights.size:
            _fetch(weights, part, path)
        _verify(part, weights, "the download was deleted", delete=True)
        part.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def sha256(path: Path) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def convert(path: Path) -> Path:
    """Convert a weights file to an .npz in the cache, named by the file's sha256, unless it is there already. Returns its path.

    An .npz is returned unchanged. `load_tensors` reads the original file just as safely: the conversion provides the weights in
    a format that requires no execution by any reader.
    """
    path = Path(path)
    if path.suffix == ".npz":
        return path
    target = cache_path(f"weights-{sha256(path)}.npz")
    if not target.exists():
        write_cache(target, load_tensors(path))
    if not target.exists():
        raise InputError(f"cannot write {target}: free disk space, or set GAN_JAX_CACHE to another directory")
    return target


def load_tensors(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of an .npz, .safetensors or PyTorch file (zip, or older) by name. Formats are detected by content.

    PyTorch files are pickles, i.e. programs that could do anything: this reader supports ordered dictionaries and tensors, runs
    nothing from the file, and refuses anything else. bfloat16 becomes float32. Raises InputError, which names the file.
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
        formats = "an .npz, .safetensors or PyTorch file of tensors"
        raise InputError(f"{path} is damaged, or not {formats} ({type(error).__name__}: {error})") from error


def _fetch(weights: Weights, part: Path, path: Path) -> None:
    """Append the missing bytes to `part`, or start from the beginning if the server cannot resume."""
    received = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(weights.url, headers={"Range": f"bytes={received}-"} if received else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except (OSError, http.client.HTTPException) as error:  # URLError and time-outs are OSErrors
        cause = getattr(error, "reason", None) or error
        raise InputError(f"cannot download {weights.url} ({cause}): get it elsewhere and put it at {path}") from error
    resumed = (response.headers.get("Content-Range") or "").startswith(f"bytes {received}-")
    received = received if response.status == 206 and resumed else 0
    reason = "the server closed the connection"
    part.parent.mkdir(parents=True, exist_ok=True)
    bar = tqdm(total=weights.size, initial=received, unit="B", unit_scale=True, desc=weights.file, disable=None)
    with response, part.open("ab" if received else "wb") as file, bar:
        while received <= weights.size:  # a longer response is not the file, and must not fill the disk
            try:
                chunk = response.read(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                reason = str(error) or type(error).__name__
                break
            if not chunk:
                break
            file.write(chunk)
            received += len(chunk)
            bar.update(len(chunk))
    if received < weights.size:
        remedy = "run the same command again to resume"
        raise RunError(f"download of {weights.url} stopped after {received} of {weights.size} bytes ({reason}): {remedy}")


def _verify(path: Path, weights: Weights, remedy: str, delete: bool = False) -> None:
    """Raise InputError unless size and sha256 match. The size is checked first: it is fast and more informative."""
    size = path.stat().st_size
    actual = f"{size} bytes" if size != weights.size else f"sha256 {sha256(path)}"
    if actual == f"sha256 {weights.sha256}":
        return
    if delete:
        path.unlink()
    expected = f"{weights.size} bytes, sha256 {weights.sha256}"
    raise InputError(f"{path} is not the file published at {weights.url}: {actual}, expected {expected}: {remedy}")


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
        tensors = _check(_Unpickler(io.BytesIO(archive.read(pickles[0]))).load())
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
