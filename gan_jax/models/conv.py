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

import dataclasses
import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jax import lax

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
    swapped = _swap_channels(kernel, groups)
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
    """The kernel [*(w + 1), C_in, C_out] that resamples and convolves at once, for a convolution with kernel [*w, C_in, C_out],
    odd windows w, strides of 1 and "SAME" padding.

    With `doubles`, `convolve_transpose(x, result, 2, w // 2)` is the convolution of x with each position repeated along each
    dimension. Otherwise `convolve(x, result, 2, w // 2)` is the mean of the convolution of x over each window of 2.
    """
    for axis in range(kernel.ndim - 2):
        kernel = jnp.flip(kernel, axis) if doubles else kernel / 2
        before, after = ([(0, 0)] * kernel.ndim for _ in range(2))
        before[axis], after[axis] = (1, 0), (0, 1)
        kernel = jnp.pad(kernel, before) + jnp.pad(kernel, after)
    return kernel


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class _Geometry:
    """The static shape parameters of a convolution, shared by the three maps and by their derivatives."""

    size: tuple[int, ...]
    window: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    groups: int

    @property
    def out(self) -> tuple[int, ...]:
        dimensions = zip(self.size, self.window, self.strides, self.padding, strict=True)
        return tuple((n + sum(pad) - w) // s + 1 for n, w, s, pad in dimensions)

    @property
    def pointwise(self) -> bool:
        """Whether each position of the response depends on the same position of the signal alone."""
        return {*self.window, *self.strides} == {1} and not any(map(any, self.padding))

    def dimensions(self) -> list[tuple[int, int, int, int, int]]:
        """(size, window, stride, padding before, out) for each spatial dimension; these determine the padding after."""
        return list(zip(self.size, self.window, self.strides, (pad[0] for pad in self.padding), self.out, strict=True))


# The lowerings, one `lax` convolution each.


def _lax(x: Array, k: Array, strides: Sequence[int], padding: Sequence[tuple[int, int]], **options) -> Array:
    """`lax.conv_general_dilated` of a signal [B, *size, C] with a kernel [*window, C_in, C_out]."""
    signal = (0, x.ndim - 1, *range(1, x.ndim - 1))
    layout = lax.ConvDimensionNumbers(signal, (x.ndim - 1, x.ndim - 2, *range(x.ndim - 2)), signal)
    return lax.conv_general_dilated(x, k, strides, padding, dimension_numbers=layout, **options)


def _stock_convolve(x: Array, k: Array, geometry: _Geometry) -> Array:
    return _lax(x, k, geometry.strides, geometry.padding, feature_group_count=geometry.groups)


def _stock_transpose(y: Array, k: Array, geometry: _Geometry) -> Array:
    """Convolve y, dilated with zeros, with the reversed kernel."""
    padding = [(w - 1 - before, size - s * (o - 1) - 1 + before) for size, w, s, before, o in geometry.dimensions()]
    k = _swap_channels(jnp.flip(k, range(k.ndim - 2)), geometry.groups)
    options = {"lhs_dilation": geometry.strides, "feature_group_count": geometry.groups}
    return _lax(y, k, (1,) * len(padding), padding, **options)


def _phase_transpose(y: Array, k: Array, geometry: _Geometry) -> Array:
    """Sub-pixel form: one small kernel for each phase of x (position modulo strides), and the phases interleaved. The same sums
    without the zeros: 2.5 to 6 times faster from 64x64 on and in 1-D, 135 times in 3-D, equal at 28x28. One group only.

    Source: Shi et al. 2016, arXiv:1609.07009, section 2.
    """
    n, dimensions = y.ndim - 2, geometry.dimensions()
    taps = [-(-w // s) for _, w, s, _, _ in dimensions]  # per phase

    # [*window, C_x, C_y] -> [*taps, C_y, (*phases, C_x)], taps reversed.
    k = jnp.pad(k, [(0, t * s - w) for t, (_, w, s, _, _) in zip(taps, dimensions, strict=True)] + [(0, 0), (0, 0)])
    k = k.reshape(*[length for pair in zip(taps, geometry.strides, strict=True) for length in pair], *k.shape[n:])
    k = k.transpose(*range(0, 2 * n, 2), 2 * n + 1, *range(1, 2 * n, 2), 2 * n)
    k = jnp.flip(k, range(n)).reshape(*taps, k.shape[n], -1)

    # In padded x, position j lies in row j // s at phase j % s. Only rows that overlap x are computed.
    rows = [-(-(before % s + size) // s) for size, _, s, before, _ in dimensions]
    below = [t - 1 - before // s for t, (_, _, s, before, _) in zip(taps, dimensions, strict=True)]
    above = [r + t - 1 - o - b for r, t, o, b in zip(rows, taps, geometry.out, below, strict=True)]
    x = _lax(y, k, (1,) * n, list(zip(below, above, strict=True)))
    x = x.reshape(y.shape[0], *rows, *geometry.strides, -1)
    x = x.transpose(0, *[axis for i in range(1, n + 1) for axis in (i, n + i)], 2 * n + 1)
    x = x.reshape(y.shape[0], *[r * s for r, s in zip(rows, geometry.strides, strict=True)], -1)
    x = lax.optimization_barrier(x)
    return x[:, *[slice(before % s, before % s + size) for size, _, s, before, _ in dimensions]]


def _stock_weight_gradient(x: Array, y: Array, geometry: _Geometry) -> Array:
    """A convolution with the channels of x as the batch, the batch as channels, and y, dilated by the strides, as the
    kernel."""
    padding = [(before, s * (o - 1) + w - size - before) for size, w, s, before, o in geometry.dimensions()]
    batch, *spatial, channels = range(x.ndim)
    swapped = (channels, batch, *spatial)
    layout = lax.ConvDimensionNumbers(swapped, swapped, (x.ndim - 2, x.ndim - 1, *range(x.ndim - 2)))
    options = {"rhs_dilation": geometry.strides, "batch_group_count": geometry.groups}
    return lax.conv_general_dilated(x, y, (1,) * len(padding), padding, dimension_numbers=layout, **options)


def _cpu_convolve(x: Array, k: Array, geometry: _Geometry) -> Array:
    """A matrix product for windows of one element, 2 to 3 times faster than their convolution on a CPU. One group only."""
    if not geometry.pointwise:
        return _stock_convolve(x, k, geometry)
    return lax.dot_general(x, k.reshape(k.shape[-2:]), (((x.ndim - 1,), (0,)), ((), ())))


def _cpu_transpose(y: Array, k: Array, geometry: _Geometry) -> Array:
    if not geometry.pointwise:
        return _phase_transpose(y, k, geometry)
    return lax.dot_general(y, k.reshape(k.shape[-2:]), (((y.ndim - 1,), (1,)), ((), ())))


def _cpu_weight_gradient(x: Array, y: Array, geometry: _Geometry) -> Array:
    if not geometry.pointwise:
        return _plain_weight_gradient(x, y, geometry)
    rows = tuple(range(x.ndim - 1))
    x, y = lax.optimization_barrier((x, y))
    return lax.dot_general(x, y, ((rows, rows), ((), ()))).reshape(*geometry.window, x.shape[-1], y.shape[-1])


def _plain_weight_gradient(x: Array, y: Array, geometry: _Geometry) -> Array:
    """The same with explicitly transposed axes, in the one layout that the fast kernels support. XLA's CPU compiler transposes
    them too, but only outside loops and conditionals: inside `scan` or `cond` the stock form is 30 times slower. One group
    only."""
    padding = [(before, s * (o - 1) + w - size - before) for size, w, s, before, o in geometry.dimensions()]
    x, y = lax.optimization_barrier((x, y))
    x, y = jnp.moveaxis(x, (-1, 0), (0, -1)), jnp.moveaxis(y, 0, -2)
    return jnp.moveaxis(_lax(x, y, (1,) * len(padding), padding, rhs_dilation=geometry.strides), 0, -2)


def _bilinear(stock: Callable, on_cpu: Callable) -> Callable:
    """Build one of the maps, f(a, b, geometry), from its lowerings: `stock` on accelerators; on CPU `on_cpu`, separately for
    each group and each member of a `vmap`, because XLA's CPU compiler has no fast kernel for groups (130 times slower for
    their weight gradient)."""

    @functools.partial(jax.jit, inline=True)  # traced once for all layers of the same shapes
    def lowered(a: Array, b: Array, geometry: _Geometry) -> Array:
        def separate_groups(a: Array, b: Array) -> Array:
            if geometry.groups > 1:
                a, b = lax.optimization_barrier((a, b))
            pairs = zip(jnp.split(a, geometry.groups, -1), jnp.split(b, geometry.groups, -1), strict=True)
            single_group = dataclasses.replace(geometry, groups=1)
            return jnp.concatenate([on_cpu(a, b, single_group) for a, b in pairs], -1)

        return lax.platform_dependent(a, b, cpu=separate_groups, default=lambda a, b: stock(a, b, geometry))

    batchable = jax.custom_batching.custom_vmap(lowered)

    @batchable.def_vmap
    def lowered_under_vmap(axis_size: int, batched: list, a: Array, b: Array, geometry: _Geometry) -> tuple[Array, bool]:
        axes = [0 if is_batched else None for is_batched in batched[:2]]
        vectorised = jax.vmap(lambda a, b: lowered(a, b, geometry), axes)
        if None in axes or axis_size > MAX_UNROLLED:  # if one operand is shared, the members only add batch rows or channels
            return vectorised(a, b), True

        def unrolled(a: Array, b: Array) -> Array:
            return jnp.stack([batchable(a[i], b[i], geometry) for i in range(axis_size)])

        return lax.platform_dependent(a, b, cpu=unrolled, default=vectorised), True

    return jax.custom_vjp(batchable, nondiff_argnums=(2,))


_convolve = _bilinear(_stock_convolve, _cpu_convolve)
_transpose = _bilinear(_stock_transpose, _cpu_transpose)
_weight_gradient = _bilinear(_stock_weight_gradient, _cpu_weight_gradient)

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


def _swap_channels(kernel: Array, groups: int) -> Array:
    """[*window, C_a / groups, C_b] -> [*window, C_b / groups, C_a], group by group."""
    *window, a, b = kernel.shape
    kernel = jnp.swapaxes(kernel.reshape(*window, a, groups, b // groups), -3, -1)
    return kernel.reshape(*window, b // groups, groups * a)


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


def _geometry(x: Array, kernel: Array, strides: int | Sequence[int], padding: Padding, groups: int) -> _Geometry:
    size, window = tuple(x.shape[1:-1]), tuple(kernel.shape[:-2])
    strides = _per_dimension("strides", strides, len(window))
    return _Geometry(size, window, strides, _pads(padding, size, window, strides), groups)


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
