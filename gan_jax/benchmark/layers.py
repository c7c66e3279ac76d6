"""Single convolutions (ours, those of stock `lax` and PyTorch's) and a product of matrices: functions of the number of calls,
which make them and wait for the results."""

from collections.abc import Callable

from gan_jax.benchmark.cases import Layer

PEAK_SIZE = 2048  # of the square matrices whose product measures the peak
PEAK_FLOPS = 2.0 * PEAK_SIZE**3

Run = Callable[[int], None]


def jax_layer(layer: Layer, stock: bool) -> Run:
    """The layer by `models/conv.py`, compiled as a training step is; or with `stock`, by `lax` and its automatic
    derivatives."""
    import jax
    from jax import lax

    from gan_jax.models.conv import convolve
    from gan_jax.xla import compiler_options

    def stock_convolve(x, kernel):
        return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    x, kernel, y = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate(_shapes(layer)))
    f, options = (stock_convolve, {}) if stock else (convolve, compiler_options())
    if layer.derivative == "forward":
        return _jitted(f, x, kernel, options=options)
    argument = {"input": 0, "weights": 1}[layer.derivative]
    return _jitted(lambda x, kernel, y: jax.vjp(f, x, kernel)[1](y)[argument], x, kernel, y, options=options)


def torch_layer(layer: Layer) -> Run:
    """The layer in PyTorch, channels_last."""
    import torch

    x, kernel, y = (
        torch.randn(*shape).permute(*order)
        for shape, order in zip(_shapes(layer), [(0, 3, 1, 2), (3, 2, 0, 1), (0, 3, 1, 2)], strict=True)
    )
    kernel = kernel.contiguous(memory_format=torch.channels_last)
    padding = layer.window // 2
    if layer.derivative == "forward":
        return _repeated(lambda: torch.nn.functional.conv2d(x, kernel, padding=padding))
    mask = [layer.derivative == "input", layer.derivative == "weights", False]
    gradient = torch.ops.aten.convolution_backward
    return _repeated(lambda: gradient(y, x, kernel, None, [1, 1], [padding] * 2, [1, 1], False, [0, 0], 1, mask))


def jax_product() -> Run:
    """A product of float32 matrices."""
    import jax
    import jax.numpy as jnp

    a, b = jax.random.normal(jax.random.key(0), (2, PEAK_SIZE, PEAK_SIZE))
    return _jitted(jnp.dot, a, b)


def torch_product() -> Run:
    import torch

    a, b = torch.randn(2, PEAK_SIZE, PEAK_SIZE)
    return _repeated(lambda: a @ b)


def _shapes(layer: Layer) -> list[tuple[int, ...]]:
    """The shapes of the images, the kernel and the result."""
    images = (layer.batch, layer.size, layer.size)
    return [(*images, layer.channels), (layer.window, layer.window, layer.channels, layer.features), (*images, layer.features)]


def _jitted(f: Callable, *arguments, options: dict[str, str] | None = None) -> Run:
    import jax

    f = jax.jit(f, compiler_options=options)

    def run(calls: int) -> None:
        for _ in range(calls):
            jax.block_until_ready(f(*arguments))

    return run


def _repeated(f: Callable[[], object]) -> Run:
    def run(calls: int) -> None:
        for _ in range(calls):
            f()

    return run
