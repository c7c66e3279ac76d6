"""Published pretrained weights: downloaded on request, verified, and converted to an .npz."""

import hashlib
import http.client
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from gan_jax.errors import InputError, RunError
from gan_jax.storage.cache import cache_path, write_cache
from gan_jax.storage.tensor_files import load_tensors

_TIMEOUT = 8.0  # seconds, for connecting and for each read
_CHUNK = 1 << 20


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
