"""Weights that others trained: downloaded on request, verified, read without running anything that is in the file."""

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

_TIMEOUT = 8.0  # seconds, to connect and for each read
_CHUNK = 1 << 20
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C  # opens a PyTorch file of before 1.6
_BFLOAT16 = "bfloat16"  # NumPy has none: read as float32, which holds it exactly
_STORAGES = {
    "DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "BFloat16Storage": _BFLOAT16, "LongStorage": "<i8",
    "IntStorage": "<i4", "ShortStorage": "<i2", "CharStorage": "<i1", "ByteStorage": "<u1", "BoolStorage": "?",
}  # fmt: skip
_SAFETENSORS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": _BFLOAT16, "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1", "BOOL": "?",
}  # fmt: skip


class Weights(NamedTuple):
    """A published file: `name` is what users type, `size` counts bytes, `what` says what it is and under which licence."""

    name: str
    url: str
    size: int
    sha256: str
    what: str

    @property
    def file(self) -> str:
        """The name of the file, as published."""
        return self.url.rsplit("/", 1)[1]


# Sizes and hashes are those that several public projects pin, independently of each other. The authors' own file names carry
# the first eight digits of Inception's hash, and nothing of DINOv2's.
INCEPTION = Weights(
    name="inception",
    url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    size=95_628_359,
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    what="InceptionV3 of the FID: the TensorFlow graph of 2015-12-05, converted by M. Seitzer (Apache-2.0)",
)
DINOV2 = Weights(
    name="dinov2",
    url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
    size=1_217_586_395,
    sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
    what="DINOv2 ViT-L/14, without registers, by Meta AI (Apache-2.0)",
)


def download(weights: Weights, directory: Path) -> Path:
    """Puts the file into `directory`, verified, and returns its path; a file that is there already is only verified.

    What arrives is kept in a `.part` file beside it: after a cut the same call goes on from there. Raises InputError where
    the address cannot be reached, within seconds, or the file is not the one expected; RunError where the transfer was cut.
    """
    path = Path(directory) / weights.file
    part = path.with_name(path.name + ".part")
    if path.exists():
        _verify(path, weights, "delete it, and download again")
        return path
    try:
        if not part.exists() or part.stat().st_size < weights.size:
            _fetch(weights, part, path)
        _verify(part, weights, "it was deleted; nothing is kept", delete=True)
        part.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def sha256(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    try:
        with Path(path).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def convert(path: Path) -> Path:
    """The same tensors as an .npz in the cache, under the file's sha256, made once; an .npz is returned as it is.

    `load_tensors` reads the file itself as safely: this is for keeping it in a format that no reader has to execute.
    """
    path = Path(path)
    if path.suffix == ".npz":
        return path
    target = cache_path(f"weights-{sha256(path)}.npz")
    if not target.exists():
        write_cache(target, load_tensors(path))
    if not target.exists():
        raise InputError(f"cannot write {target}: make room, or set GAN_JAX_CACHE to another directory")
    return target


def load_tensors(path: Path) -> dict[str, np.ndarray]:
    """The tensors of an .npz, .safetensors or PyTorch file (zip, or older), by name; told apart by content, not by suffix.

    PyTorch files are pickles, programs that could do anything: this reader knows ordered dictionaries and tensors, runs
    nothing of the file, and refuses whatever else it names. bfloat16 becomes float32. Raises InputError naming the file.
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
    except Exception as error:  # a damaged pickle can raise any of them
        known = "an .npz, .safetensors or PyTorch file of tensors"
        raise InputError(f"{path} is damaged, or not {known} ({type(error).__name__}: {error})") from error


def _fetch(weights: Weights, part: Path, path: Path) -> None:
    """Appends to `part` what it lacks, or starts it anew where the server cannot go on."""
    have = part.stat().st_size if part.exists() else 0
    request = urllib.request.Request(weights.url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT)
    except (OSError, http.client.HTTPException) as error:  # URLError and time-outs are OSErrors
        reason = getattr(error, "reason", None) or error
        raise InputError(f"cannot download {weights.url} ({reason}): get it elsewhere and put it at {path}") from error
    goes_on = (response.headers.get("Content-Range") or "").startswith(f"bytes {have}-")
    have = have if response.status == 206 and goes_on else 0
    cut = "the server closed the connection"
    part.parent.mkdir(parents=True, exist_ok=True)
    bar = tqdm(total=weights.size, initial=have, unit="B", unit_scale=True, desc=weights.file, disable=None)
    with response, part.open("ab" if have else "wb") as file, bar:
        while have <= weights.size:  # a longer answer is not the file, and need not fill the disk
            try:
                chunk = response.read(_CHUNK)
            except (OSError, http.client.HTTPException) as error:
                cut = str(error) or type(error).__name__
                break
            if not chunk:
                break
            file.write(chunk)
            have += len(chunk)
            bar.update(len(chunk))
    if have < weights.size:
        again = "the same command again goes on from there"
        raise RunError(f"download of {weights.url} stopped after {have} of {weights.size} bytes ({cut}): {again}")


def _verify(path: Path, weights: Weights, remedy: str, delete: bool = False) -> None:
    """Size first: it is quick, and tells more."""
    size = path.stat().st_size
    found = f"{size} bytes" if size != weights.size else f"sha256 {sha256(path)}"
    if found == f"sha256 {weights.sha256}":
        return
    if delete:
        path.unlink()
    expected = f"{weights.size} bytes, sha256 {weights.sha256}"
    raise InputError(f"{path} is not the file of {weights.url}: {found}, expected {expected}: {remedy}")


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
    """An .npz, or a PyTorch file: NAME/data.pkl, and NAME/data/KEY for each storage."""
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
    """Before PyTorch 1.6: pickles of magic number, protocol, system, object and storage keys; then the storages in turn."""
    if _Unpickler(file).load() != _TORCH_MAGIC:
        raise InputError("not a PyTorch file")
    protocol, system, found, keys = (_Unpickler(file).load() for _ in range(4))
    if protocol != 1001 or not system["little_endian"]:
        raise InputError(f"a PyTorch file of protocol {protocol}, {system}; only little-endian 1001 is known")
    tensors = _check(found)
    sizes = {tensor.storage.key: _itemsize(tensor.storage.dtype) for tensor in tensors.values()}
    storages = {}
    for key in keys:  # each its number of elements (int64), then those
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
    """Of the names a pickle may ask for, those that make a state dictionary; none of them is PyTorch's own."""

    def __init__(self, file: BinaryIO):
        super().__init__(file, encoding="utf-8")

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        # Functions of this one reading: a pickle can set attributes of what it is given.
        if module == "torch._utils" and name in ("_rebuild_tensor", "_rebuild_tensor_v2"):
            return lambda storage, offset, size, stride, *_: _Tensor(storage, offset, size, stride)
        if module == "torch._utils" and name == "_rebuild_parameter":
            return lambda tensor, *_: tensor
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        raise InputError(f"refused: the file asks for {module}.{name}, which is not needed to store tensors")

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _, _, *view = pid
        if kind != "storage" or dtype not in _STORAGES.values() or not isinstance(key, str) or any(v is not None for v in view):
            raise InputError(f"refused: unknown storage {pid!r}")
        return _Storage(dtype, key)


def _check(found: Any) -> dict[str, _Tensor]:
    """A state dictionary is flat: names and tensors."""
    if not isinstance(found, dict) or not found:
        raise InputError(f"holds a {type(found).__name__}, not a dictionary of tensors")
    for name, value in found.items():
        if not isinstance(name, str) or not isinstance(value, _Tensor) or not isinstance(value.storage, _Storage):
            raise InputError(f"holds a {type(value).__name__} under {name!r}, not a tensor")
    return dict(found)


def _rebuild(tensor: _Tensor, storages: dict[str, bytes]) -> np.ndarray:
    """A strided view of a storage, checked to lie within it, as an array of its own."""
    flat = _decode(storages[tensor.storage.key], tensor.storage.dtype)
    last = tensor.offset + sum((size - 1) * stride for size, stride in zip(tensor.size, tensor.stride, strict=True))
    count = math.prod(tensor.size)
    if min(tensor.offset, *tensor.size, *tensor.stride, 0) < 0 or count > flat.size or (count and last >= flat.size):
        place = f"strides {tensor.stride}, offset {tensor.offset}"
        raise InputError(f"a tensor {tensor.size} ({place}) does not fit the {flat.size} elements stored for it")
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
