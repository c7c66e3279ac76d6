"""LPIPS for training, from weights in the cache."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.images import perceptual
from gan_jax.errors import InputError
from gan_jax.metrics.features import vgg16

WIDTHS = ((2, 2), (2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2))


@pytest.fixture
def narrow(monkeypatch, tmp_path):
    """An empty cache, and a VGG-16 of two channels."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    network = vgg16.VGG16
    monkeypatch.setattr(vgg16, "VGG16", lambda: network(WIDTHS, hidden=3))
    return tmp_path


def write(path, names: list[str], linear: list[str], weight: float) -> None:
    """Convolutions that copy channel 0 to both outputs, from their middle pixel, and weights of LPIPS."""
    tensors, inputs = {}, 3
    for name in names:
        kernel = np.zeros((2, inputs, 3, 3), np.float32)
        kernel[:, 0, 1, 1] = 1
        tensors |= {f"{name}.weight": kernel, f"{name}.bias": np.array([0, 1], np.float32)}
        inputs = 2
    with path.open("wb") as file:  # the reader knows formats by content
        np.savez(file, **tensors, **{name: np.full((1, 2, 1, 1), weight, np.float32) for name in linear})


POSITIONS = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28]  # of the convolutions in torchvision's vgg16.features
LINEAR = [f"lin{i}.model.1.weight" for i in range(5)]


def test_lpips_of_constant_images(narrow):
    """Every layer copies channel 0 and adds (0, 1): where the normalised image is v > 0, all activations are (v, v + 1), which
    LPIPS divides by their norm."""
    write(narrow / "vgg16-397923af.pth", [f"features.{i}" for i in POSITIONS], [], 0.0)
    write(narrow / "vgg.pth", [], LINEAR, 0.5)
    levels = np.array([0.75, 1.0])
    x, y = (jnp.full((1, 32, 32, 1), v, jnp.float32) for v in levels)
    a, b = ((((v + 1) / 2 - 0.485) / 0.229) for v in levels)
    unit = [np.array([v, v + 1]) / np.hypot(v, v + 1) for v in (a, b)]
    expected = 5 * 0.5 * np.square(unit[0] - unit[1]).sum()
    np.testing.assert_allclose(perceptual.lpips(x, y), [expected], rtol=1e-5)
    gradient = jax.jit(jax.grad(lambda x: perceptual.lpips(x, y).sum()))(x)
    assert gradient.sum() < 0  # towards y


def test_either_set_of_weights_serves(narrow):
    x, y = (jnp.full((1, 16, 16, 3), v, jnp.float32) for v in (0.75, 1.0))
    with pytest.raises(
        InputError, match=r"lpips: its weights are not in .*gan_jax weights vgg16 fetches them.*vgg16_torchvision and"
    ):
        perceptual.lpips(x, y)
    write(narrow / "vgg16.pt", [f"layers.conv{i + 1}" for i in range(13)], [], 0.0)
    with pytest.raises(InputError, match=r"vgg16\.pt has no weights of LPIPS"):
        perceptual.lpips(x, y)
    write(narrow / "vgg16.pt", [f"layers.conv{i + 1}" for i in range(13)], [f"lpips{i}" for i in range(5)], 0.25)
    value = perceptual.lpips(x, y)
    perceptual._weights.cache_clear()
    write(narrow / "vgg16-397923af.pth", [f"features.{i}" for i in POSITIONS], [], 0.0)
    write(narrow / "vgg.pth", [], LINEAR, 0.5)  # the authors' come first
    np.testing.assert_allclose(perceptual.lpips(x, y), 2 * value, rtol=1e-6)
