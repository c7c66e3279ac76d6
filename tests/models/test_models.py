"""Every network family: shapes, finite gradients for both players, what labels, spectral norm and the norms do."""

import importlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.game.state import apply
from gan_jax.models import dcgan
from gan_jax.models.layers import Conv, Dense

FAMILIES = ["dcgan", "mlp", "resnet"]  # those with a choice of norms; the others have tests of their own
SHAPE, SMALL = (16, 16, 1), (8, 8, 1)
LABELS = {
    "none": None,
    "classes": jnp.array([0, 1, 2, 1]),
    "multi-hot": jnp.array([[1, 0, 1], [0, 1, 1], [1, 1, 1], [0, 0, 1]]),
    "numbers": jnp.array([[1.0, 0.0, -0.3], [0.0, 1.0, 0.8], [0.5, 0.5, 0.1], [1.0, 0.0, 0.4]]),
}


def networks(family, shape, **options):
    return tuple(network(family, player, shape, **options) for player in ("Generator", "Discriminator"))


def network(family, player, shape, **options):
    return getattr(importlib.import_module(f"gan_jax.models.{family}"), player)(shape, width=4, **options)


def play(generator, discriminator, label=None):
    """Both players once, on four samples: the gradients of both, and (samples, logits, features, both mutable collections)."""
    z = jax.random.normal(jax.random.key(0), (4, 3))

    @jax.jit
    def gradients(z):
        g = weights(generator, z, label)
        x, _ = apply(generator, g, z, label, train=True)
        d = weights(discriminator, x, label)

        def score(g_params, d_params):
            x, g_stats = apply(generator, g | {"params": g_params}, z, label, train=True)
            (logits, features), d_stats = apply(discriminator, d | {"params": d_params}, x, label, train=True)
            return (logits * jnp.arange(logits.size).reshape(logits.shape)).sum(), (x, logits, features, g_stats, d_stats)

        return jax.grad(score, argnums=(0, 1), has_aux=True)(g["params"], d["params"])

    return gradients(z)


def weights(network, x, label):
    """Variables of the shapes that `init` makes. To draw them takes longer to compile than all that is tested here, and those
    of norms and of what labels set begin as constants."""
    shapes = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, label, train=True), x)
    return jax.tree.map(lambda leaf: 0.5 * jnp.sin(jnp.arange(1.0, 1 + leaf.size)).reshape(leaf.shape), shapes)


def assert_alive(gradients):
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.isfinite(leaf).all(), path
        assert np.abs(leaf).max() > 0, f"{jax.tree_util.keystr(path)} is dead"


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_every_family_trains(family, norm):
    """A Generator and a Discriminator with the fields and arguments of models/__init__.py, and a gradient for each weight."""
    gradients, (x, logits, features, g_stats, d_stats) = play(*networks(family, SHAPE, norm=norm))
    assert_alive(gradients)
    assert (x.shape, x.dtype) == ((4, *SHAPE), jnp.float32)
    assert (logits.shape, logits.dtype) == ((4,), jnp.float32)
    assert features.ndim == 2
    assert float(jnp.abs(x).max()) <= 1
    assert bool(g_stats) == bool(d_stats) == (norm == "batch")


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("g_condition", "d_condition", "minibatch", "outputs", "kind"),
    [
        ("concat", "projection", "stddev", 1, "classes"),
        ("norm", "concat", "discrimination", 3, "multi-hot"),
        ("norm", "projection", "none", 2, "numbers"),
    ],
)
def test_every_family_is_conditioned(family, g_condition, d_condition, minibatch, outputs, kind):
    """On each kind of label: every weight has a gradient."""
    generator = network(family, "Generator", SMALL, num_classes=3, norm="layer", condition=g_condition)
    options = {"condition": d_condition, "minibatch": minibatch, "outputs": outputs}
    discriminator = network(family, "Discriminator", SMALL, num_classes=3, norm="spectral", **options)
    gradients, (_, logits, features, _, _) = play(generator, discriminator, LABELS[kind])
    assert_alive(gradients)
    assert logits.shape == ((4,) if outputs == 1 else (4, outputs))
    # What the minibatch layers add is no feature of a sample.
    assert gradients[1]["Dense_2" if family == "mlp" else "Dense_0"]["kernel"].shape[0] == features.shape[1] + {
        "none": 0, "stddev": 16 if family == "dcgan" else 1, "discrimination": 50,
    }[minibatch]  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_labels_change_what_is_told_them(family):
    """Another label is another sample and another logit, for whom it is told; the features of "projection" do not know it."""
    z, label = jax.random.normal(jax.random.key(0), (4, 3)), LABELS["classes"]
    x = jax.random.uniform(jax.random.key(1), (4, *SMALL), minval=-1)
    unchanged, changed = np.zeros(4, bool), np.asarray(label != 1)  # of the labels and 2 - label

    def both(player, x, condition):
        module = network(family, player, SMALL, num_classes=3, norm="layer", condition=condition)
        return [module.apply(weights(module, x, label), x, y, train=True) for y in (label, 2 - label)]

    @jax.jit
    def outputs(z, x):
        samples = {condition: both("Generator", z, condition) for condition in ("none", "concat", "norm")}
        return samples, {condition: both("Discriminator", x, condition) for condition in ("none", "concat", "projection")}

    samples, judgements = outputs(z, x)
    for condition, (one, other) in samples.items():
        differs = (one != other).reshape(4, -1).any(axis=1)
        np.testing.assert_array_equal(differs, unchanged if condition == "none" else changed, condition)
    for condition, ((one, ours), (other, theirs)) in judgements.items():
        np.testing.assert_array_equal(one != other, unchanged if condition == "none" else changed, condition)
        np.testing.assert_array_equal((ours != theirs).any(axis=1), changed if condition == "concat" else unchanged, condition)


@pytest.mark.parametrize(
    ("family", "samples", "logits"),
    [
        ("mlp", [-0.740522, 0.25070703, 0.05513871], [-0.03648111, 0.02210529, 0.01917962]),
        ("dcgan", [0.01002163, -0.00779165, -0.04300561], [-0.04697521, 0.00796003, 0.06416576]),
    ],
)
def test_defaults_are_the_networks_before_there_were_conditions(family, samples, logits):
    """Recipes keep their results: numbers computed with commit 7b6eeb7, whose networks had no options but the norms."""
    generator = network(family, "Generator", SMALL, num_classes=10, norm="batch")
    discriminator = network(family, "Discriminator", SMALL, num_classes=10, norm="spectral")
    z = jax.random.normal(jax.random.key(0), (3, 5))
    x, _ = jax.jit(lambda z: generator.init_with_output(jax.random.key(1), z, None, train=True))(z)
    judged = jax.jit(lambda x: discriminator.init_with_output(jax.random.key(2), x, None, train=True))
    (got, features), variables = judged(x)
    np.testing.assert_allclose(x.reshape(3, -1)[:, 5], samples, rtol=1e-5)
    np.testing.assert_allclose(got, logits, rtol=1e-5)
    layers = {"mlp": ["Dense_0", "Dense_1", "Dense_2"], "dcgan": ["Conv_0", "Dense_0"]}[family]
    assert sorted(variables["params"]) == layers
    assert features.shape == (3, variables["params"][layers[-1]]["kernel"].shape[0])


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("player", "options", "label", "message"),
    [
        ("Generator", {"condition": "norm", "norm": "batch"}, None, "condition 'norm' needs labels, the data has none"),
        ("Discriminator", {"condition": "projection"}, None, "condition 'projection' needs labels, the data has none"),
        ("Discriminator", {"condition": "concat", "num_classes": 0}, "classes", "condition 'concat' needs labels, the data"),
        ("Generator", {"condition": "projection"}, "classes", "condition must be one of none, concat, norm, got 'projection'"),
        ("Discriminator", {"condition": "norm"}, "classes", "condition must be one of none, concat, projection, got 'norm'"),
        ("Generator", {"condition": "norm", "norm": "none"}, "classes", "condition 'norm' needs a norm .* got norm 'none'"),
        ("Discriminator", {"minibatch": "mean"}, None, "minibatch must be one of none, stddev, discrimination, got 'mean'"),
        ("Discriminator", {"outputs": 0}, None, "at least 1 output, got 0"),
        ("Discriminator", {"norm": "mean"}, None, "norm must be one of none, batch, layer.* got 'mean'"),
        ("Discriminator", {"condition": "concat", "num_classes": 4}, "multi-hot", r"a vector \[B, 4\], got int32 \(4, 3\)"),
    ],
)
def test_every_family_says_in_one_line_what_it_cannot_do(family, player, options, label, message):
    module = network(family, player, SMALL, **{"num_classes": 3} | options)
    x = jnp.zeros((4, 5) if player == "Generator" else (4, *SMALL))
    with pytest.raises(ValueError, match=message) as error:
        jax.eval_shape(lambda x: module.init(jax.random.key(0), x, LABELS[label or "none"], train=True), x)
    assert "\n" not in str(error.value)


def test_labels_set_every_norm_of_the_generator():
    """With "norm" no norm has a gain and a bias of its own; a layer on the label has them, for each channel."""
    z, label = jax.ShapeDtypeStruct((4, 3), jnp.float32), jax.ShapeDtypeStruct((4,), jnp.int32)
    for family, norm, channels in (("mlp", "batch", (4, 4)), ("dcgan", "batch", (8, 4)), ("dcgan", "instance", (8, 4))):
        generator = network(family, "Generator", SHAPE, num_classes=3, norm=norm, condition="norm")
        params = jax.eval_shape(lambda z, y, g=generator: g.init(jax.random.key(0), z, y, train=True), z, label)["params"]
        affine = [params[f"Affine_{i}"]["label"]["kernel"].shape for i in range(2)]
        assert affine == [(3, 2 * size) for size in channels]
        assert not any("Norm" in name for name in params)


@pytest.mark.parametrize(
    ("shape", "count"),
    [
        ((28, 28, 1), 2),
        ((32, 32, 3), 3),
        ((64, 64, 3), 4),
        ((48, 48, 3), 3),
        ((8, 8, 1), 1),
        ((16, 64, 3), 2),
        ((20, 40, 1), 2),
    ],
)
def test_dcgan_makes_every_size(shape, count):
    assert dcgan.halvings(shape) == count
    z = jax.ShapeDtypeStruct((2, 5), jnp.float32)
    generator, discriminator = networks("dcgan", shape)
    x, _ = jax.eval_shape(lambda z: generator.init_with_output(jax.random.key(0), z, None, train=True), z)
    assert x.shape == (2, *shape)
    (logits, _), _ = jax.eval_shape(lambda x: discriminator.init_with_output(jax.random.key(0), x, None, train=True), x)
    assert logits.shape == (2,)


@pytest.mark.parametrize("shape", [(7, 8, 1), (4, 4, 1), (9, 9, 3), (2,)])
def test_dcgan_says_what_it_cannot_make(shape):
    with pytest.raises(ValueError, match="dcgan needs"):
        dcgan.halvings(shape)


@pytest.mark.parametrize("window", [2, 4, 6])
def test_dcgan_doubles_and_halves_with_every_even_window(window):
    generator, discriminator = networks("dcgan", (12, 20, 1), window=window)
    z = jax.ShapeDtypeStruct((2, 5), jnp.float32)
    x, _ = jax.eval_shape(lambda z: generator.init_with_output(jax.random.key(0), z, None, train=True), z)
    _, variables = jax.eval_shape(lambda x: discriminator.init_with_output(jax.random.key(0), x, None, train=True), x)
    assert x.shape == (2, 12, 20, 1)
    assert variables["params"]["Conv_0"]["kernel"].shape == (window, window, 1, 4)
    with pytest.raises(ValueError, match="even"):
        dcgan.exact_padding(window + 1)


def test_dcgan_channels_are_the_papers():
    """64x64: 1024 at 4x4, then 512, 256, 128, and an image (Radford et al. 2016, figure 1)."""
    generator = dcgan.Generator((64, 64, 3), width=128)
    z = jax.ShapeDtypeStruct((1, 100), jnp.float32)
    params = jax.eval_shape(lambda z: generator.init(jax.random.key(0), z, None, train=True), z)["params"]
    kernels = [params[f"Conv_{i}"]["kernel"].shape for i in range(4)]
    assert params["Dense_0"]["kernel"].shape == (100, 4 * 4 * 1024)
    assert kernels == [(4, 4, 1024, 512), (4, 4, 512, 256), (4, 4, 256, 128), (4, 4, 128, 3)]


@pytest.mark.parametrize("layer", [Dense(5, spectral=True), Conv(5, 3, spectral=True), Conv(5, 4, 2, 1, True, spectral=True)])
def test_spectral_norm_converges_to_the_largest_singular_value(layer):
    """Its only random number is where the power iteration starts: after some steps the layer's matrix has norm 1."""
    x = jax.random.normal(jax.random.key(0), (2, 6) if isinstance(layer, Dense) else (2, 6, 6, 3))
    variables = layer.init(jax.random.key(1), x)
    step = jax.jit(lambda variables, x: layer.apply(variables, x, mutable=["spectral"]))
    for _ in range(60):
        y, updated = step(variables, x)
        variables = variables | updated
    matrix = variables["params"]["kernel"]
    sigma = jnp.linalg.norm(matrix.reshape(-1, 5), ord=2)
    plain = layer.clone(spectral=False).apply({"params": {"kernel": matrix / sigma, "bias": variables["params"]["bias"]}}, x)
    np.testing.assert_allclose(y, plain, rtol=1e-3, atol=1e-5)
    # Evaluation uses the vector and does not move it.
    np.testing.assert_allclose(layer.apply(variables, x), y, rtol=1e-3, atol=1e-5)


def test_spectral_norm_of_a_known_matrix():
    """[[3, 0], [4, 5]] has the largest singular value sqrt(45); the error shrinks by (s2 / s1)^4 = 1/81 an iteration."""
    layer = Dense(2, spectral=True, use_bias=False, kernel_init=lambda *_: jnp.array([[3.0, 0.0], [4.0, 5.0]]))
    variables = layer.init(jax.random.key(0), jnp.eye(2))
    errors = []
    for _ in range(3):
        y, updated = layer.apply(variables, jnp.eye(2), mutable=["spectral"])
        variables = variables | updated
        errors.append(abs(3 / float(y[0, 0]) - 45**0.5))
    assert errors[-1] < 2e-6 * 45**0.5
    np.testing.assert_allclose(errors[1] / errors[0], 1 / 81, rtol=0.2)


def test_sigma_is_differentiated_through_the_kernel_alone():
    """d(W / sigma)/dW at the converged vectors is (I - u v^T u v^T) / sigma: scaling W changes nothing."""
    layer = Dense(3, spectral=True, use_bias=False)
    variables = layer.init(jax.random.key(0), jnp.eye(4))
    for _ in range(100):
        variables = variables | layer.apply(variables, jnp.eye(4), mutable=["spectral"])[1]
    weights = jax.random.normal(jax.random.key(1), (4, 3))
    gradient = jax.grad(lambda k: (layer.apply(variables | {"params": {"kernel": k}}, jnp.eye(4)) * weights).sum())
    kernel = variables["params"]["kernel"]
    np.testing.assert_allclose((gradient(kernel) * kernel).sum(), 0, atol=1e-5)
