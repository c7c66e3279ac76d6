"""How the three maps of `conv.py` are computed: one `lax` operation each. The stock forms, which automatic differentiation
would produce, for accelerators; and for CPUs forms for which XLA has a fast kernel."""

import dataclasses
import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jax import lax

from gan_jax.types import Array


@functools.cache
def compiler_options() -> dict[str, str]:
    """Options of `jax.jit` for programs that differentiate convolutions on a CPU; empty elsewhere, or if XLA does not know
    them.

    Convolutions by Eigen, not YNNPACK, which XLA prefers although its weight gradients of stride 1 take up to 4 times as long.
    And optimization barriers, which XLA's CPU compiler otherwise removes before it fuses operations: they keep elementwise work
    out of transposes, which alone take 2 ms where the fusion takes 16 (12.6 MB, two cores).
    """
    if jax.default_backend() != "cpu":
        return {}
    options = {
        "xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_REDUCE,LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT",
        "xla_disable_hlo_passes": "cse_barrier_expander",
    }
    try:
        jax.jit(lambda: 0, compiler_options=options).lower().compile()
    except (RuntimeError, ValueError):  # the option is experimental: other versions of XLA may not have it
        return {}
    return options


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


def _phase_transpose(y: Array, k: Array, geometry: Geometry) -> Array:
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
    """A matrix product for windows of one element, 2 to 3 times faster than their convolution on a CPU. One group only."""
    if not geometry.pointwise:
        return stock_convolve(x, k, geometry)
    return lax.dot_general(x, k.reshape(k.shape[-2:]), (((x.ndim - 1,), (0,)), ((), ())))


def cpu_transpose(y: Array, k: Array, geometry: Geometry) -> Array:
    if not geometry.pointwise:
        return _phase_transpose(y, k, geometry)
    return lax.dot_general(y, k.reshape(k.shape[-2:]), (((y.ndim - 1,), (1,)), ((), ())))


def cpu_weight_gradient(x: Array, y: Array, geometry: Geometry) -> Array:
    if not geometry.pointwise:
        return _plain_weight_gradient(x, y, geometry)
    rows = tuple(range(x.ndim - 1))
    x, y = lax.optimization_barrier((x, y))
    return lax.dot_general(x, y, ((rows, rows), ((), ()))).reshape(*geometry.window, x.shape[-1], y.shape[-1])


def _plain_weight_gradient(x: Array, y: Array, geometry: Geometry) -> Array:
    """The same with explicitly transposed axes, in the one layout that the fast kernels support. XLA's CPU compiler transposes
    them too, but only outside loops and conditionals: inside `scan` or `cond` the stock form is 30 times slower. One group
    only."""
    padding = [(before, s * (o - 1) + w - size - before) for size, w, s, before, o in geometry.dimensions()]
    x, y = lax.optimization_barrier((x, y))
    x, y = jnp.moveaxis(x, (-1, 0), (0, -1)), jnp.moveaxis(y, 0, -2)
    return jnp.moveaxis(_lax(x, y, (1,) * len(padding), padding, rhs_dilation=geometry.strides), 0, -2)


def swap_channels(kernel: Array, groups: int) -> Array:
    """[*window, C_a / groups, C_b] -> [*window, C_b / groups, C_a], group by group."""
    *window, a, b = kernel.shape
    kernel = jnp.swapaxes(kernel.reshape(*window, a, groups, b // groups), -3, -1)
    return kernel.reshape(*window, b // groups, groups * a)
