"""The Inception network against torch-fidelity's, with random weights that NumPy makes again anywhere.

Where PyTorch is missing, what torch-fidelity gave for the same weights stands in golden/inception.npz; after a change of the
weights or the images below, `python tests/test_inception.py` writes it anew.
"""

from pathlib import Path

import jax
import numpy as np
import pytest
from made import THOROUGH

from gan_jax.errors import InputError
from gan_jax.metrics.features import inception
from gan_jax.storage.weights import load_tensors, sha256


def load(path, **options):
    return inception.extractor(load_tensors(path), path, sha256(path), **options)


GOLDEN = Path(__file__).parents[1] / "golden" / "inception.npz"
SIZES = {"exact": (299, 299), "grown": (32, 32), "shrunk": (310, 402)}
KEPT = 32  # of each vector in the golden file, evenly spread


@pytest.fixture(scope="module", autouse=True)
def thorough():
    with pytest.MonkeyPatch.context() as patch:
        for name in ("_network", "resize"):
            patch.setattr(inception, name, jax.jit(getattr(inception, name).__wrapped__, compiler_options=THOROUGH))
        yield


def state_dict() -> dict[str, np.ndarray]:
    """Random weights under PyTorch's names, scaled so that activations neither die nor explode."""
    shapes = jax.eval_shape(inception.Inception().init, jax.random.key(0), np.zeros((1, 299, 299, 3), np.float32))["params"]
    random = np.random.RandomState(0)
    tensors = {}
    for name in sorted(shapes):
        *size, inputs, outputs = shapes[name]["kernel"].shape
        weight = random.standard_normal((outputs, inputs, *size)) * np.sqrt(2 / (inputs * np.prod(size)))
        if name == "fc":
            tensors |= {"fc.weight": weight, "fc.bias": random.standard_normal(outputs)}
        else:
            tensors[f"{name}.conv.weight"] = weight
            for part, low, high in (
                ("weight", 0.5, 1.5),
                ("bias", -0.2, 0.4),
                ("running_mean", -0.2, 0.2),
                ("running_var", 0.5, 1.5),
            ):
                tensors[f"{name}.bn.{part}"] = random.uniform(low, high, outputs)
    return {name: array.astype(np.float32) for name, array in tensors.items()}


def eight_bits(size: tuple[int, int]) -> np.ndarray:
    """Two images [2, H, W, 3], uint8: waves and noise."""
    y, x, channel = np.ogrid[: size[0], : size[1], :3]
    waves = np.abs((5 * x + 3 * y + 40 * channel + np.reshape([0, 90], (2, 1, 1, 1))) % 400 - 200)
    return np.clip(waves + np.random.RandomState(1).randint(-40, 41, (2, *size, 3)), 0, 255).astype(np.uint8)


def floats(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / 127.5 - 1


def reference(path: Path) -> dict[str, np.ndarray]:
    """What torch-fidelity makes of the images: arrays [2, width] named SIZE/FEATURE."""
    torch = pytest.importorskip("torch")
    fidelity = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    names = fidelity.FeatureExtractorInceptionV3.get_provided_features_list()
    network = fidelity.FeatureExtractorInceptionV3("inception", list(names), feature_extractor_weights_path=str(path))
    found = {}
    for size, shape in SIZES.items():
        outputs = network(torch.from_numpy(eight_bits(shape)).permute(0, 3, 1, 2))
        found |= {f"{size}/{name}": output.numpy() for name, output in zip(names, outputs, strict=True)}
    return found


def thin(features: np.ndarray) -> np.ndarray:
    return features[:, :: features.shape[1] // KEPT][:, :KEPT]


def error(found: np.ndarray, expected: np.ndarray) -> float:
    """Largest difference, relative to the largest value."""
    assert found.shape == expected.shape and found.dtype == expected.dtype == np.float32
    return np.abs(found - expected).max() / np.abs(expected).max()


def ours(make) -> dict[str, np.ndarray]:
    found = {}
    for tap in inception.TAPS:
        extractor = make(tap=tap, bias=tap == 64)
        for size, shape in SIZES.items():
            features, logits = extractor.features(floats(eight_bits(shape)))
            found[f"{size}/{tap}"] = features
            found[f"{size}/{'logits' if tap == 64 else 'logits_unbiased'}"] = logits
    return found


@pytest.fixture(scope="module", autouse=True)
def small_blocks():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inception, "_BLOCK", 2)
        yield


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "random.npz"
    np.savez(path, **state_dict())
    return path


@pytest.fixture(scope="module")
def extractor(weights):
    return load(weights)


def test_golden_values_of_torch_fidelity(weights):
    found = ours(lambda **options: load(weights, **options))
    with np.load(GOLDEN) as golden:
        assert found.keys() == set(golden.files)
        for name in golden.files:
            assert error(thin(found[name]), golden[name]) < 1e-5, name
            assert golden[name].std() > 0.01, name  # a dead network would agree with anything
    assert inception._network._cache_size() == 1  # one shape for all sizes


def test_parity_with_torch_fidelity(weights, tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "random.pth"
    tensors = {name: torch.from_numpy(array) for name, array in load_tensors(weights).items()}
    counts = {f"{name[:-7]}.num_batches_tracked": torch.tensor(0) for name in tensors if name.endswith("bn.weight")}
    torch.save(tensors | counts, path)
    expected = reference(path)
    found = ours(lambda **options: load(path, **options))
    assert found.keys() == expected.keys()
    errors = {name: error(found[name], expected[name]) for name in expected}
    assert max(errors.values()) < 1e-5, errors
    with np.load(GOLDEN) as golden:
        for name in golden.files:
            assert error(golden[name], thin(expected[name])) < 1e-5, name


def test_it_says_what_it_is(weights, extractor):
    assert extractor.hash == sha256(weights)
    assert extractor.resize == "TF1 bilinear to 299"
    assert extractor.name == f"Inception random.npz (sha256 {extractor.hash[:8]}, tap 2048, TF1 bilinear to 299)"


def test_blocks_do_not_show(extractor):
    samples = floats(np.concatenate([eight_bits((32, 32)), eight_bits((32, 32))[:, ::-1]]))
    features, logits = extractor.features(samples[:3])  # a full block and a padded one
    apart, logits_apart = extractor.features(samples[1:4])
    np.testing.assert_allclose(features[1:], apart[:2], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(logits[1:], logits_apart[:2], rtol=1e-5, atol=1e-5)
    assert np.abs(apart[2] - apart[0]).max() > 0.01


def test_grey_is_repeated_and_samples_are_rounded_to_eight_bits(extractor):
    grey = eight_bits((32, 32))[..., :1]
    features, _ = extractor.features(floats(grey))
    repeated, _ = extractor.features(floats(grey.repeat(3, axis=-1)))
    rounded, _ = extractor.features(np.clip(floats(grey) + 0.0035, -1.0, 1.0))  # a level is .0078 wide
    np.testing.assert_array_equal(features, repeated)
    np.testing.assert_array_equal(features, rounded)
    outside, _ = extractor.features(np.full((1, 32, 32, 1), 1.5, np.float32))
    white, _ = extractor.features(np.full((1, 32, 32, 1), 1.0, np.float32))
    np.testing.assert_array_equal(outside, white)


@pytest.mark.parametrize("side", [8, 299, 500])
def test_a_ramp_is_resized_exactly(side):
    """A linear image read at i side / 299, and never beyond its last pixel."""
    column = np.broadcast_to(np.arange(side, dtype=np.float32)[None, :, None, None], (1, side, side, 1))
    expected = np.minimum(np.arange(299) * side / 299, side - 1)
    resized = np.asarray(inception.resize(column)) * 128 + 128
    assert resized.shape == (1, 299, 299, 3)
    np.testing.assert_allclose(resized, np.broadcast_to(expected[None, :, None, None], resized.shape), rtol=1e-6, atol=1e-4)
    across = np.asarray(inception.resize(column.transpose(0, 2, 1, 3))) * 128 + 128
    np.testing.assert_array_equal(across, resized.transpose(0, 2, 1, 3))


def test_what_is_not_the_network_is_refused(tmp_path, extractor):
    path = tmp_path / "other.npz"
    np.savez(path, **{"fc.bias": np.zeros(1000, np.float32)})
    with pytest.raises(InputError, match=r"other.npz is not .* fc.bias of shape \(1008,\), and has one of shape \(1000,\)"):
        load(path)
    np.savez(path, **{"fc.bias": np.zeros(1008, np.float32)})
    with pytest.raises(InputError, match=r"fc.weight .* no such tensor"):
        load(path)
    np.savez(path, **{"fc.bias": np.full(1008, np.nan, np.float32)})
    with pytest.raises(InputError, match=r"fc.bias is not finite"):
        load(path)
    with pytest.raises(ValueError, match="64, 192, 768, 2048, got 1024"):
        load(path, tap=1024)
    for shape in ((4, 32, 32), (4, 32, 32, 2), (0, 32, 32, 3)):
        with pytest.raises(ValueError, match=r"\[N, H, W, 1 or 3\], got"):
            extractor.features(np.zeros(shape, np.float32))


if __name__ == "__main__":
    import tempfile

    import torch

    with tempfile.NamedTemporaryFile(suffix=".pth") as file:
        torch.save({name: torch.from_numpy(array) for name, array in state_dict().items()}, file.name)
        np.savez(GOLDEN, **{name: thin(array) for name, array in reference(Path(file.name)).items()})
