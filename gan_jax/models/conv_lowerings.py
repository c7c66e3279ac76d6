"""The lowerings of the three maps of `conv.py`, as convolutions and matrix products of XLA. On accelerators they have the stock
forms, which automatic differentiation would produce; on CPUs, forms for which XLA has a fast kernel."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from gan_jax.types import Array

FEW_CHANNELS = 4  # as images have; convolutions from or to so few channels use a small part of the fast kernels' speed
MERGED_CHANNELS = 32  # a convolution of 32 to 32 channels takes no longer than two of 16 to 16; of 48, a quarter longer
SMALL_SIGNAL = 2**18  # elements of a signal: up to this size, unrolling groups saves less than a millisecond
MANY_CHANNELS = 128  # with so many on the other side, the weight gradient of few channels is a fast product at any window
MAX_TAPS = 64  # elements of a window that may each have operations of their own
# Computed as one product with all taps, a convolution from or to few channels first writes, at each position, a number for each
# tap and channel, and then sums them. With at most this many it is faster; with more it was up to 25 times slower.
MAX_TERMS = {"convolve": 64, "transpose": 96, "weight gradient": 32}


@jax.tree_util.register_static
@dataclasses.dataclass(frozen=True)
class Geometry:
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

    @property
    def taps(self) -> list[tuple[int, ...]]:
        """The positions in the window."""
        return list(itertools.product(*map(range, self.window)))

    @property
    def rows(self) -> tuple[int, ...]:
        """For each spatial dimension, the number of blocks of `strides` positions of padded x that overlap x."""
        return tuple(-(-(before % s + size) // s) for size, _, s, before, _ in self.dimensions())

    def dimensions(self) -> list[tuple[int, int, int, int, int]]:
        """(size, window, stride, padding before, out) for each spatial dimension; these determine the padding after."""
        return list(zip(self.size, self.window, self.strides, (pad[0] for pad in self.padding), self.out, strict=True))


def _lax(x: Array, k: Array, strides: Sequence[int], padding: Sequence[tuple[int, int]], **options) -> Array:
    """`lax.conv_general_dilated` of a signal [B, *size, C] with a kernel [*window, C_in, C_out]."""
    signal = (0, x.ndim - 1, *range(1, x.ndim - 1))
    layout = lax.ConvDimensionNumbers(signal, (x.ndim - 1, x.ndim - 2, *range(x.ndim - 2)), signal)
    return lax.conv_general_dilated(x, k, strides, padding, dimension_numbers=layout, **options)


def stock_convolve(x: Array, k: Array, geometry: Geometry) -> Array:
    return _lax(x, k, geometry.strides, geometry.padding, feature_group_count=geometry.groups)


def stock_transpose(y: Array, k: Array, geometry: Geometry) -> Array:
    """Convolve y, dilated with zeros, with the reversed kernel."""
    padding = [(w - 1 - before, size - s * (o - 1) - 1 + before) for size, w, s, before, o in geometry.dimensions()]
    k = swap_channels(jnp.flip(k, range(k.ndim - 2)), geometry.groups)
    options = {"lhs_dilation": geometry.strides, "feature_group_count": geometry.groups}
    return _lax(y, k, (1,) * len(padding), padding, **options)


def _phase_transpose(y: Array, k: Array, geometry: Geometry, by_product: bool) -> Array:
    """Sub-pixel form: compute the phases of x (position modulo strides), by a small kernel for each or by one matrix product,
    and interleave them. The same sums without the zeros: 2.5 to 6 times faster from 64x64 on and in 1-D, 135 times in
    3-D, equal at 28x28. One group only.

    Source: Shi et al. 2016, arXiv:1609.07009, section 2.
    """
    n, strides, dimensions, rows = y.ndim - 2, geometry.strides, geometry.dimensions(), geometry.rows
    taps = [-(-w // s) for w, s in zip(geometry.window, strides, strict=True)]  # per phase
    k = jnp.pad(k, [(0, t * s - w) for t, s, w in zip(taps, strides, geometry.window, strict=True)] + [(0, 0), (0, 0)])
    split = [length for pair in zip(taps, strides, strict=True) for length in pair]

    # In padded x, position j lies in row j // s at phase j % s. Only rows that overlap x, from `first` on, are computed.
    first = [before // s for _, _, s, before, _ in dimensions]
    if by_product:
        products = _product(y, k.reshape(-1, k.shape[-1]).T).reshape(*y.shape[:-1], *split, k.shape[n])
        x = sum(
            _shifted(products[(..., *[index for t in tap for index in (t, slice(None))], slice(None))], start, rows)
            for tap in itertools.product(*map(range, taps))
            for start in [[f - t for f, t in zip(first, tap, strict=True)]]
        ).astype(y.dtype)
    else:
        # [*window, C_x, C_y] -> [*taps, C_y, (*phases, C_x)], taps reversed.
        k = k.reshape(*split, *k.shape[n:]).transpose(*range(0, 2 * n, 2), 2 * n + 1, *range(1, 2 * n, 2), 2 * n)
        k = jnp.flip(k, range(n)).reshape(*taps, k.shape[n], -1)
        below = [t - 1 - f for t, f in zip(taps, first, strict=True)]
        above = [r + t - 1 - o - b for r, t, o, b in zip(rows, taps, geometry.out, below, strict=True)]
        x = _lax(y, k, (1,) * n, list(zip(below, above, strict=True))).reshape(y.shape[0], *rows, *strides, -1)
    x = x.transpose(0, *[axis for i in range(1, n + 1) for axis in (i, n + i)], 2 * n + 1)
    x = x.reshape(y.shape[0], *[r * s for r, s in zip(rows, strides, strict=True)], -1)
    x = lax.optimization_barrier(x)
    return x[:, *[slice(before % s, before % s + size) for size, _, s, before, _ in dimensions]]


def stock_weight_gradient(x: Array, y: Array, geometry: Geometry) -> Array:
    """A convolution with the channels of x as the batch, the batch as channels, and y, dilated by the strides, as the
    kernel."""
    padding = [(before, s * (o - 1) + w - size - before) for size, w, s, before, o in geometry.dimensions()]
    batch, *spatial, channels = range(x.ndim)
    swapped = (channels, batch, *spatial)
    layout = lax.ConvDimensionNumbers(swapped, swapped, (x.ndim - 2, x.ndim - 1, *range(x.ndim - 2)))
    options = {"rhs_dilation": geometry.strides, "batch_group_count": geometry.groups}
    return lax.conv_general_dilated(x, y, (1,) * len(padding), padding, dimension_numbers=layout, **options)


def cpu_convolve(x: Array, k: Array, geometry: Geometry) -> Array:
    """For pointwise convolutions, a matrix product, which is 2 to 3 times faster than the convolution; for few output channels
    and a small window, one product with all taps, mostly 1 to 7 times faster. `_by_groups` treats groups."""
    if geometry.groups > 1:
        k, geometry = _merge_groups(k, geometry)
        return _by_groups(cpu_convolve, stock_convolve, x, k, geometry)
    if geometry.pointwise:
        return lax.dot_general(x, k.reshape(k.shape[-2:]), (((x.ndim - 1,), (0,)), ((), ())))
    # Per position of the result: products are computed at every position of x, most of which the strides skip.
    terms = len(geometry.taps) * math.prod(geometry.strides) * k.shape[-1]
    if k.shape[-1] > FEW_CHANNELS or terms > MAX_TERMS["convolve"]:
        return stock_convolve(x, k, geometry)
    n = x.ndim - 2
    products = _product(x, jnp.moveaxis(k, n, 0).reshape(x.shape[-1], -1)).reshape(*x.shape[:-1], *k.shape[:n], k.shape[-1])
    return sum(_under_tap(products[(..., *tap, slice(None))], tap, geometry) for tap in geometry.taps).astype(x.dtype)


def cpu_transpose(y: Array, k: Array, geometry: Geometry) -> Array:
    """For pointwise convolutions, a matrix product; for others, one product with all taps, or a convolution for each phase. The
    product is faster for few channels of x (1.3 to 6 times), and for small y, where the convolution computes many rows beyond
    the border (1.2 to 1.5 times for y of 4x4 and 8x8, windows of 4x4 and strides of 2). For large y it is slower, because each
    term of its sums goes through memory (.7 times as fast for y of 16x16 with 256 channels). `_by_groups` treats groups."""
    if geometry.pointwise and geometry.groups == 1:
        return lax.dot_general(y, k.reshape(k.shape[-2:]), (((y.ndim - 1,), (1,)), ((), ())))
    if {*geometry.strides} == {1}:  # a convolution with the reversed kernel
        k = swap_channels(jnp.flip(k, range(y.ndim - 2)), geometry.groups)
        padding = tuple((w - 1 - before, size - o + before) for size, w, _, before, o in geometry.dimensions())
        return cpu_convolve(y, k, dataclasses.replace(geometry, size=geometry.out, padding=padding))
    if geometry.groups > 1:
        k, geometry = _merge_groups(k, geometry)
        return _by_groups(cpu_transpose, stock_transpose, y, k, geometry)
    small = math.prod(geometry.rows) > 1.2 * math.prod(geometry.out)
    few = k.shape[-2] <= FEW_CHANNELS and len(geometry.taps) * k.shape[-2] <= MAX_TERMS["transpose"]
    by_product = few or (small and len(geometry.taps) <= MAX_TAPS)
    return _phase_transpose(y, k, geometry, by_product)


def cpu_weight_gradient(x: Array, y: Array, geometry: Geometry) -> Array:
    """For pointwise convolutions, a matrix product; for strides of 1 between few and many channels, a product in which the few
    are repeated for each tap, mostly 1 to 4 times faster than the convolution. With fewer than `MANY_CHANNELS` this pays off
    only for few channels of y and a small window. `_by_groups` treats groups."""
    if geometry.groups > 1:
        merged = _groups_to_merge(x.shape[-1], y.shape[-1], geometry.groups)
        wide = dataclasses.replace(geometry, groups=geometry.groups // merged)
        k = _by_groups(cpu_weight_gradient, _plain_weight_gradient, x, y, wide)
        return _diagonal_blocks(k, geometry.groups, merged)
    if geometry.pointwise:
        return _products_of_rows(x, y).reshape(*geometry.window, x.shape[-1], y.shape[-1])
    few, many = sorted((x.shape[-1], y.shape[-1]))
    many_enough = many >= MANY_CHANNELS and len(geometry.taps) <= MAX_TAPS
    small = y.shape[-1] == few and many >= 32 and few * len(geometry.taps) <= MAX_TERMS["weight gradient"]
    if few > FEW_CHANNELS or {*geometry.strides} != {1} or not (many_enough or small):
        return _plain_weight_gradient(x, y, geometry)
    if y.shape[-1] == few:  # k[t] = sum_j x[j] y[j + padding - t]
        starts = [[pad[0] - t for pad, t in zip(geometry.padding, tap, strict=True)] for tap in geometry.taps]
        y = jnp.stack([_shifted(y, start, geometry.size) for start in starts], -2)
        k = _products_of_rows(x, y.reshape(*x.shape[:-1], -1))
        return jnp.moveaxis(k.reshape(x.shape[-1], *geometry.window, few), 0, -2)
    x = jnp.stack([_under_tap(x, tap, geometry) for tap in geometry.taps], -2)
    return _products_of_rows(x.reshape(*y.shape[:-1], -1), y).reshape(*geometry.window, few, y.shape[-1])


def _by_groups(single: Callable, grouped: Callable, a: Array, b: Array, geometry: Geometry) -> Array:
    """Apply `single` to each group separately: XLA's CPU compiler has no fast kernel for groups (they are a third slower at
    best, and their stock weight gradient 130 times). Small signals keep one operation, `grouped`, which compiles faster."""
    if geometry.groups == 1:
        return single(a, b, geometry)
    if max(a.size, b.size) <= SMALL_SIGNAL:
        return grouped(a, b, geometry)
    a, b = lax.optimization_barrier((a, b))
    pairs = zip(jnp.split(a, geometry.groups, -1), jnp.split(b, geometry.groups, -1), strict=True)
    single_group = dataclasses.replace(geometry, groups=1)
    return jnp.concatenate([single(a, b, single_group) for a, b in pairs], -1)


def _groups_to_merge(channels_in: int, channels_out: int, groups: int) -> int:
    """The largest number of groups that together have at most MERGED_CHANNELS; it divides `groups`."""
    width = max(channels_in, channels_out) // groups
    return max(m for m in range(1, groups + 1) if groups % m == 0 and (m == 1 or m * width <= MERGED_CHANNELS))


def _merge_groups(k: Array, geometry: Geometry) -> tuple[Array, Geometry]:
    """The same convolution in fewer, wider groups, whose kernels are block-diagonal with a block for each original group. It
    takes no longer, and there are fewer operations to compile.

    [*window, C_in / groups, C_out] -> [*window, merged C_in / groups, C_out].
    """
    *window, channels, features = k.shape
    groups, merged = geometry.groups, _groups_to_merge(k.shape[-2] * geometry.groups, k.shape[-1], geometry.groups)
    blocks = k.reshape(*window, 1, channels, groups // merged, merged, features // groups)
    diagonal = np.eye(merged, dtype=bool).reshape(merged, 1, 1, merged, 1)
    blocks = jnp.where(np.broadcast_to(diagonal, (1,) * len(window) + diagonal.shape), blocks, jnp.zeros((), k.dtype))
    return blocks.reshape(*window, merged * channels, features), dataclasses.replace(geometry, groups=groups // merged)


def _diagonal_blocks(k: Array, groups: int, merged: int) -> Array:
    """The inverse of `_merge_groups`: the blocks on the diagonals of kernels."""
    *window, channels, features = k.shape
    blocks = k.reshape(*window, merged, channels // merged, groups // merged, merged, features // groups)
    blocks = jnp.stack([blocks[..., i, :, :, i, :] for i in range(merged)], -2)
    return blocks.reshape(*window, channels // merged, features)


def _product(x: Array, matrix: Array) -> Array:
    """x [..., C_a] times a matrix [C_a, C_b], at least in float32, because the products are summed afterwards."""
    options = {"preferred_element_type": np.promote_types(x.dtype, np.float32)}
    return lax.optimization_barrier(lax.dot_general(x, matrix, (((x.ndim - 1,), (0,)), ((), ())), **options))


def _products_of_rows(x: Array, y: Array) -> Array:
    """The products of x [..., C_x] and y [..., C_y], summed over all other axes: [C_x, C_y]."""
    rows = tuple(range(x.ndim - 1))
    x, y = lax.optimization_barrier((x, y))
    return lax.dot_general(x, y, ((rows, rows), ((), ())))


def _shifted(x: Array, start: Sequence[int], size: Sequence[int]) -> Array:
    """x[start + i] for 0 <= i < size along the spatial dimensions, the first after the batch, with zeros beyond the border."""
    padding = [(-a, a + n - length, 0) for a, n, length in zip(start, size, x.shape[1:], strict=False)]
    return lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *padding, *[(0, 0, 0)] * (x.ndim - 1 - len(padding))])


def _under_tap(x: Array, tap: Sequence[int], geometry: Geometry) -> Array:
    """The positions of x that the window multiplies by one of its taps: x[strides i + tap - padding]."""
    start = [t - pad[0] for t, pad in zip(tap, geometry.padding, strict=True)]
    x = _shifted(x, start, [s * (o - 1) + 1 for s, o in zip(geometry.strides, geometry.out, strict=True)])
    return x[:, *[slice(None, None, s) for s in geometry.strides]]


def _plain_weight_gradient(x: Array, y: Array, geometry: Geometry) -> Array:
    """The stock form with explicitly transposed axes, in the one layout that the fast kernels support. XLA's CPU compiler
    transposes them too, but only outside loops and conditionals: inside `scan` or `cond` the stock form is 30 times slower."""
    padding = [(before, s * (o - 1) + w - size - before) for size, w, s, before, o in geometry.dimensions()]
    x, y = lax.optimization_barrier((x, y))
    x = x.reshape(*x.shape[:-1], geometry.groups, -1)  # [B, *size, groups, C] -> [C, *size, (groups, B)]
    x = x.transpose(x.ndim - 1, *range(1, x.ndim - 1), 0).reshape(x.shape[-1], *geometry.size, -1)
    options = {"rhs_dilation": geometry.strides, "feature_group_count": geometry.groups}
    return jnp.moveaxis(_lax(x, jnp.moveaxis(y, 0, -2), (1,) * len(padding), padding, **options), 0, -2)


def swap_channels(kernel: Array, groups: int) -> Array:
    """[*window, C_a / groups, C_b] -> [*window, C_b / groups, C_a], group by group."""
    *window, a, b = kernel.shape
    kernel = jnp.swapaxes(kernel.reshape(*window, a, groups, b // groups), -3, -1)
    return kernel.reshape(*window, b // groups, groups * a)
