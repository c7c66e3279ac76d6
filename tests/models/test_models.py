"""The contract of every network family, and the options that several families share: norms, labels, spectral norm."""

import importlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.game.resolve import families
from gan_jax.game.state import apply
from gan_jax.models import dcgan
from gan_jax.models.layers import Conv, Dense
from gan_jax.types import Graph, Shape, map_shapes

NORM_FAMILIES = ["dcgan", "mlp", "resnet"]  # families with a choice of norms and of ways of conditioning
SHAPE, SMALL = (16, 16, 1), (8, 8, 1)
LABELS = {
    "none": None,
    "classes": jnp.array([0, 1, 2, 1]),
    "multi-hot": jnp.array([[1, 0, 1], [0, 1, 1], [1, 1, 1], [0, 0, 1]]),
    "numbers": jnp.array([[1.0, 0.0, -0.3], [0.0, 1.0, 0.8], [0.5, 0.5, 0.1], [1.0, 0.0, 0.4]]),
}


class Example(NamedTuple):
    """Tiny networks of a family, with all of their parameters in use."""

    sample_shape: Shape
    z_size: int
    g_options: Mapping[str, Any]
    d_options: Mapping[str, Any]
    label: jax.Array | None = None
    num_classes: int = 0
    auxiliary_features: bool = False  # some parameters of D serve the features alone


def pyramid(x):
    """Feature maps for `projected`: the image at two sizes."""
    return [x, x[:, ::2, ::2]]


TABLE = {"values": (2,), "choices": {"a": (2,), "b": (3,), "c": (4,)}, "condition": {"a": (2,), "b": (3,)}}
# For each half of a label: one of 5 levels is requested.
TABLE_LABEL = jnp.eye(5)[jnp.array([[0, 1], [1, 3], [2, 0], [4, 2]])].reshape(4, 10)
CLASSES = {"label": LABELS["classes"], "num_classes": 3}
SPECTROGRAM = {"label": jnp.sin(jnp.arange(4 * 8 * 5.0)).reshape(4, 8 * 5), "num_classes": 8 * 5}
AUDIO_D = {"width": 1, "outputs": 4, "periods": (3,), "resolutions": ((64, 24, 48),)}
EXAMPLES = {
    "biggan": Example(SMALL, 8, {"width": 2, "attention": 8}, {"width": 2, "attention": 4}, **CLASSES),
    "biggan_deep": Example(SMALL, 4, {"width": 4, "attention": 8}, {"width": 4, "attention": 4}, **CLASSES),
    "ctgan": Example(TABLE, 20, {"width": 4}, {"width": 4}, TABLE_LABEL, 10),
    "dcgan": Example(SHAPE, 3, {"width": 4}, {"width": 4}),
    "fastgan": Example((64, 64, 1), 4, {"width": 4}, {"width": 4}, auxiliary_features=True),
    "hifigan": Example(
        (240, 1), 1, {"width": 4, "bands": 5, "strides": (6, 5), "windows": (3,), "dilations": (2,)}, AUDIO_D, **SPECTROGRAM
    ),
    "mlp": Example(SHAPE, 3, {"width": 4}, {"width": 4}),
    "molgan": Example(Graph((4, 3), (4, 4, 3)), 3, {"width": 4, "depth": 1}, {"width": 4}),
    "projected": Example(SHAPE, 3, {"width": 4}, {"width": 4, "features": pyramid}),
    "r3gan": Example(
        SMALL,
        5,
        {"width": 4, "blocks": 1, "condition": "concat"},
        {"width": 4, "blocks": 1, "condition": "projection"},
        **CLASSES,
    ),
    "relgan": Example((3, 3), 2, {"width": 4, "embedding": 2}, {"width": 4, "embeddings": 4}),
    "resnet": Example(SMALL, 3, {"width": 4, "attention": 4}, {"width": 4, "attention": 4}),
    "stylegan2": Example(
        SMALL,
        8,
        {"width": 4, "mapping": 1, "condition": "norm"},
        {"width": 4, "label_mapping": 1, "condition": "projection"},
        **CLASSES,
    ),
    "text_resnet": Example((4, 3), 3, {"width": 4, "depth": 1}, {"width": 4, "depth": 1}),
    "vocos": Example((240, 1), 1, {"width": 4, "depth": 1, "bands": 5, "fft": 60}, AUDIO_D, **SPECTROGRAM),
    "wavegan": Example((128, 1), 3, {"width": 2, "condition": "concat"}, {"width": 2, "condition": "projection"}, **CLASSES),
}


def networks(family, shape, **options):
    return tuple(network(family, player, shape, **options) for player in ("Generator", "Discriminator"))


def network(family, player, shape, **options):
    return getattr(importlib.import_module(f"gan_jax.models.{family}"), player)(shape, **{"width": 4} | options)


def play(generator, discriminator, label=None, z_size=3, penalty=False, auxiliary_features=False):
    """Run both players on four samples, and return the gradients of both, and (samples, logits, features, both mutable
    collections, samples outside training). With `penalty` the score includes a gradient penalty of D."""
    z = jax.random.normal(jax.random.key(0), (4, z_size))
    g = weights(generator, z, label)
    d = weights(discriminator, map_shapes(lambda s: jax.ShapeDtypeStruct((4, *s), jnp.float32), generator.sample_shape), label)

    @jax.jit
    def gradients(g, d, z):
        evaluated, _ = apply(generator, g, z, label, train=False)

        def score(g_params, d_params):
            def discriminate(x):
                (logits, features), stats = apply(discriminator, d | {"params": d_params}, x, label, train=True)
                return logits, (features, stats)

            x, g_stats = apply(generator, g | {"params": g_params}, z, label, train=True)
            logits, pull_back, (features, d_stats) = jax.vjp(discriminate, x, has_aux=True)
            value = (logits * jnp.arange(logits.size, dtype=logits.dtype).reshape(logits.shape)).sum()
            if auxiliary_features:
                value += jnp.sin(features).sum()
            if penalty:
                value += sum(jnp.square(leaf).sum() for leaf in jax.tree.leaves(pull_back(jnp.ones_like(logits))))
            return value, (x, logits, features, g_stats, d_stats, evaluated)

        return jax.grad(score, argnums=(0, 1), has_aux=True)(g["params"], d["params"])

    return gradients(g, d, z)


def weights(network, x, label):
    """Variables of the shapes that `init` returns. Initialising them takes longer to compile than all that is tested here, and
    those of norms and of label layers are initially constant."""
    shapes = jax.eval_shape(lambda x: network.init(jax.random.key(0), x, label, train=True), x)

    def values(path, leaf):
        array = 0.5 * jnp.sin(jnp.arange(1.0, 1 + leaf.size)).reshape(leaf.shape)
        return jnp.abs(array) if path[-1].key == "var" else array

    return jax.tree_util.tree_map_with_path(values, shapes)


def assert_alive(gradients):
    for path, leaf in jax.tree_util.tree_leaves_with_path(gradients):
        assert np.isfinite(leaf).all(), path
        assert np.abs(leaf).max() > 0, f"{jax.tree_util.keystr(path)} is dead"


@pytest.mark.parametrize("family", families())
def test_every_family_keeps_the_contract(family):
    """The fields, arguments and results of models/__init__.py, and finite, nonzero gradients of every parameter of G and D,
    including those through a gradient penalty. A new family needs an entry in EXAMPLES."""
    example = EXAMPLES[family]
    shape, classes = example.sample_shape, example.num_classes
    generator = network(family, "Generator", shape, num_classes=classes, **example.g_options)
    discriminator = network(family, "Discriminator", shape, num_classes=classes, **example.d_options)
    gradients, (x, logits, features, _, _, evaluated) = play(
        generator, discriminator, example.label, example.z_size, True, example.auxiliary_features
    )
    assert_alive(gradients)
    for samples in (x, evaluated):
        assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), samples) == map_shapes(
            lambda s: ((4, *s), jnp.float32), shape
        )
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(samples))
    outputs = example.d_options.get("outputs", 1)
    patches = getattr(discriminator, "patches", False)
    expected = (4, *logits.shape[1:2]) if patches else (4,) if outputs == 1 else (4, outputs)
    assert (logits.shape, logits.dtype) == (expected, jnp.float32)
    assert (len(features), features.ndim, features.dtype) == (4, 2, jnp.float32)
    assert np.isfinite(features).all()


@pytest.mark.parametrize("family", NORM_FAMILIES)
@pytest.mark.parametrize("norm", ["none", "batch", "layer"])
def test_every_norm_trains(family, norm):
    """Every parameter has a gradient, images are in [-1, 1], and only batch norm has mutable statistics."""
    gradients, (x, logits, features, g_stats, d_stats, _) = play(*networks(family, SHAPE, norm=norm))
    assert_alive(gradients)
    assert (x.shape, x.dtype) == ((4, *SHAPE), jnp.float32)
    assert (logits.shape, logits.dtype) == ((4,), jnp.float32)
    assert features.ndim == 2
    assert float(jnp.abs(x).max()) <= 1
    assert bool(g_stats) == bool(d_stats) == (norm == "batch")


@pytest.mark.parametrize("family", NORM_FAMILIES)
@pytest.mark.parametrize(
    ("g_condition", "d_condition", "minibatch", "outputs", "kind"),
    [
        ("concat", "projection", "stddev", 1, "classes"),
        ("norm", "concat", "discrimination", 3, "multi-hot"),
        ("norm", "projection", "none", 2, "numbers"),
    ],
)
def test_every_condition_trains(family, g_condition, d_condition, minibatch, outputs, kind):
    """With each kind of label every parameter has a gradient."""
    generator = network(family, "Generator", SMALL, num_classes=3, norm="layer", condition=g_condition)
    options = {"condition": d_condition, "minibatch": minibatch, "outputs": outputs}
    discriminator = network(family, "Discriminator", SMALL, num_classes=3, norm="spectral", **options)
    gradients, (_, logits, features, *_) = play(generator, discriminator, LABELS[kind])
    assert_alive(gradients)
    assert logits.shape == ((4,) if outputs == 1 else (4, outputs))
    # The outputs of minibatch layers are not part of a sample's features.
    assert gradients[1]["Dense_2" if family == "mlp" else "Dense_0"]["kernel"].shape[0] == features.shape[1] + {
        "none": 0, "stddev": 16 if family == "dcgan" else 1, "discrimination": 50,
    }[minibatch]  # fmt: skip


@pytest.mark.parametrize("family", NORM_FAMILIES)
def test_samples_and_logits_depend_on_the_label(family):
    """Another label gives another sample and another logit, if the network is conditioned. The features depend on the label
    with "concat", and not with "projection"."""
    z, label = jax.random.normal(jax.random.key(0), (4, 3)), LABELS["classes"]
    x = jax.random.uniform(jax.random.key(1), (4, *SMALL), minval=-1)
    other_label = 2 - label
    unchanged, changed = np.zeros(4, bool), np.asarray(label != other_label)

    @jax.jit
    def outputs(z, x, label):
        def output(player, x, condition):
            module = network(family, player, SMALL, num_classes=3, norm="layer", condition=condition)
            return module.apply(weights(module, x, label), x, label, train=True)

        samples = {c: output("Generator", z, c) for c in ("none", "concat", "norm")}
        return samples, {c: output("Discriminator", x, c) for c in ("none", "concat", "projection")}

    # The same program runs for both labels, so that equal rows are bitwise equal.
    samples, logits_and_features = (
        {condition: (first[condition], second[condition]) for condition in first}
        for first, second in zip(outputs(z, x, label), outputs(z, x, other_label), strict=True)
    )
    for condition, (first, second) in samples.items():
        differs = (first != second).reshape(4, -1).any(axis=1)
        np.testing.assert_array_equal(differs, unchanged if condition == "none" else changed, condition)
    for condition, ((logits, features), (other_logits, other_features)) in logits_and_features.items():
        np.testing.assert_array_equal(logits != other_logits, unchanged if condition == "none" else changed, condition)
        differs = (features != other_features).any(axis=1)
        np.testing.assert_array_equal(differs, changed if condition == "concat" else unchanged, condition)


@pytest.mark.parametrize(
    ("family", "samples", "logits"),
    [
        ("mlp", [-0.740522, 0.25070703, 0.05513871], [-0.03648111, 0.02210529, 0.01917962]),
        ("dcgan", [0.01002163, -0.00779165, -0.04300561], [-0.04697521, 0.00796003, 0.06416576]),
    ],
)
def test_defaults_give_the_numbers_of_earlier_versions(family, samples, logits):
    """Recipes keep their results: numbers computed with commit 7b6eeb7, before the networks had options other than norms."""
    generator = network(family, "Generator", SMALL, num_classes=10, norm="batch")
    discriminator = network(family, "Discriminator", SMALL, num_classes=10, norm="spectral")
    z = jax.random.normal(jax.random.key(0), (3, 5))
    x, _ = jax.jit(lambda z: generator.init_with_output(jax.random.key(1), z, None, train=True))(z)
    discriminate = jax.jit(lambda x: discriminator.init_with_output(jax.random.key(2), x, None, train=True))
    (actual, features), variables = discriminate(x)
    np.testing.assert_allclose(x.reshape(3, -1)[:, 5], samples, rtol=1e-5)
    np.testing.assert_allclose(actual, logits, rtol=1e-5)
    layers = {"mlp": ["Dense_0", "Dense_1", "Dense_2"], "dcgan": ["Conv_0", "Dense_0"]}[family]
    assert sorted(variables["params"]) == layers
    assert features.shape == (3, variables["params"][layers[-1]]["kernel"].shape[0])


@pytest.mark.parametrize("family", NORM_FAMILIES)
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
def test_invalid_options_raise_a_one_line_error(family, player, options, label, message):
    module = network(family, player, SMALL, **{"num_classes": 3} | options)
    x = jnp.zeros((4, 5) if player == "Generator" else (4, *SMALL))
    with pytest.raises(ValueError, match=message) as error:
        jax.eval_shape(lambda x: module.init(jax.random.key(0), x, LABELS[label or "none"], train=True), x)
    assert "\n" not in str(error.value)


def test_condition_norm_replaces_the_parameters_of_every_norm():
    """With "norm" no norm has gain and bias parameters; a layer on the label computes them for each channel."""
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
def test_dcgan_supports_every_size(shape, count):
    assert dcgan.halvings(shape) == count
    z = jax.ShapeDtypeStruct((2, 5), jnp.float32)
    generator, discriminator = networks("dcgan", shape)
    x, _ = jax.eval_shape(lambda z: generator.init_with_output(jax.random.key(0), z, None, train=True), z)
    assert x.shape == (2, *shape)
    (logits, _), _ = jax.eval_shape(lambda x: discriminator.init_with_output(jax.random.key(0), x, None, train=True), x)
    assert logits.shape == (2,)


@pytest.mark.parametrize("shape", [(7, 8, 1), (4, 4, 1), (9, 9, 3), (2,)])
def test_dcgan_rejects_other_shapes(shape):
    with pytest.raises(ValueError, match="an image network needs"):
        dcgan.halvings(shape)


@pytest.mark.parametrize("window", [2, 4, 6])
def test_dcgan_supports_every_even_window(window):
    generator, discriminator = networks("dcgan", (12, 20, 1), window=window)
    z = jax.ShapeDtypeStruct((2, 5), jnp.float32)
    x, _ = jax.eval_shape(lambda z: generator.init_with_output(jax.random.key(0), z, None, train=True), z)
    _, variables = jax.eval_shape(lambda x: discriminator.init_with_output(jax.random.key(0), x, None, train=True), x)
    assert x.shape == (2, 12, 20, 1)
    assert variables["params"]["Conv_0"]["kernel"].shape == (window, window, 1, 4)
    with pytest.raises(ValueError, match="even"):
        dcgan.exact_padding(window + 1)


def test_dcgan_channels_as_published():
    """For 64x64: 1024 channels at 4x4, then 512, 256, 128, and the image (Radford et al. 2016, figure 1)."""
    generator = dcgan.Generator((64, 64, 3), width=128)
    z = jax.ShapeDtypeStruct((1, 100), jnp.float32)
    params = jax.eval_shape(lambda z: generator.init(jax.random.key(0), z, None, train=True), z)["params"]
    kernels = [params[f"Conv_{i}"]["kernel"].shape for i in range(4)]
    assert params["Dense_0"]["kernel"].shape == (100, 4 * 4 * 1024)
    assert kernels == [(4, 4, 1024, 512), (4, 4, 512, 256), (4, 4, 256, 128), (4, 4, 128, 3)]


@pytest.mark.parametrize("layer", [Dense(5, spectral=True), Conv(5, 3, spectral=True), Conv(5, 4, 2, 1, True, spectral=True)])
def test_spectral_norm_converges_to_the_largest_singular_value(layer):
    """Whatever the random start of the power iteration, after some steps the layer's matrix has norm 1."""
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
    # Evaluation uses the stored vector without updating it.
    np.testing.assert_allclose(layer.apply(variables, x), y, rtol=1e-3, atol=1e-5)


def test_spectral_norm_of_a_known_matrix():
    """[[3, 0], [4, 5]] has the largest singular value sqrt(45); the error shrinks by (s2 / s1)^4 = 1/81 per iteration."""
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
    """W / sigma is invariant to the scale of W, so that at the converged vectors its gradient is orthogonal to W."""
    layer = Dense(3, spectral=True, use_bias=False)
    variables = layer.init(jax.random.key(0), jnp.eye(4))
    for _ in range(100):
        variables = variables | layer.apply(variables, jnp.eye(4), mutable=["spectral"])[1]
    weights = jax.random.normal(jax.random.key(1), (4, 3))
    gradient = jax.grad(lambda k: (layer.apply(variables | {"params": {"kernel": k}}, jnp.eye(4)) * weights).sum())
    kernel = variables["params"]["kernel"]
    np.testing.assert_allclose((gradient(kernel) * kernel).sum(), 0, atol=1e-5)
