"""Published pretrained weights: downloaded on request, verified, and converted to an .npz."""

import contextlib
import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.request
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from gan_jax.errors import InputError, RunError
from gan_jax.storage.cache import cache_path, write_cache
from gan_jax.storage.files import open_atomically
from gan_jax.storage.tensor_files import load_tensors

_TIMEOUT = 8.0  # seconds, for connecting and for each read
_CHUNK = 1 << 20


class Weights(NamedTuple):
    """A published file: `name` is what users type, `size` is in bytes, `description` states what it is and its licence. `size`
    and `sha256` are None if they are not published: the file is then not verified. `other_files` are names under which other
    projects store the same weights."""

    name: str
    url: str
    size: int | None
    sha256: str | None
    description: str
    other_files: tuple[str, ...] = ()

    @property
    def file(self) -> str:
        """Name of the published file."""
        return self.url.rsplit("/", 1)[1]

    @property
    def files(self) -> tuple[str, ...]:
        """All names of files with these weights, the published one first."""
        return self.file, *self.other_files


# Sizes and hashes as pinned independently by several public projects. The names of torchvision's files and Inception's contain
# the first eight digits of the hash, the address of CLIP's all of them.
INCEPTION = Weights(
    name="inception",
    url="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
    size=95_628_359,
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    description="InceptionV3 of the FID: the TensorFlow graph of 2015-12-05, converted by M. Seitzer (Apache-2.0)",
    # The name of the same file in torch-fidelity and torchmetrics; the TorchScript of NVIDIA and clean-fid; conversions.
    other_files=(
        "weights-inception-2015-12-05-6726825d.pth",
        "inception-2015-12-05.pt",
        "inception.npz",
        "inception.safetensors",
    ),
)
DINOV2 = Weights(
    name="dinov2",
    url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/dinov2_vitl14_pretrain.pth",
    size=1_217_586_395,
    sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
    description="DINOv2 ViT-L/14, without registers, by Meta AI (Apache-2.0)",
)

RESNET50 = Weights(
    name="resnet50",
    url="https://download.pytorch.org/models/resnet50-0676ba61.pth",
    size=102_530_333,
    sha256="0676ba61b6795bbe1773cffd859882e5e297624d384b6993f7c9e683e722fb8a",
    description="ResNet-50 of torchvision, IMAGENET1K_V1 (BSD-3-Clause)",
)
SWAV = Weights(
    name="swav",
    url="https://dl.fbaipublicfiles.com/deepcluster/swav_800ep_pretrain.pth.tar",
    size=None,
    sha256=None,
    description="ResNet-50 trained by SwAV for 800 epochs, by Meta AI (CC BY-NC 4.0)",
)
CLIP = Weights(
    name="clip",
    url="https://openaipublic.azureedge.net/clip/models/40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af/ViT-B-32.pt",
    size=353_976_522,
    sha256="40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af",
    description="CLIP ViT-B/32, by OpenAI (MIT)",
)
VGG16 = Weights(
    name="vgg16",
    url="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/vgg16.pt",
    size=None,
    sha256="b437eb095feaeb0b83eb3fa11200ebca4548ee39a07fb944a417ddc516cc07c3",
    description="VGG-16 with LPIPS, as in StyleGAN2-ADA's metrics, by NVIDIA (NVIDIA Source Code License)",
)
VGG16_TORCHVISION = Weights(
    name="vgg16_torchvision",
    url="https://download.pytorch.org/models/vgg16-397923af.pth",
    size=553_433_881,
    sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
    description="VGG-16 of torchvision, IMAGENET1K_V1 (BSD-3-Clause), the network of LPIPS",
)
LPIPS = Weights(
    name="lpips",
    url="https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/vgg.pth",
    size=7_289,
    sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868",
    description="weights of LPIPS v0.1 for the layers of VGG-16, by R. Zhang et al. (BSD-2-Clause)",
)
PUBLISHED = {weights.name: weights for weights in (INCEPTION, DINOV2, RESNET50, SWAV, CLIP, VGG16, VGG16_TORCHVISION, LPIPS)}


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
        if not part.exists() or weights.size is None or part.stat().st_size < weights.size:
            _fetch(weights, part, path)
        _verify(part, weights, "the download was deleted", delete=True)
        part.replace(path)
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def cached_copies(weights: Weights) -> list[Path]:
    """Return the files in this user's caches whose names are those of the weights: in our own cache, and in those of
    PyTorch (torch.hub, hence pytorch-fid, torch-fidelity and torchmetrics), NVIDIA (dnnlib, hence StyleGAN and EDM), CLIP and
    clean-fid. Their content is not verified."""
    home_cache = Path(os.path.expanduser("~"), ".cache")
    torch = os.environ.get("TORCH_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or home_cache, "torch")
    dnnlib = Path(os.environ.get("DNNLIB_CACHE_DIR") or home_cache / "dnnlib")
    directories = [cache_path(""), Path(torch).expanduser() / "hub" / "checkpoints", home_cache / "clip", Path("/tmp")]
    files = [directory / name for directory in directories for name in weights.files]
    with contextlib.suppress(OSError):  # a directory that cannot be read
        # dnnlib prefixes each name with the md5 of the URL.
        files += [file for name in weights.files for file in sorted((dnnlib / "downloads").glob(f"*_{name}"))]
    return [file for file in files if os.access(file, os.R_OK) and file.is_file()]


def copy_to(directory: Path, file: Path, name: str) -> Path:
    """Copy a file to `directory` as `name`, unless it is that file already, and return the path. Raises InputError if it cannot
    be written."""
    path = Path(directory) / name
    try:
        if not (path.exists() and path.samefile(file)):
            path.parent.mkdir(parents=True, exist_ok=True)
            with file.open("rb") as source, open_atomically(path) as copy:
                shutil.copyfileobj(source, copy)
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
        others = f", or put another file of these weights there: {', '.join(weights.other_files)}"
        remedy = f"get it elsewhere and put it at {path}{others * bool(weights.other_files)}"
        raise InputError(f"cannot download {weights.url} ({cause}): {remedy}") from error
    resumed = (response.headers.get("Content-Range") or "").startswith(f"bytes {received}-")
    received = received if response.status == 206 and resumed else 0
    size = weights.size
    if size is None and response.headers.get("Content-Length"):
        size = received + int(response.headers["Content-Length"])
    reason = "the server closed the connection"
    part.parent.mkdir(parents=True, exist_ok=True)
    bar = tqdm(total=size, initial=received, unit="B", unit_scale=True, desc=weights.file, disable=None)
    with response, part.open("ab" if received else "wb") as file, bar:
        while size is None or received <= size:  # a longer response is not the file, and must not fill the disk
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
    if size is not None and received < size:
        remedy = "run the same command again to resume"
        raise RunError(f"download of {weights.url} stopped after {received} of {size} bytes ({reason}): {remedy}")


def _verify(path: Path, weights: Weights, remedy: str, delete: bool = False) -> None:
    """Raise InputError unless size and sha256 match those published. The size is checked first: it is fast, and says more."""
    size = path.stat().st_size
    if weights.size not in (None, size):
        actual = f"{size} bytes"
    elif weights.sha256 is None or (actual := f"sha256 {sha256(path)}") == f"sha256 {weights.sha256}":
        return
    if delete:
        path.unlink()
    expected = (weights.size is not None) * f"{weights.size} bytes, " + f"sha256 {weights.sha256}"
    raise InputError(f"{path} is not the file published at {weights.url}: {actual}, expected {expected}: {remedy}")
