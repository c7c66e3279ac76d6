"""The convolutions of `conv.py` against the stock operations of `lax` and their automatic derivatives."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from gan_jax.models import conv, conv_lowerings
from gan_jax.models.conv import convolve, convolve_transpose, weight_gradient
from gan_jax.xla import compiler_options

# (size, window, strides, padding, groups)
CASES = {
    "dcgan": ((8, 8), (4, 4), 2, 1, 1),
    "same-odd-rectangular": ((7, 10), (3, 5), 2, "SAME", 1),
    "valid-uneven-strides": ((9, 8), (4, 3), (3, 2), "VALID", 1),
    "groups": ((6, 6), (3, 3), 1, "SAME", 2),
    "pointwise": ((6, 6), (1, 1), 1, 0, 1),
    "strided-groups-pairs": ((7, 6), (3, 2), 2, ((2, 0), (0, 1)), 2),
    "window-below-strides": ((8, 7), (2, 1), 3, "SAME", 1),
    "audio": ((26,), (9,), 4, "SAME", 1),
    "pointwise-groups": ((7,), (1,), 1, 0, 2),
    "strided-pointwise": ((5, 6), (1, 1), 2, "VALID", 1),
    "padded-pointwise": ((4, 4), (1, 1), 1, 1, 1),
    "volume": ((4, 5, 6), (4, 4, 4), 2, 1, 1),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES)
few_cases = pytest.mark.parametrize("case", [CASES["dcgan"], CASES["strided-groups-pairs"]], ids=["dcgan", "groups"])
LAYOUTS = {1: ("NWC", "WIO", "NWC"), 2: ("NHWC", "HWIO", "NHWC"), 3: ("NDHWC", "DHWIO", "NDHWC")}


def normal(*shape):
    """Normal numbers from NumPy: JAX would compile a program for each new shape, and compilation dominates this file's time."""
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def operands(case):
    size, window, _, _, groups = case
    return normal(2, *size, 4), normal(*window, 4 // groups, 6) / 4


def convolve_case(x, kernel, case):
    return convolve(x, kernel, *case[2:])


def stock(x, kernel, case):
    size, _, strides, padding, groups = case
    n = len(size)
    strides = (strides,) * n if isinstance(strides, int) else strides
    padding = ((padding, padding),) * n if isinstance(padding, int) else padding
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=LAYOUTS[n], feature_group_count=groups)


def derivatives(f, x, kernel):
    """The value, its two gradients, and the two gradients of a gradient penalty, which are second derivatives."""

    def penalty(x, kernel):
        return jnp.square(jax.grad(lambda x: jnp.tanh(f(x, kernel)).sum())(x)).sum()

    first = jax.grad(lambda x, kernel: jnp.sin(f(x, kernel)).sum(), (0, 1))(x, kernel)
    return f(x, kernel), first, jax.grad(penalty, (0, 1))(x, kernel)


def assert_near(actual, expected, tolerance=2e-6):
    """Compare relative to the largest number of each array: sums with cancellation have no bounded elementwise relative
    error."""
    for a, e in zip(jax.tree.leaves(actual), jax.tree.leaves(expected), strict=True):
        a, e = np.asarray(a), np.asarray(e)
        assert a.shape == e.shape and a.dtype == e.dtype
        assert np.abs(a - e).max() <= tolerance * np.abs(e).max()


@each_case
def test_convolve_and_its_derivatives(case):
    x, kernel = operands(case)
    actual = jax.jit(lambda x, kernel: derivatives(lambda x, k: convolve_case(x, k, case), x, kernel))(x, kernel)
    assert_near(actual, jax.jit(lambda x, kernel: derivatives(lambda x, k: stock(x, k, case), x, kernel))(x, kernel))


@pytest.mark.parametrize("case", [((5, 6), (3, 3), 1, "SAME", 1), CASES["dcgan"]], ids=["stride-1", "stride-2"])
@pytest.mark.parametrize("channels", [(3, 40), (40, 3), (3, 130)], ids=str)
def test_few_channels(case, channels):
    """Between few and many channels, the three maps have forms of their own."""
    x, kernel = normal(2, *case[0], channels[0]), normal(*case[1], *channels) / 4
    actual = jax.jit(lambda x, kernel: derivatives(lambda x, k: convolve_case(x, k, case), x, kernel))(x, kernel)
    assert_near(
        actual, jax.jit(lambda x, kernel: derivatives(lambda x, k: stock(x, k, case), x, kernel))(x, kernel), 5e-6
    )  # jax 0.12: 4.08e-6


@pytest.mark.parametrize(
    ("size", "window", "strides"), [((16, 32), (3, 9), (1, 2)), ((16, 16), (5, 5), 2), ((512,), (25,), 4), ((9, 9), (7, 7), 1)]
)
def test_few_channels_on_both_sides_need_no_memory_for_each_tap(size, window, strides):
    """Products with every tap of such windows took tens of times the memory of the operands, and up to 25 times as long."""
    padding = tuple(w // 2 for w in window)
    x, kernel = normal(2, *size, 4), normal(*window, 4, 4)
    geometry = conv._geometry(x, kernel, strides, padding, 1)
    y = normal(2, *geometry.out, 4)
    for function, operands in ((conv._convolve, (x, kernel)), (conv._transpose, (y, kernel)), (conv._weight_gradient, (x, y))):
        compiled = jax.jit(lambda a, b, f=function: f(a, b, geometry)).lower(*operands).compile()
        assert compiled.memory_analysis().temp_size_in_bytes <= 5 * (x.nbytes + y.nbytes)


@few_cases
def test_convolve_transpose_and_its_derivatives(case):
    """Against the automatic transpose of the stock convolution, with the channels of its kernel swapped."""
    size, _, strides, padding, groups = case
    x, swapped = operands(case)
    y = normal(*jax.eval_shape(lambda: stock(x, swapped, case)).shape)

    def transposed(y, kernel):
        groupwise = kernel.reshape(*kernel.shape[:-1], groups, -1).swapaxes(-1, -3)
        return jax.linear_transpose(lambda x: stock(x, groupwise.reshape(swapped.shape), case), x)(y)[0]

    kernel = normal(*swapped.shape[:-2], 6 // groups, 4) / 4
    actual = jax.jit(lambda y, k: derivatives(lambda y, k: convolve_transpose(y, k, strides, padding, groups, size), y, k))(
        y, kernel
    )
    assert_near(actual, jax.jit(lambda y, k: derivatives(transposed, y, k))(y, kernel))


@few_cases
def test_weight_gradient_and_its_derivatives(case):
    x, kernel = operands(case)
    y = normal(*jax.eval_shape(lambda: stock(x, kernel, case)).shape)

    def stock_weight_gradient(x, y):
        return jax.linear_transpose(lambda kernel: stock(x, kernel, case), kernel)(y)[0]

    actual = jax.jit(lambda x, y: derivatives(lambda x, y: weight_gradient(x, y, case[1], *case[2:]), x, y))(x, y)
    assert_near(actual, jax.jit(lambda x, y: derivatives(stock_weight_gradient, x, y))(x, y))


@each_case
def test_lowerings_for_accelerators(case):
    """The lowerings for accelerators compute the same maps as those for CPUs; on a CPU they run too, only slowly."""
    x, kernel = operands(case)
    geometry = conv._geometry(x, kernel, *case[2:])
    y = normal(2, *geometry.out, 6)

    @jax.jit
    def both(x, kernel, y):
        stock = (
            (conv_lowerings.stock_convolve, x, kernel),
            (conv_lowerings.stock_transpose, y, kernel),
            (conv_lowerings.stock_weight_gradient, x, y),
        )
        cpu = (conv._convolve, x, kernel), (conv._transpose, y, kernel), (conv._weight_gradient, x, y)
        return [[f(a, b, geometry) for f, a, b in maps] for maps in (stock, cpu)]

    assert_near(*both(x, kernel, y))


@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("merged_channels", [1, 6])
@pytest.mark.parametrize("small_signal", [0, 2**18], ids=["unrolled", "grouped"])
def test_groups_on_cpu(strides, merged_channels, small_signal, monkeypatch):
    """Groups merged or not, one by one or in one operation, are the stock maps; 4 groups of 2 to 3 channels."""
    monkeypatch.setattr(conv_lowerings, "MERGED_CHANNELS", merged_channels)
    monkeypatch.setattr(conv_lowerings, "SMALL_SIGNAL", small_signal)
    x, kernel = normal(2, 6, 8), normal(3, 2, 12) / 4
    geometry = conv._geometry(x, kernel, strides, "SAME", 4)
    y = normal(2, *geometry.out, 12)

    @jax.jit
    def both(x, kernel, y):
        operands = {"convolve": (x, kernel), "transpose": (y, kernel), "weight_gradient": (x, y)}
        return [
            [getattr(conv_lowerings, f"{form}_{name}")(a, b, geometry) for name, (a, b) in operands.items()]
            for form in ("cpu", "stock")
        ]

    assert_near(*both(x, kernel, y))


def test_numbers_by_hand():
    x, kernel = jnp.arange(1.0, 6).reshape(1, 5, 1), jnp.array([1.0, 10, 100]).reshape(3, 1, 1)
    np.testing.assert_array_equal(convolve(x, kernel, 2, "VALID").ravel(), [321, 543])
    np.testing.assert_array_equal(convolve(x, kernel, 2, 1).ravel(), [210, 432, 54])
    y = jnp.array([1.0, 2]).reshape(1, 2, 1)
    np.testing.assert_array_equal(convolve_transpose(y, kernel, 2, "VALID").ravel(), [1, 10, 102, 20, 200])
    np.testing.assert_array_equal(weight_gradient(x, y, 3, 2, "VALID").ravel(), [1 + 6, 2 + 8, 3 + 10])


@pytest.mark.parametrize(("window", "strides"), [(4, 2), (5, 2), (3, 3), (3, 1)])
@pytest.mark.parametrize("padding", ["SAME", "VALID"])
def test_convolve_transpose_agrees_with_flax(window, strides, padding):
    """The same sizes and, with the window reversed, the same numbers as `lax.conv_transpose`, which flax's ConvTranspose
    uses."""
    y, kernel = operands(((5, 6), (window, window), strides, padding, 1))
    expected = lax.conv_transpose(y, jnp.flip(kernel, (0, 1)), (strides,) * 2, padding, dimension_numbers=LAYOUTS[2])
    assert_near(convolve_transpose(y, kernel, strides, padding), expected)


def test_sizes_of_convolve_transpose():
    def size(window, *args, out=(7, 5), **kwargs):
        kernel = jnp.ones((window, window, 2, 3))
        return jax.eval_shape(lambda: convolve_transpose(jnp.ones((1, *out, 2)), kernel, *args, **kwargs)).shape[1:3]

    assert size(4, 2, 1) == size(4, 2) == (14, 10)
    assert size(5, 2, 2) == (13, 9)
    assert size(5, 2, 2, size=(14, 9)) == (14, 9)
    assert size(4, 1, "VALID", out=(1, 1)) == (4, 4)


@pytest.mark.parametrize("members", [3, conv.MAX_UNROLLED + 1])
def test_vmap(members):
    """A `vmap` over kernels, with separate or shared inputs and few or many members, agrees with a loop."""
    case = ((8,), (4,), 2, 1, 1)
    x, kernel = operands(case)
    xs = x * np.linspace(0.5, 1, members, dtype=np.float32).reshape(-1, 1, 1, 1)
    kernels = kernel + 0.1 * normal(members, *kernel.shape)

    def f(x, kernel):
        """A convolution followed by a transposed one, and its gradient."""

        def composed(x):
            return jnp.tanh(convolve_transpose(jnp.tanh(convolve_case(x, kernel, case)), kernel.swapaxes(1, 2), 2, 1))

        return composed(x), jax.grad(lambda x: composed(x).sum())(x)

    f = jax.value_and_grad(lambda x, kernel, f=f: sum(jnp.square(leaf).sum() for leaf in f(x, kernel)), 1)
    single = jax.jit(f)
    for axes in ((0, 0), (None, 0)):
        actual = jax.jit(jax.vmap(f, axes))(x if axes[0] is None else xs, kernels)
        for i in (0, members - 1):
            assert_near(
                jax.tree.map(lambda leaf, i=i: leaf[i], actual), single(x if axes[0] is None else xs[i], kernels[i]), 1e-5
            )


def test_scan_cond_and_donation():
    """Gradient descent inside `scan` and `cond` agrees with single jitted steps whose input is donated."""
    case = ((6, 6), (3, 3), 1, "SAME", 1)
    x, kernel = operands(case)

    def step(kernel):
        return kernel - 0.01 * jax.grad(lambda k: jnp.square(convolve_case(x, k, case)).mean())(kernel)

    single, expected = jax.jit(step, donate_argnums=0), jnp.array(kernel)
    for _ in range(3):
        expected = single(expected)
    scan = jax.jit(lambda k: lax.scan(lambda k, _: (lax.cond(k.sum() < 1e9, step, lambda k: k, k), None), k, length=3)[0])
    assert_near(scan(kernel), expected)


def test_cpu_program_uses_fast_kernels():
    """On CPU there is no conditional, no grouped convolution and no layout other than channels last, which lack fast
    kernels."""
    x, kernel = operands(CASES["groups"])
    compiled = (
        jax.jit(lambda x, k: derivatives(lambda x, k: convolve_case(x, k, CASES["groups"]), x, k)).lower(x, kernel).compile()
    )
    text = compiled.as_text()
    assert " conditional(" not in text and "group_count" not in text and "rhs_reversal" not in text
    layouts = {line.split("dim_labels=")[1].split(",")[0] for line in text.splitlines() if "dim_labels=" in line}
    assert layouts == {"b01f_01io->b01f"}


def test_pointwise_convolutions_are_matrix_products_on_cpu():
    x, kernel = operands(CASES["pointwise"])
    grad = jax.jit(jax.grad(lambda x, k: jnp.square(convolve_case(x, k, CASES["pointwise"])).sum(), (0, 1)))
    text = grad.trace(x, kernel).lower(lowering_platforms=("cpu",)).as_text()
    assert text.count("stablehlo.dot_general") == 3 and "convolution" not in text


def test_compiler_options_choose_fast_kernels():
    """With the options, XLA leaves the weight gradient to Eigen, whatever it does by default. On other versions of XLA, which
    may not have the option, there are none."""
    options = compiler_options()
    x, y = normal(2, 8, 8, 16), normal(2, 8, 8, 24)
    program = jax.jit(lambda x, y: weight_gradient(x, y, 3), compiler_options=options).lower(x, y).compile().as_text()
    assert not options or "ynn" not in program
    assert options or jax.version.__version_info__[:2] != (0, 10)


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("case", ["dcgan", "groups", "pointwise"])
def test_accelerators_have_the_stock_operations(case, platform):
    """A convolution and its two gradients are three convolutions, whose groups are an attribute, and no other product; also for
    all members of a `vmap` together."""
    case = CASES[case]
    x, kernel = operands(case)
    members, groups = 3, case[-1]

    def group_counts(function, *arguments):
        """(batch_group_count, feature_group_count) of each convolution."""
        text = jax.jit(function).trace(*arguments).lower(lowering_platforms=(platform,)).as_text()
        assert "dot_general" not in text
        counts = re.findall(r"stablehlo\.convolution\(.*batch_group_count = (\d+) .*feature_group_count = (\d+)", text)
        return sorted((int(batch), int(feature)) for batch, feature in counts)

    gradients = jax.grad(lambda x, k: jnp.square(convolve_case(x, k, case)).sum(), (0, 1))
    assert group_counts(gradients, x, kernel) == sorted([(1, groups), (1, groups), (groups, 1)])
    stacked = group_counts(jax.vmap(gradients), np.stack([x] * members), np.stack([kernel] * members))
    assert [batch * feature for batch, feature in stacked] == 3 * [members * groups]


@pytest.mark.parametrize("dtype", [jnp.bfloat16, jnp.float16], ids=["bfloat16", "float16"])
def test_half_precision_is_summed_in_float32(dtype):
    """A sum of 4,096 ones would stall at 256 in bfloat16 and at 2,048 in float16."""
    ones = jnp.ones((1, 2, 2, 1024), dtype)
    kernel = jnp.ones((2, 2, 1024, 1), dtype)
    assert convolve(ones, kernel, 1, "VALID").dtype == dtype
    assert float(convolve(ones, kernel, 1, "VALID")[0, 0, 0, 0]) == 4096
    assert float(convolve_transpose(ones, kernel, 1, "VALID")[0, 1, 1, 0]) == 4096
    signal = jnp.ones((64, 8, 8, 1), dtype)
    assert float(weight_gradient(signal, signal, 1)[0, 0, 0, 0]) == 4096
    gradients = jax.grad(lambda x, k: convolve(x, k).astype(jnp.float32).sum(), (0, 1))(ones, kernel)
    assert [leaf.dtype for leaf in gradients] == [dtype, dtype]


def test_reverse_mode_only():
    x, kernel = operands(CASES["dcgan"])
    with pytest.raises(TypeError, match="forward-mode"):
        jax.jvp(lambda x: convolve_case(x, kernel, CASES["dcgan"]), (x,), (x,))


X, KERNEL = jnp.ones((2, 8, 8, 4)), jnp.ones((4, 4, 4, 6))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: convolve(X[..., 0], KERNEL), ["(2, 8, 8)", "(4, 4, 4, 6)", "spatial"]),
        (lambda: convolve(X[..., :3], KERNEL), ["(2, 8, 8, 3)", "(4, 4, 4, 6)", "channels"]),
        (lambda: convolve(X, KERNEL[:, :, :2], groups=0), ["(2, 8, 8, 4)", "(4, 4, 2, 6)", "groups=0"]),
        (lambda: convolve(X, KERNEL.astype(jnp.bfloat16)), ["(2, 8, 8, 4)", "float32", "bfloat16"]),
        (lambda: convolve(X[:, :3], KERNEL, 1, "VALID"), ["(2, 3, 8, 4)", "(4, 4, 4, 6)", "smaller"]),
        (lambda: convolve(X, KERNEL, 0), ["strides", "0"]),
        (lambda: convolve(X, KERNEL, (2, 2, 2)), ["strides", "(2, 2, 2)"]),
        (lambda: convolve(X, KERNEL, 1, "same"), ["padding", "'same'", "SAME"]),
        (lambda: convolve(X, KERNEL, 1, -1), ["padding", "-1"]),
        (lambda: convolve_transpose(X[..., :3], KERNEL, 2), ["(2, 8, 8, 3)", "(4, 4, 4, 6)", "channels"]),
        (lambda: convolve_transpose(X, KERNEL, 2, 1, size=(16, 20)), ["(2, 8, 8, 4)", "(4, 4, 4, 6)", "(16, 20)"]),
        (lambda: convolve_transpose(X[:, :1], KERNEL, 1, 2), ["(2, 1, 8, 4)", "(4, 4, 4, 6)", "(0, 7)"]),
        (lambda: weight_gradient(X, X, 4, 2, 1), ["(2, 8, 8, 4)", "(4, 4)"]),
    ],
)
def test_errors_name_the_shapes(call, words):
    with pytest.raises(ValueError) as error:
        call()
    for word in words:
        assert word in str(error.value)
