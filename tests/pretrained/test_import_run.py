"""Pretrained generators: StyleGAN2 equals a reference in NumPy and BigGAN-deep its PyTorch port; every tensor is used, every
variable filled, and the resulting run can be sampled and forked."""

import json
import runpy
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import jax
import numpy as np
import pytest

from gan_jax.config import Config, load_config
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.evaluation.sample_run import sample_run
from gan_jax.game.resolve import find_networks
from gan_jax.game.state import apply
from gan_jax.pretrained.biggan_deep import biggan_deep
from gan_jax.pretrained.import_run import import_run
from gan_jax.pretrained.stylegan2 import stylegan2
from gan_jax.pretrained.tensors import Tensors
from gan_jax.runs.load import load_run
from gan_jax.training.train import train

COMMAND = Path(__file__).parents[2] / "experiments" / "weights.py"
GOLDEN = Path(__file__).parents[1] / "golden" / "biggan_deep.json"
FIR = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
CLASSES, Z_DIM, CHANNELS = 3, 8, {4: 6, 8: 3}  # dimensions of a StyleGAN2 for images of 8 x 8 pixels


# StyleGAN2


def fake_stylegan2() -> dict[str, np.ndarray]:
    """Random tensors of both networks, with the names and shapes of the authors' repositories."""
    random, arrays = np.random.RandomState(0), {}

    def put(name, *shape):
        arrays[name] = np.asarray(random.randn(*shape), np.float32)

    def dense(name, out, num_inputs):
        put(f"{name}.weight", out, num_inputs)
        put(f"{name}.bias", out)

    def conv(name, out, num_inputs, window, affine=False):
        put(f"{name}.weight", out, num_inputs, window, window)
        put(f"{name}.bias", out)
        if affine:
            dense(f"{name}.affine", num_inputs, 512)

    for player, num_inputs in (("G_ema", 512 + Z_DIM), ("D", 512)):
        dense(f"{player}.mapping.embed", 512, CLASSES)
        dense(f"{player}.mapping.fc0", 512, num_inputs)
        dense(f"{player}.mapping.fc1", 512, 512)
    put("G_ema.mapping.w_avg", 512)
    put("G_ema.synthesis.b4.const", CHANNELS[4], 4, 4)
    for size, layer, num_inputs in ((4, "conv1", 6), (4, "torgb", 6), (8, "conv0", 6), (8, "conv1", 3), (8, "torgb", 3)):
        name = f"G_ema.synthesis.b{size}.{layer}"
        conv(name, 1 if layer == "torgb" else CHANNELS[size], num_inputs, 1 if layer == "torgb" else 3, affine=True)
        if layer != "torgb":
            put(f"{name}.noise_strength")
            put(f"{name}.noise_const", size, size)
            arrays[f"{name}.resample_filter"] = FIR.astype(np.float32)
    conv("D.b8.fromrgb", 3, 1, 1)
    conv("D.b8.conv0", 3, 3, 3)
    conv("D.b8.conv1", 6, 3, 3)
    put("D.b8.skip.weight", 6, 3, 1, 1)
    conv("D.b4.conv", 6, 7, 3)
    dense("D.b4.fc", 6, 6 * 16)
    dense("D.b4.out", 512, 6)
    arrays["D.b8.skip.resample_filter"] = FIR.astype(np.float32)
    return arrays


def correlate(x, kernel, pad):
    """Return the cross-correlation of x [C, H, W] with kernel [O, C, k, k], computed from its definition: [O, H', W']."""
    x = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
    window = kernel.shape[-1]
    height, width = (size - window + 1 for size in x.shape[1:])
    out = np.zeros((len(kernel), height, width))
    for i in range(window):
        for j in range(window):
            out += np.einsum("oc,chw->ohw", kernel[:, :, i, j], x[:, i : i + height, j : j + width])
    return out


def blur(x, pad, gain=1.0):
    x = np.pad(x, ((0, 0), pad, pad))
    return np.stack([correlate(plane[None], gain * FIR[None, None], 0)[0] for plane in x])


def zero_stuffed(x):
    """Insert a zero after each pixel in both directions."""
    upsampled = np.zeros((len(x), 2 * x.shape[1], 2 * x.shape[2]))
    upsampled[:, ::2, ::2] = x
    return upsampled


def leaky_relu(x):
    return np.sqrt(2) * np.where(x > 0, x, 0.2 * x)


def affine(tensors, name, x, rate=1.0):
    weight = tensors[f"{name}.weight"]
    return weight @ x * (rate / np.sqrt(weight.shape[1])) + rate * tensors[f"{name}.bias"]


def normalise(x):
    return x / np.sqrt((x**2).mean() + 1e-8)


def mapping(tensors, player, latents, label):
    x = np.concatenate([*latents, normalise(affine(tensors, f"{player}.mapping.embed", np.eye(CLASSES)[label]))])
    for layer in range(2):
        x = leaky_relu(affine(tensors, f"{player}.mapping.fc{layer}", x, rate=0.01))
    return x


def modulated_conv(tensors, name, x, w, upsample=False):
    """Convolution with a kernel modulated by w, equations 1 to 3; `upsample` inserts zeros before it and blurs after it."""
    style = affine(tensors, f"{name}.affine", w)
    kernel = tensors[f"{name}.weight"] * style[:, None, None]
    if name.endswith("torgb"):
        return correlate(x, kernel / np.sqrt(len(style)), 0) + tensors[f"{name}.bias"][:, None, None]
    kernel = kernel / np.sqrt((kernel**2).sum(axis=(1, 2, 3), keepdims=True) + 1e-8)
    if upsample:
        x = blur(correlate(zero_stuffed(x), kernel[:, :, ::-1, ::-1], 2)[:, :-1, :-1], (1, 1), gain=4.0)
    else:
        x = correlate(x, kernel, 1)
    x = x + tensors[f"{name}.noise_strength"] * tensors[f"{name}.noise_const"] + tensors[f"{name}.bias"][:, None, None]
    return leaky_relu(x)


def reference_g(tensors, z, label):
    w = mapping(tensors, "G_ema", [normalise(z)], label)
    name = "G_ema.synthesis.b"
    x = modulated_conv(tensors, f"{name}4.conv1", tensors[f"{name}4.const"], w)
    image = modulated_conv(tensors, f"{name}4.torgb", x, w)
    x = modulated_conv(tensors, f"{name}8.conv0", x, w, upsample=True)
    x = modulated_conv(tensors, f"{name}8.conv1", x, w)
    return blur(zero_stuffed(image), (2, 1), gain=4.0) + modulated_conv(tensors, f"{name}8.torgb", x, w)


def reference_d(tensors, images, labels):
    def conv(name, x, pad):
        weight = tensors[f"D.{name}.weight"]
        x = correlate(x, weight / np.sqrt(weight[0].size), pad)
        return leaky_relu(x + tensors[f"D.{name}.bias"][:, None, None]) if f"D.{name}.bias" in tensors else x

    features = []
    for image in images:
        x = conv("b8.fromrgb", image, 0)
        h, skip = conv("b8.conv0", x, 1), conv("b8.skip", blur(x, (1, 1))[:, ::2, ::2], 0)
        weight = tensors["D.b8.conv1.weight"] / np.sqrt(27)
        h = correlate(blur(h, (2, 2)), weight, 0)[:, ::2, ::2] + tensors["D.b8.conv1.bias"][:, None, None]
        features.append((leaky_relu(h) + skip) / np.sqrt(2))
    deviation = np.sqrt(np.var(features, axis=0) + 1e-8).mean()
    logits = []
    for x, label in zip(features, labels, strict=True):
        x = conv("b4.conv", np.concatenate([x, np.full((1, 4, 4), deviation)]), 1)
        x = affine(tensors, "D.b4.out", leaky_relu(affine(tensors, "D.b4.fc", x.reshape(-1))))
        logits.append(x @ mapping(tensors, "D", [], label) / np.sqrt(512))
    return np.array(logits)


def build_networks(tensors, fields):
    """Return (our networks, the variables of G, a function that returns those of D)."""
    config = Config(**fields)
    data = load(config.data, 0, 8)
    networks = find_networks(config, data.sample_shape, data.num_classes)
    label = np.zeros(2, np.int32)

    def variables(player, module, x):
        shapes = jax.eval_shape(lambda: module.init(jax.random.key(0), x, label, train=True))
        return tensors.variables(player, shapes)

    z, x = np.zeros((2, config.z_dim), np.float32), np.zeros((2, *data.sample_shape), np.float32)
    return networks, variables("g", networks[0], z), lambda: variables("d", networks[1], x)


def test_stylegan2_equals_a_reference_written_from_the_papers():
    arrays = fake_stylegan2()
    tensors = Tensors(dict(arrays))
    (generator, discriminator), g, d = build_networks(tensors, stylegan2(tensors))
    assert not tensors.unused
    random, label = np.random.RandomState(1), np.array([0, 2, 1, 2])
    z = random.randn(4, Z_DIM).astype(np.float32)
    x = jax.jit(lambda z: apply(generator, g, z, label, train=False)[0])(z)
    exact = {name: tensor.astype(np.float64) for name, tensor in arrays.items()}
    expected = np.stack([reference_g(exact, *each)[0] for each in zip(z, label, strict=True)])
    np.testing.assert_allclose(x[..., 0], expected, atol=1e-4 * np.abs(expected).max())
    logits, _ = jax.jit(lambda x: apply(discriminator, d(), x, label, train=False)[0])(x)
    expected_logits = reference_d(exact, expected[:, None], label)
    np.testing.assert_allclose(logits, expected_logits, atol=1e-4 * np.abs(expected_logits).max())


def g_ema_alone(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the tensors of G_ema, without the prefix."""
    return {name.removeprefix("G_ema."): tensor for name, tensor in arrays.items() if name.startswith("G_ema.")}


def test_the_command_imports_stylegan2_as_a_run_that_can_be_sampled(tmp_path, capsys, monkeypatch):
    file, run_dir, arrays = tmp_path / "my network.npz", tmp_path / "run", fake_stylegan2()
    np.savez(file, **arrays)
    monkeypatch.setattr(sys, "argv", ["weights.py", str(file), "--run_dir", str(run_dir)])
    runpy.run_path(str(COMMAND), run_name="__main__")
    size = sum(
        x.size for name, x in g_ema_alone(arrays).items() if not name.endswith(("noise_const", "resample_filter", "w_avg"))
    )
    words = f"StyleGAN2, {size:,} parameters of G, images [8, 8, 1], data blank(side=8, planes=1, classes=3)\n"
    assert words in capsys.readouterr().out
    environment = json.loads((run_dir / "environment.json").read_text())
    assert environment["status"] == "imported: StyleGAN2" and len(environment["imported"]["sha256"]) == 64
    assert load_config(run_dir / "config.json").name == "my-network"
    assert len(sample_run(run_dir, 3, 0, tmp_path / "samples")) == 3
    with np.load(tmp_path / "samples" / "samples-seed0.npz") as archive:
        assert archive["images"].shape == (3, 8, 8, 1)
    with pytest.raises(InputError, match=r"run already exists; choose another --run_dir"):
        import_run(file, run_dir)


@pytest.mark.slow
def test_a_fork_starts_with_both_imported_networks(tmp_path):
    arrays, random = fake_stylegan2(), np.random.RandomState(0)
    np.savez(tmp_path / "x.npz", **arrays)
    np.savez(tmp_path / "data.npz", images=random.randint(0, 256, (900, 8, 8), np.uint8), labels=np.arange(900) % 3)
    import_run(tmp_path / "x.npz", tmp_path / "run")
    config, _, _, state = load_run(tmp_path / "run", print)
    np.testing.assert_array_equal(state.ema["average"]["w"], arrays["G_ema.mapping.w_avg"])
    np.testing.assert_array_equal(state.d.params["EqualDense_1"]["bias"], arrays["D.b4.out.bias"])
    fork = replace(config, name="fork", data=str(tmp_path / "data.npz"), batch=4, eval_samples=100, g_lr=0.0, d_lr=0.0)
    train(fork, tmp_path / "fork", fork_from=tmp_path / "run")
    _, _, _, after = load_run(tmp_path / "fork", print)
    np.testing.assert_array_equal(after.g.params["start"], state.g.params["start"])
    np.testing.assert_array_equal(
        after.g.stats["noise"]["Styled_0"]["constant"], arrays["G_ema.synthesis.b4.conv1.noise_const"]
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mapping.fc7.weight": np.zeros((512, 512))}, "has tensors that StyleGAN2 does not use: mapping.fc7.weight"),
        ({"synthesis.b8.conv1.bias": None}, "has no synthesis.b8.conv1.bias"),
        ({"synthesis.b8.conv0.resample_filter": np.ones((4, 4))}, "resamples with synthesis.b8.conv0.resample_filter [4, 4]"),
        ({"mapping.fc0.weight": None}, "is neither StyleGAN2 nor BigGAN-deep: its tensors are mapping.embed.weight"),
        ({"synthesis.b16.conv0.weight": np.zeros(3), "synthesis.b8.torgb.weight": None}, "has no synthesis.b16.torgb.weight"),
    ],
)
def test_a_file_whose_tensors_do_not_match_is_refused_and_nothing_is_written(change, words, tmp_path):
    arrays = g_ema_alone(fake_stylegan2())
    np.savez(tmp_path / "x.npz", **{name: tensor for name, tensor in (arrays | change).items() if tensor is not None})
    with pytest.raises(InputError) as error:
        import_run(tmp_path / "x.npz", tmp_path / "run")
    assert str(error.value).startswith(f"{tmp_path / 'x.npz'} ") and words in str(error.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"g/x/a": np.zeros((3, 2))}, "has theirs, converted to shape [3, 2], but the network has x/a [2, 3]"),
        ({"g/x/c": np.zeros(1)}, "has theirs, converted to shape [1], but the network has no x/c"),
        ({"g/y": np.array(np.inf)}, "has values in theirs that are not finite"),
        ({"g/y": None}, "has no tensor for y []"),
    ],
)
def test_variables_that_do_not_fit_the_network_are_refused(change, words):
    tensors = Tensors({})
    for path, tensor in ({"g/x/a": np.ones((2, 3)), "g/y": np.array(2)} | change).items():
        if tensor is not None:
            tensors.put(path, "theirs", tensor)
    abstract = {"x": {"a": jax.ShapeDtypeStruct((2, 3), np.float32)}, "y": jax.ShapeDtypeStruct((), np.float32)}
    with pytest.raises(InputError) as error:
        tensors.variables("g", abstract)
    assert str(error.value) == words
    assert tensors.variables("d", abstract) is None


# BigGAN-deep


def fake_biggan_deep(width=4) -> dict[str, np.ndarray]:
    """Random tensors with the names and shapes of the port, for 128 pixels and 5 classes."""
    random, arrays = np.random.RandomState(0), {}

    def normalised(name, *shape):
        weight = random.randn(*shape)
        matrix, u = weight.reshape(len(weight), -1), random.randn(len(weight))
        for _ in range(4):  # not to convergence, where the number of iterations would not matter
            v = u @ matrix / np.linalg.norm(u @ matrix)
            u = matrix @ v / np.linalg.norm(matrix @ v)
        u = u + 0.01 * random.randn(len(u))
        parts = {"orig": weight, "u": u, "v": v}
        arrays.update({f"{name}.weight_{part}": x for part, x in parts.items()})

    def conv(name, out, num_inputs, window):
        normalised(name, out, num_inputs, window, window)
        arrays[f"{name}.bias"] = 0.5 * random.randn(out)

    def norm(name, count):
        arrays[f"{name}.running_means"], arrays[f"{name}.running_vars"] = (
            0.3 * random.randn(51, count),
            0.5 + random.rand(51, count),
        )

    arrays["embeddings.weight"] = 0.3 * random.randn(128, 5)
    normalised("generator.gen_z", 16 * 16 * width, 256)
    arrays["generator.gen_z.bias"] = 0.5 * random.randn(16 * 16 * width)
    features = [width * multiple for multiple in (16, 16, 8, 4, 2, 1)]
    blocks = [pair for wide, narrow in pairwise(features) for pair in ((wide, wide), (wide, narrow))]
    for i, pair in enumerate([*blocks[:8], None, *blocks[8:]]):
        name = f"generator.layers.{i}"
        if pair is None:
            count = blocks[8][0]
            for layer, shape in (("theta", (count // 8, count)), ("phi", (count // 8, count)), ("g", (count // 2, count))):
                normalised(f"{name}.snconv1x1_{layer}", *shape, 1, 1)
            normalised(f"{name}.snconv1x1_o_conv", count, count // 2, 1, 1)
            arrays[f"{name}.gamma"] = random.randn(1)
            continue
        hidden = pair[0] // 4
        for j, (count, (out, num_inputs, window)) in enumerate(
            [
                (pair[0], (hidden, pair[0], 1)),
                (hidden, (hidden, hidden, 3)),
                (hidden, (hidden, hidden, 3)),
                (hidden, (pair[1], hidden, 1)),
            ]
        ):
            norm(f"{name}.bn_{j}", count)
            for part in ("scale", "offset"):
                normalised(f"{name}.bn_{j}.{part}", count, 256)
            conv(f"{name}.conv_{j}", out, num_inputs, window)
    norm("generator.bn", width)
    arrays["generator.bn.weight"], arrays["generator.bn.bias"] = 1 + 0.3 * random.randn(width), 0.5 * random.randn(width)
    conv("generator.conv_to_rgb", width, width, 3)
    return {name: tensor.astype(np.float32) for name, tensor in arrays.items()}


def our_images(arrays, truncation) -> np.ndarray:
    tensors = Tensors(dict(arrays))
    (generator, _), g, _ = build_networks(tensors, biggan_deep(tensors, truncation))
    assert not tensors.unused
    z, label = inputs()
    return np.asarray(jax.jit(lambda z: apply(generator, g, z, label, train=False)[0])(z))


def inputs():
    return np.random.RandomState(1).randn(2, 128).astype(np.float32), np.array([1, 3])


def port_images(arrays, truncation) -> np.ndarray:
    import torch
    from pytorch_pretrained_biggan import BigGAN, BigGANConfig

    network = BigGAN(BigGANConfig(channel_width=4, num_classes=5)).eval()
    network.load_state_dict({name: torch.tensor(tensor) for name, tensor in arrays.items()})
    z, label = inputs()
    with torch.no_grad():
        images = network(torch.tensor(truncation * z), torch.eye(5)[label], truncation)
    return images.permute(0, 2, 3, 1).numpy()


@pytest.mark.slow
@pytest.mark.parametrize("truncation", [1.0, 0.5])
def test_biggan_deep_equals_the_pytorch_port(truncation):
    pytest.importorskip("pytorch_pretrained_biggan", reason="needs pytorch-pretrained-biggan, PyTorch and boto3")
    arrays = fake_biggan_deep()
    expected = port_images(arrays, truncation)
    assert expected.std() > 0.1
    np.testing.assert_allclose(our_images(arrays, truncation), expected, atol=2e-5)


def test_biggan_deep_equals_recorded_images_of_the_pytorch_port():
    """Every 32nd pixel of two images by pytorch-pretrained-biggan 0.1.1 with PyTorch 2.13, at truncation 0.5."""
    expected = np.array(json.loads(GOLDEN.read_text()))
    np.testing.assert_allclose(our_images(fake_biggan_deep(), 0.5)[:, ::32, ::32], expected, atol=2e-5)


def test_an_incomplete_biggan_deep_and_a_wrong_truncation_are_refused(tmp_path):
    arrays = fake_biggan_deep()
    for change, words in (
        ({"generator.layers.3.bn_1.scale.weight_u": None}, "has no generator.layers.3.bn_1.scale.weight_u"),
        ({"generator.layers.11.conv_0.bias": np.zeros(3)}, "has no generator.layers.11.bn_0.running_means"),
    ):
        np.savez(tmp_path / "x.npz", **{name: tensor for name, tensor in (arrays | change).items() if tensor is not None})
        with pytest.raises(InputError, match=words):
            import_run(tmp_path / "x.npz", tmp_path / "run")
    with pytest.raises(InputError, match="--truncation above 0 and at most 1, got 2"):
        import_run(tmp_path / "x.npz", tmp_path / "run", truncation=2.0)


# Blank data


def test_blank_data_is_grey_and_cannot_be_measured():
    data = load("blank(side=16, classes=12)", 0, 4)
    batch = data.batch_at(0)
    assert batch.real.shape == (4, 16, 16, 3) and not np.asarray(batch.real).any()
    assert sorted(data.train.labels) == list(range(12)) and data.num_classes == 12
    with pytest.raises(InputError, match="is blank: to measure or train, name real data"):
        data.evaluator(data)
    for options, words in (
        ("side=0", "side must be"),
        ("planes=2", "planes must be 1 or 3"),
        ("classes=-1", "classes must be"),
    ):
        with pytest.raises(InputError, match=words):
            load(f"blank({options})", 0, 4)


if __name__ == "__main__":  # rewrites the golden file; needs the port
    GOLDEN.write_text(
        json.dumps(np.round(port_images(fake_biggan_deep(), 0.5)[:, ::32, ::32].astype(float), 7).tolist()) + "\n"
    )
