"""Layers shared by the network families: dense and convolutional layers with optional spectral norm, and normalisation."""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from gan_jax.models.conv import convolve, convolve_transpose, resampling_kernel
from gan_jax.types import Array

NORMS = ("none", "batch", "layer", "instance", "spectral")


def check_norm(norm: str, allowed: Sequence[str] = NORMS) -> None:
    """Raise ValueError if `norm` is not one of `allowed`."""
    check_choice("norm", norm, allowed)


def check_choice(name: str, choice: str, allowed: Sequence[str]) -> None:
    """Raise ValueError, with a one-line list of the allowed values, if `choice` is not one of them."""
    if choice not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {choice!r}")


def normalise(norm: str, x: Array, train: bool, name: str | None = None, style: Array | None = None) -> Array:
    """Apply batch, layer or instance norm to the activations x [B, ..., C]; "none" and "spectral" leave them unchanged.
    Instance norm computes its statistics over the positions of one channel of one sample.

    Batch norm adds an epsilon of 1e-5 to the variance (PyTorch's and the papers'; StudioGAN 1e-4) and averages the batch's own
    variance for evaluation, over n values, with a decay of .9; PyTorch averages n / (n - 1) times that, less than .1% more for
    batches of 64 feature maps of 4x4.

    Gain and bias are learned parameters, or computed by `Affine` from `style`, label vectors [B, K]. Raises ValueError for a
    style without a norm, and for instance norm of vectors [B, C], which have no positions.
    """
    if style is not None and norm in ("none", "spectral"):
        raise ValueError(f"condition 'norm' needs a norm whose gain and bias the label can set, got norm {norm!r}")
    if norm == "instance" and x.ndim < 3:
        raise ValueError(f"norm 'instance' needs images [B, H, W, C], got activations of shape {x.shape}")
    options = {"use_scale": style is None, "use_bias": style is None, "name": name}
    if norm == "batch":
        x = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5, **options)(x)
    elif norm == "layer":
        x = nn.LayerNorm(reduction_axes=tuple(range(1, x.ndim)), feature_axes=-1, **options)(x)
    elif norm == "instance":
        x = nn.InstanceNorm(epsilon=1e-5, **options)(x)
    return x if style is None else Affine()(x, style)


class Affine(nn.Module):
    """x [B, ..., C] -> (1 + gain) x + bias, both [B, C] and linear in the label vectors `style` [B, K]; initially the identity.

    After batch norm, with classes, this is conditional batch norm: a gain and a bias for each class. After instance norm it is
    AdaIN.

    Source: de Vries et al. 2017, arXiv:1707.00683, section 3; Huang and Belongie 2017 (AdaIN), arXiv:1703.06868, eq. 8, with a
    linear map of the label in place of a style image's statistics.
    """

    @nn.compact
    def __call__(self, x: Array, style: Array) -> Array:
        change = Dense(2 * x.shape[-1], kernel_init=nn.initializers.zeros, name="label")(style).astype(x.dtype)
        gain, bias = jnp.split(change.reshape(x.shape[0], *(1,) * (x.ndim - 2), -1), 2, axis=-1)
        return x * (1 + gain) + bias


class Dense(nn.Module):
    """x [B, C] @ kernel [C, features] + bias, with the kernel divided by its spectral norm if `spectral`."""

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
            bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(x.dtype)
            y = y + jax.lax.broadcast_to_rank(bias, y.ndim)
        return checkpoint_name(y, "layer")


class Conv(nn.Module):
    """Convolution of x [B, *spatial, C] by the functions of `conv.py`; with `transpose`, a transposed convolution, which
    multiplies the size by `strides` instead of dividing it. A single number for window, strides or padding applies to each
    spatial dimension.

    With `resample` "double" it convolves `double(x)`, and with "halve" it returns `halve` of the convolution, for odd windows,
    strides of 1, "SAME" padding and one group. Both are computed at the smaller size, with 1/4 of the multiplications for 1x1
    and 4/9 for 3x3 (see `resampling_kernel`).
    """

    features: int
    window: int | tuple[int, ...] = 3
    strides: int | tuple[int, ...] = 1
    padding: str | int | tuple[int, ...] = "SAME"
    groups: int = 1
    transpose: bool = False
    resample: str = "none"
    spectral: bool = False
    use_bias: bool = True
    kernel_init: Callable = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x: Array) -> Array:
        window = (self.window,) * (x.ndim - 2) if isinstance(self.window, int) else self.window
        kernel = self.param("kernel", self.kernel_init, (*window, x.shape[-1] // self.groups, self.features))
        if self.spectral:
            kernel = _spectrally_normalised(self, kernel)
        y = self._convolve(x, kernel, window)
        if self.use_bias:
            bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(x.dtype)
            y = y + jax.lax.broadcast_to_rank(bias, y.ndim)
        return checkpoint_name(y, "layer")

    def _convolve(self, x: Array, kernel: Array, window: tuple[int, ...]) -> Array:
        if self.resample == "none":
            function = convolve_transpose if self.transpose else convolve
            return function(x, kernel.astype(x.dtype), self.strides, self.padding, self.groups)
        check_choice("resample", self.resample, ("none", "double", "halve"))
        if self.transpose or (self.strides, self.padding, self.groups) != (1, "SAME", 1) or not all(w % 2 for w in window):
            raise ValueError(f"resample needs odd windows, strides of 1, SAME padding and one group, got window {window}")
        doubles = self.resample == "double"
        if max(window) == 1:
            kernel = kernel.astype(x.dtype)
            return double(convolve(x, kernel)) if doubles else convolve(halve(x), kernel)
        kernel = resampling_kernel(kernel, doubles).astype(x.dtype)
        return (convolve_transpose if doubles else convolve)(x, kernel, 2, [w // 2 for w in window])


def _spectrally_normalised(module: nn.Module, kernel: Array) -> Array:
    """Divide kernel [..., C] by its largest singular value as a matrix [product of the other axes, C], estimated by one power
    iteration from the vector stored in the collection "spectral". The vector is updated if that collection is mutable.

    Source: Miyato et al. 2018, arXiv:1802.05957, algorithm 1.
    """
    matrix = kernel.reshape(-1, kernel.shape[-1])
    left = module.variable("spectral", "left", lambda: _unit(jax.random.normal(module.make_rng("params"), matrix.shape[1:])))
    # The singular vectors are treated as constants; sigma is differentiated through the kernel alone (appendix A).
    constant = jax.lax.stop_gradient(matrix).astype(left.value.dtype)
    right = _unit(constant @ left.value)
    updated = _unit(right @ constant)
    if module.is_mutable_collection("spectral"):
        left.value = updated
    return kernel.astype(left.value.dtype) / jnp.maximum(right @ matrix.astype(left.value.dtype) @ updated, 1e-12)


def _unit(vector: Array) -> Array:
    return vector / jnp.maximum(jnp.linalg.norm(vector), 1e-12)


def latent_key(z: Array) -> Array:
    """Derive a random key from the bits of a latent [Z] of at least two numbers."""
    bits = jax.lax.bitcast_convert_type(z.astype(jnp.float32), jnp.uint32)
    return jax.random.fold_in(jax.random.wrap_key_data(bits[:2], impl="threefry2x32"), bits[-1])


def non_orthogonality(params: Any) -> Array:
    """Return |W^T W * (1 - I)|_F^2, summed over the kernels in a network's parameters. A kernel [..., C] is a matrix W
    [product of the other axes, C]; each parameter with at least two axes counts as a kernel. Raises ValueError if there is
    none.

    Source: Brock et al. 2019 (BigGAN), arXiv:1809.11096, eq. 3."""
    kernels = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim >= 2]
    if not kernels:
        raise ValueError("orthogonal needs the parameters of the network, including kernels [..., C]: found none")

    def off_diagonal(kernel: Array) -> Array:
        matrix = kernel.reshape(-1, kernel.shape[-1]).astype(jnp.float32)
        return jnp.square((matrix.T @ matrix) * (1 - jnp.eye(matrix.shape[1]))).sum()

    return sum(off_diagonal(kernel) for kernel in kernels)


def double(x: Array) -> Array:
    """Nearest-neighbour upsampling: [B, H, W, C] -> [B, 2 H, 2 W, C]."""
    return x.repeat(2, axis=1).repeat(2, axis=2)


def halve(x: Array) -> Array:
    """Average pooling over 2x2 pixels: [B, H, W, C] -> [B, H / 2, W / 2, C]."""
    batch, height, width, channels = x.shape
    return x.reshape(batch, height // 2, 2, width // 2, 2, channels).mean(axis=(2, 4))
