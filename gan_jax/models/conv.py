"""Convolutions whose derivatives of every order are fast, on CPUs too: a family of three bilinear maps, closed under
differentiation.

With x a signal [B, *size, C_in], k a kernel [*window, C_in / groups, C_out] and y a response [B, *out, C_out], the number

    <y, convolve(x, k)> = <x, transpose(y, k)> = <k, weight_gradient(x, y)>

is linear in each of the three, so the two derivatives of each map are the other two maps. Automatic differentiation of the
stock `lax` operations leaves this family: the weight gradient of a transposed convolution, and the second derivative of a
strided one (which every gradient penalty needs), become reversed windows over dilated inputs, for which XLA's CPU compiler
does not use its fast kernels: up to 50 times slower. Here no derivative of any order leaves the family, and each of the
three maps is lowered to a fast form, inside `scan` and `cond` too (on accelerators, to the form that automatic
differentiation produces).

The price: reverse mode only. `jax.grad` of `jax.grad` works; `jax.jvp`, `jax.jacfwd` and `jax.hessian` raise.
Channels last; one, two or three spatial dimensions; both operands have the same dtype (bfloat16 is summed in float32).
"""

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

from gan_jax.models.conv_lowerings import (
    Geometry,
    cpu_convolve,
    cpu_transpose,
    cpu_weight_gradient,
    stock_convolve,
    stock_transpose,
    stock_weight_gradient,
    swap_channels,
)
from gan_jax.types import Array

Padding = str | int | Sequence[int | tuple[int, int]]

# On CPU the members of a `vmap` (seeds) run as separate convolutions, up to this many. The single grouped convolution to which
# `lax` lowers them is 3 to 9 times slower there, but the size of its program does not grow with the number of members.
MAX_UNROLLED = 16


def convolve(x: Array, kernel: Array, strides: int | Sequence[int] = 1, padding: Padding = "SAME", groups: int = 1) -> Array:
    """Cross-correlation, the "convolution" of deep learning: y[i] = sum_t x[strides i + t - padding] k[t].

    x [B, *size, C_in], kernel [*window, C_in / groups, C_out] -> [B, *out, C_out]. `padding` is "SAME"
    (out = ceil(size / strides)), "VALID" (none), an int, or for each spatial dimension an int or a pair (before, after).
    Raises ValueError if the shapes do not fit.
    """
    _check_operands("x", x, kernel, groups)
    geometry = _geometry(x, kernel, strides, padding, groups)
    if min(geometry.out) < 1:
        raise ValueError(f"x {x.shape} with padding {geometry.padding} is smaller than the kernel {kernel.shape}")
    return _convolve(x, kernel, geometry)


def convolve_transpose(
    y: Array,
    kernel: Array,
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    groups: int = 1,
    size: int | Sequence[int] | None = None,
) -> Array:
    """The transpose of `convolve`, the layer that upsamples: x[strides i + t - padding] += y[i] k[t].

    y [B, *out, C_in], kernel [*window, C_in / groups, C_out] -> [B, *size, C_out]. As in any layer, the last axis of the
    kernel is the output channels and the one before it the input channels, so that initialisers and spectral norm treat all
    kernels alike. (As a linear map it is the transpose of `convolve` with these two axes swapped. The window is not reversed:
    PyTorch's ConvTranspose2d stores the same numbers as [C_in, C_out, *window], flax's ConvTranspose with the window
    reversed.)

    `padding` is that of the convolution: 4x4, strides 2, padding 1 (or "SAME") doubles the size. `size` defaults to
    strides * out for "SAME" and to strides * (out - 1) + window - padding otherwise; it may be any size that `convolve`
    maps back to `out`. Raises ValueError if the shapes do not fit.
    """
    _check_operands("y", y, kernel, groups)
    out, window = y.shape[1:-1], kernel.shape[:-2]
    strides = _per_dimension("strides", strides, len(window))
    if size is not None:
        size = _per_dimension("size", size, len(window))
    elif padding == "SAME":
        size = tuple(o * s for o, s in zip(out, strides, strict=True))
    else:
        pads = _pads(padding, window, window, strides)
        size = tuple(s * (o - 1) + w - sum(p) for o, w, s, p in zip(out, window, strides, pads, strict=True))
    swapped = swap_channels(kernel, groups)
    x = jax.ShapeDtypeStruct((y.shape[0], *size, kernel.shape[-1]), y.dtype)
    geometry = _geometry(x, swapped, strides, padding, groups)
    if min(size) < 1 or geometry.out != out:
        raise ValueError(
            f"y {y.shape} is not the output for size {size}: the kernel {kernel.shape} with strides {strides} and padding "
            f"{geometry.padding} maps that to {geometry.out}"
        )
    return _transpose(y, swapped, geometry)


def weight_gradient(
    x: Array,
    y: Array,
    window: int | Sequence[int],
    strides: int | Sequence[int] = 1,
    padding: Padding = "SAME",
    groups: int = 1,
) -> Array:
    """The derivative of <y, convolve(x, kernel)> with respect to the kernel: k[t] = sum_i x[strides i + t - padding] y[i].

    x [B, *size, C_in], y [B, *out, C_out] -> [*window, C_in / groups, C_out]. Raises ValueError if the shapes do not fit.
    """
    window = _per_dimension("window", window, x.ndim - 2)
    kernel = jax.ShapeDtypeStruct((*window, x.shape[-1] // max(groups, 1), y.shape[-1]), y.dtype)
    _check_operands("x", x, kernel, groups)
    geometry = _geometry(x, kernel, strides, padding, groups)
    if y.shape[:-1] != (x.shape[0], *geometry.out):
        raise ValueError(
            f"y {y.shape} is not the output for x {x.shape}: a window {window} with strides {geometry.strides} and padding "
            f"{geometry.padding} maps that to {geometry.out}"
        )
    return _weight_gradient(x, y, geometry)


def resampling_kernel(kernel: Array, doubles: bool) -> Array:
    """The kernel [*(w + 1), C_in, C_out] that resamples and convolves in one operation, for a convolution with a kernel
    [*w, C_in, C_out], odd windows w, strides of 1 and "SAME" padding.

    With `doubles`, `convolve_transpose(x, result, 2, w // 2)` is the convolution of x with each position repeated along each
    dimension. Otherwise `convolve(x, result, 2, w // 2)` is the mean of the convolution of x over each window of 2.
    """
    for axis in range(kernel.ndim - 2):
        kernel = jnp.flip(kernel, axis) if doubles else kernel / 2
        before, after = ([(0, 0)] * kernel.ndim for _ in range(2))
        before[axis], after[axis] = (1, 0), (0, 1)
        kernel = jnp.pad(kernel, before) + jnp.pad(kernel, after)
    return kernel


def _bilinear(stock: Callable, on_cpu: Callable) -> Callable:
    """Build one of the maps, f(a, b, geometry), from its lowerings: `stock` on accelerators, and on CPUs `on_cpu`, separately
    for each member of a `vmap`."""

    @functools.partial(jax.jit, inline=True)  # traced once for all layers of the same shapes
    def lowered(a: Array, b: Array, geometry: Geometry) -> Array:
        forms = {"cpu": lambda a, b: on_cpu(a, b, geometry), "default": lambda a, b: stock(a, b, geometry)}
        return lax.platform_dependent(a, b, **forms)

    batchable = jax.custom_batching.custom_vmap(lowered)

    @batchable.def_vmap
    def lowered_under_vmap(axis_size: int, batched: list, a: Array, b: Array, geometry: Geometry) -> tuple[Array, bool]:
        axes = [0 if is_batched else None for is_batched in batched[:2]]
        vectorised = jax.vmap(lambda a, b: lowered(a, b, geometry), axes)
        if None in axes or axis_size > MAX_UNROLLED:  # if one operand is shared, the members only add batch rows or channels
            return vectorised(a, b), True

        def unrolled(a: Array, b: Array) -> Array:
            return jnp.stack([batchable(a[i], b[i], geometry) for i in range(axis_size)])

        return lax.platform_dependent(a, b, cpu=unrolled, default=vectorised), True

    return jax.custom_vjp(batchable, nondiff_argnums=(2,))


_convolve = _bilinear(stock_convolve, cpu_convolve)
_transpose = _bilinear(stock_transpose, cpu_transpose)
_weight_gradient = _bilinear(stock_weight_gradient, cpu_weight_gradient)

# The derivatives of each map are the two others.
_convolve.defvjp(
    lambda x, k, geometry: (_convolve(x, k, geometry), (x, k)),
    lambda geometry, xk, y: (_transpose(y, xk[1], geometry), _weight_gradient(xk[0], y, geometry)),
)
_transpose.defvjp(
    lambda y, k, geometry: (_transpose(y, k, geometry), (y, k)),
    lambda geometry, yk, x: (_convolve(x, yk[1], geometry), _weight_gradient(x, yk[0], geometry)),
)
_weight_gradient.defvjp(
    lambda x, y, geometry: (_weight_gradient(x, y, geometry), (x, y)),
    lambda geometry, xy, k: (_transpose(xy[1], k, geometry), _convolve(xy[0], k, geometry)),
)


# Validation of arguments.


def _check_operands(name: str, x: Array, kernel: Array, groups: int) -> None:
    if x.ndim != kernel.ndim or not 3 <= x.ndim <= 5:
        raise ValueError(
            f"{name} must be [B, *size, C_in] and the kernel [*window, C_in / groups, C_out] with one to three spatial "
            f"dimensions, got {x.shape} and {kernel.shape}"
        )
    if groups < 1 or x.shape[-1] != kernel.shape[-2] * groups or kernel.shape[-1] % groups:
        raise ValueError(f"the channels of {name} {x.shape} and kernel {kernel.shape} do not fit with groups={groups}")
    if x.dtype != kernel.dtype:
        raise ValueError(f"{name} {x.shape} is {x.dtype} and the kernel {kernel.shape} is {kernel.dtype}: cast one")


def _geometry(x: Array, kernel: Array, strides: int | Sequence[int], padding: Padding, groups: int) -> Geometry:
    size, window = tuple(x.shape[1:-1]), tuple(kernel.shape[:-2])
    strides = _per_dimension("strides", strides, len(window))
    return Geometry(size, window, strides, _pads(padding, size, window, strides), groups)


def _per_dimension(name: str, value: int | Sequence[int], dimensions: int) -> tuple[int, ...]:
    values = (value,) * dimensions if isinstance(value, int) else tuple(value)
    if len(values) != dimensions or min(values, default=0) < 1:
        raise ValueError(f"{name} must be a positive int, or {dimensions} of them, got {value}")
    return values


def _pads(padding: Padding, size: tuple, window: tuple, strides: tuple) -> tuple[tuple[int, int], ...]:
    if padding in ("SAME", "VALID"):
        return tuple(lax.padtype_to_pads(size, window, strides, padding))
    pads = (padding,) * len(window) if isinstance(padding, int) else padding
    if not isinstance(pads, str):
        pads = tuple((pad, pad) if isinstance(pad, int) else tuple(pad) for pad in pads)
        if len(pads) == len(window) and all(len(pad) == 2 and min(pad) >= 0 for pad in pads):
            return pads
    raise ValueError(
        f'padding must be "SAME", "VALID", an int >= 0, or for each of {len(window)} dimensions an int or a pair, '
        f"got {padding!r}"
    )
