"""Obtain published weights: from the caches of other projects, or downloaded."""

import sys
from pathlib import Path

from gan_jax.errors import InputError
from gan_jax.metrics.features.inception_tensors import FID_NETWORK, in_names_of_pytorch_fid, network_digest
from gan_jax.storage import weights
from gan_jax.storage.tensor_files import load_tensors
from gan_jax.storage.weights import INCEPTION, Weights, cached_copies, copy_to, sha256


def obtain(published: Weights, directory: Path) -> tuple[Path, str]:
    """Put a file of the weights into `directory`, unless it is there: a copy from a cache (`weights.cached_copies`), or else a
    download. Return its path, and how it was verified. Files in caches with other content are not used, and named on stderr.

    Raises InputError and RunError as `weights.download` does."""
    if not (directory / published.file).exists():
        for file in cached_copies(published):
            if verification := _verification(published, file):
                path = copy_to(directory, file, next(name for name in published.files if file.name.endswith(name)))
                return path, verification if path.samefile(file) else f"{verification}, copied from {file}"
            print(f"{file} is not used: its content is not that of the published weights", file=sys.stderr)
    path = weights.download(published, directory)
    return path, "verified" if published.sha256 else "not verified: its authors publish no checksum"


def _verification(published: Weights, file: Path) -> str:
    """Return how the content of a file was verified; "" if it is not that of the weights, or cannot be verified."""
    if published.sha256 and sha256(file) == published.sha256:
        return "verified"
    if published is not INCEPTION:
        return ""
    try:
        tensors = in_names_of_pytorch_fid(load_tensors(file))
    except InputError:
        return ""
    if network_digest(tensors) != FID_NETWORK:
        return ""
    return "verified by its tensors" + ("" if "fc.weight" in tensors else "; without its classifier, hence no inception score")
