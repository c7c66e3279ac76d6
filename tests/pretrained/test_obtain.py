"""Published weights, taken from the caches of other projects or downloaded."""

import hashlib
import os

import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.metrics.features.inception_tensors import network_digest
from gan_jax.pretrained import obtain
from gan_jax.storage import weights
from gan_jax.storage.weights import INCEPTION, Weights, cached_copies

CONTENT = b"weights"
MD5 = "0123456789abcdef" * 2  # of the address, in dnnlib's cache


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home directory without caches, and no network."""

    def no_network(published, directory):
        raise InputError("no network")

    for variable in ("TORCH_HOME", "XDG_CACHE_HOME", "DNNLIB_CACHE_DIR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "ours"))
    monkeypatch.setattr(weights, "download", no_network)
    return tmp_path


@pytest.fixture
def published() -> Weights:
    return Weights("some", "https://host/some.pth", None, hashlib.sha256(CONTENT).hexdigest(), "", other_files=("other.pt",))


def put(path, content=CONTENT):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_caches_of_other_projects(home, published, monkeypatch):
    """Their directories, and the variables that move them, as documented by torch.hub, dnnlib and CLIP."""
    assert cached_copies(published) == []
    hub, dnnlib, clip = "torch/hub/checkpoints/some.pth", f"dnnlib/downloads/{MD5}_other.pt", "clip/some.pth"
    here = [put(home / ".cache" / name) for name in (hub, clip, dnnlib)]
    put(home / ".cache" / "torch/hub/checkpoints/another.pth")
    ours = put(home / "ours" / "other.pt")
    assert cached_copies(published) == [ours, *here]
    monkeypatch.setenv("XDG_CACHE_HOME", str(home / "xdg"))
    moved = put(home / "xdg" / hub)
    assert cached_copies(published) == [ours, moved, *here[1:]]
    monkeypatch.setenv("TORCH_HOME", str(home / "torch"))
    monkeypatch.setenv("DNNLIB_CACHE_DIR", str(home / "dnnlib"))
    torch, nvidia = put(home / hub), put(home / dnnlib)
    assert cached_copies(published) == [ours, torch, here[1], nvidia]


def test_a_verified_copy_is_kept_instead_of_a_download(home, published, capsys):
    wrong = put(home / ".cache/torch/hub/checkpoints/some.pth", b"something else")
    copy = put(home / f".cache/dnnlib/downloads/{MD5}_other.pt")
    path, verification = obtain.obtain(published, home / "to")
    assert (path, verification) == (home / "to" / "other.pt", f"verified, copied from {copy}")
    assert path.read_bytes() == CONTENT and os.listdir(home / "to") == ["other.pt"]
    assert capsys.readouterr().err == f"{wrong} is not used: its content is not that of the published weights\n"
    obtain.obtain(published, home / "ours")
    copy.unlink()
    assert obtain.obtain(published, home / "ours") == (home / "ours" / "other.pt", "verified")


def test_weights_without_a_checksum_are_downloaded(home, published):
    put(home / ".cache/torch/hub/checkpoints/some.pth")
    with pytest.raises(InputError, match="no network"):
        obtain.obtain(published._replace(sha256=None), home / "to")


@pytest.mark.parametrize("classifier", [True, False])
def test_the_inception_network_is_recognised_by_its_tensors(classifier, home, monkeypatch):
    """In whatever file: here in NVIDIA's names."""
    tensors = {f"layers.conv.{part}": np.full(2, 0.5, np.float32) for part in ("weight", "beta", "mean", "var")}
    names = {"conv.weight": 0.5, "bn.weight": 1.0, "bn.bias": 0.5, "bn.running_mean": 0.5, "bn.running_var": 0.5}
    expected = {f"Conv2d_1a_3x3.{name}": np.full(2, value, np.float32) for name, value in names.items()}
    monkeypatch.setattr(obtain, "FID_NETWORK", network_digest(expected))
    file = home / ".cache/torch/hub/checkpoints/inception.npz"
    file.parent.mkdir(parents=True)
    np.savez(file, **tensors, **({"output.weight": np.zeros(3)} if classifier else {}))
    path, verification = obtain.obtain(INCEPTION, home / "ours")
    missing = "; without its classifier, hence no inception score"
    assert path == home / "ours" / "inception.npz"
    assert verification == f"verified by its tensors{missing * (not classifier)}, copied from {file}"
    path.unlink()
    np.savez(file, **tensors | {"layers.conv.var": np.ones(2)})
    with pytest.raises(InputError, match="no network"):
        obtain.obtain(INCEPTION, home / "ours")
