"""Read the named tensors of a file of weights: .npz, .safetensors, PyTorch or TorchScript."""

import zipfile
from pathlib import Path
from typing import BinaryIO

import numpy as np

from gan_jax.errors import InputError, needs, reason
from gan_jax.storage import pytorch
from gan_jax.storage.npz import read_npz

_SAFETENSORS = {
    "F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": pytorch.BFLOAT16, "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "<i1",
    "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "<u1", "BOOL": "?",
}  # fmt: skip


def load_tensors(path: Path) -> dict[str, np.ndarray]:
    """Return the tensors of an .npz, .safetensors, PyTorch (zip, or older) or TorchScript file by name. Formats are detected by
    content.

    Nothing in the file is executed, and sizes are checked before memory is allocated. bfloat16 becomes float32. Raises
    InputError, which names the file.
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
            return pytorch.read_legacy(file)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:  # a damaged pickle can raise anything
        formats = "an .npz, .safetensors, PyTorch or TorchScript file of tensors"
        raise InputError(f"{path} is damaged, or not {formats} ({reason(error)})") from error


def _read_safetensors(file: BinaryIO) -> dict[str, np.ndarray]:
    with needs(".safetensors files need safetensors", "gan_jax[weights]"):
        from safetensors import deserialize
    tensors = {}
    for name, entry in deserialize(file.read()):
        if entry["dtype"] not in _SAFETENSORS:
            raise InputError(f"{name} is {entry['dtype']}: only {', '.join(_SAFETENSORS)} are supported")
        tensors[name] = pytorch.decode(entry["data"], _SAFETENSORS[entry["dtype"]]).reshape(entry["shape"])
    return tensors


def _read_zip(file: BinaryIO) -> dict[str, np.ndarray]:
    """Read an .npz or a PyTorch file."""
    with zipfile.ZipFile(file) as archive:
        pickles = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if pickles:
            return pytorch.read_zip(archive, pickles[0])
    file.seek(0)
    return read_npz(file)
