"""What the networks share: linear and convolution layers with optional spectral norm, and the choice of norms."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from gan_jax.models.conv import convolve, convolve_transpose
from gan_jax.types import Array

NORMS = ("none", "batch", "layer", "instance", "spectral")


def check_norm(norm: str, allowed: Sequence[str] = NORMS) -> None:
    """Raises ValueError for a norm that a network does not have."""
    check_choice("norm", norm, allowed)


def check_choice(what: str, choice: str, allowed: Sequence[str]) -> None:
    """Raises ValueError, in one line that lists what is allowed."""
    if choice not in allowed:
        raise ValueError(f"{what} must be one of {', '.join(allowed)}, got {choice!r}")


def normalise(norm: str, x: Array, train: bool, name: str | None = None, style: Array | None = None) -> Array:
    """Batch, layer or instance norm of the activations x [B, ..., C]; "none" and "spectral" leave them as they are. Instance
    norm takes its statistics over the positions of one channel of one sample.

    Gain and bias are parameters of their own, or come from `style`, label vectors [B, K]: `Affine`. Raises ValueError for a
    style where there is no norm, and for an instance norm of vectors [B, C], which have no positions.
    """
    if style is not None and norm in ("none", "spectral"):
        raise ValueError(f"condition 'norm' needs a norm whose gain and bias the label can set, got norm {norm!r}")
    if norm == "instance" and x.ndim < 3:
        raise ValueError(f"norm 'instance' needs images [B, H, W, C], got activations of shape {x.shape}")
    own = {"use_scale": style is None, "use_bias": style is None, "name": name}
    if norm == "batch":
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, **own)(x)
    elif norm == "layer":
        x = nn.LayerNorm(reduction_axes=tuple(range(1, x.ndim)), feature_axes=-1, **own)(x)
    elif norm == "instance":
        x = nn.InstanceNorm(epsilon=1e-5, **own)(x)
    return x if style is None else Affine()(x, style)


class Affine(nn.Module):
    """x [B, ..., C] -> (1 + gain) x + bias, both [B, C] and linear in the label vectors `style` [B, K]; the identity at first.

    After batch norm, with classes: a gain and a bias for each class. After instance norm: what a style sets.

    Source: de Vries et al. 2017, arXiv:1707.00683, section 3; Huang and Belongie 2017 (AdaIN), arXiv:1703.06868, eq. 8, with a
    linear map of the label in place of a style image's statistics.
    """

    @nn.compact
    def __call__(self, x: Array, style: Array) -> Array:
        change = Dense(2 * x.shape[-1], kernel_init=nn.initializers.zeros, name="label")(style).astype(x.dtype)
        gain, bias = jnp.split(change.reshape(x.shape[0], *(1,) * (x.ndim - 2), -1), 2, axis=-1)
        return x * (1 + gain) + bias


class Dense(nn.Module):
    """x [B, C] @ kernel [C, features] + bias, with the kernel divided by its spectral norm where asked."""

    features: int
    spectral: bool = False
    use_bias: bool = True
    kernel_init: Callable = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features))
        if self.spectral:
            kernel = _spectrally_normalised(self, kernel)
        y = x @ kernel.astype(x.dtype)
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros, (self.features,)).astype(x.dtype)
        return checkpoint_name(y, "layer")


class Conv(nn.Module):
    """Convolution of x [B, *spatial, C] through the closed family of `conv.py`; `transpose` for its adjoint, which
    multiplies the size by `strides` where `convolve` divides it. One number for window, strides or padding is that of each
    spatial dimension."""

    features: int
    window: int | tuple[int, ...] = 3
    strides: int | tuple[int, ...] = 1
    padding: str | int | tuple[int, ...] = "SAME"
    groups: int = 1
    transpose: bool = False
    spectral: bool = False
    use_bias: bool = True
    kernel_init: Callable = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        window = (self.window,) * (x.ndim - 2) if isinstance(self.window, int) else self.window
        kernel = self.param("kernel", self.kernel_init, (*window, x.shape[-1] // self.groups, self.features))
        if self.spectral:
            kernel = _spectrally_normalised(self, kernel)
        kernel = kernel.astype(x.dtype)
        y = (convolve_transpose if self.transpose else convolve)(x, kernel, self.strides, self.padding, self.groups)
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros, (self.features,)).astype(x.dtype)
        return checkpoint_name(y, "layer")


def _spectrally_normalised(module: nn.Module, kernel: Array) -> Array:
    """kernel [..., C] over its largest singular value as a matrix [everything else, C], estimated by one power iteration
    from the vector that the collection "spectral" keeps. The vector moves on whenever that collection is mutable.

    Source: Miyato et al. 2018, arXiv:1802.05957, algorithm 1.
    """
    matrix = kernel.reshape(-1, kernel.shape[-1])
    left = module.variable("spectral", "left", lambda: _unit(jax.random.normal(module.make_rng("params"), matrix.shape[1:])))
    # The vectors count as constants: the gradient of sigma is theirs alone (appendix A).
    constant = jax.lax.stop_gradient(matrix)
    right = _unit(constant @ left.value)
    updated = _unit(right @ constant)
    if module.is_mutable_collection("spectral"):
        left.value = updated
    return kernel / jnp.maximum(right @ matrix @ updated, 1e-12)


def _unit(vector: Array) -> Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-12)


def non_orthogonality(params: Any) -> Array:
    """|W^T W * (1 - I)|_F^2, summed over the kernels of a network's parameters. A kernel [..., C] is a matrix W [everything
    else, C]; each parameter with two axes or more counts as one. Raises ValueError for parameters without kernels.

    Source: Brock et al. 2019 (BigGAN), arXiv:1809.11096, eq. 3."""
    kernels = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim >= 2]
    if not kernels:
        raise ValueError("orthogonal needs a network that shows its parameters, with kernels [..., C] among them: it has none")

    def overlap(kernel: Array) -> Array:
        matrix = kernel.reshape(-1, kernel.shape[-1]).astype(jnp.float32)
        return jnp.square((matrix.T @ matrix) * (1 - jnp.eye(matrix.shape[1]))).sum()

    return sum(overlap(kernel) for kernel in kernels)
