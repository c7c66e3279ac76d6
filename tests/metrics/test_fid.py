"""FID and KID of real images in the real Inception network, against torch-fidelity, pytorch-fid and clean-fid.

Skipped unless the network is on this machine: in $GAN_JAX_INCEPTION, or in a cache where `experiments/weights.py inception`
finds it. The features that torch-fidelity computes are stored in golden/fid.npz; `python tests/metrics/test_fid.py` regenerates
the file. The packages themselves are compared where they are installed, on CIFAR-10, where it is.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from made import REAL_DATA
from PIL import Image

from gan_jax.data.images import extractors
from gan_jax.metrics.features.inception_tensors import FID_NETWORK, in_names_of_pytorch_fid
from gan_jax.metrics.frechet import frechet_distance
from gan_jax.metrics.kernel import squared_mmd
from gan_jax.storage.tensor_files import load_tensors
from gan_jax.storage.weights import INCEPTION, cached_copies

GOLDEN = Path(__file__).parents[1] / "golden" / "fid.npz"
CIFAR10 = REAL_DATA / "cifar10"
COUNT = 40
# The user's caches: in a test, $GAN_JAX_CACHE is another directory.
NETWORK = next((Path(file) for file in (os.environ.get("GAN_JAX_INCEPTION"), *cached_copies(INCEPTION)) if file), None)
pytestmark = [
    pytest.mark.skipif(NETWORK is None, reason="needs the Inception network: GAN_JAX_INCEPTION=FILE"),
    pytest.mark.filterwarnings("ignore"),  # few images, and warnings of the reference packages
]


def drawn_images() -> np.ndarray:
    """Waves with noise, uint8 [4, 32, 32, 3]."""
    y, x, channel = np.ogrid[:32, :32, :3]
    waves = np.abs((5 * x + 3 * y + 40 * channel + np.reshape([0, 90, 170, 250], (4, 1, 1, 1))) % 400 - 200)
    return np.clip(waves + np.random.RandomState(1).randint(-40, 41, (4, 32, 32, 3)), 0, 255).astype(np.uint8)


def floats(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / 127.5 - 1


@pytest.fixture(scope="module")
def extractor():
    return extractors.inception(None, weights=str(NETWORK))


@pytest.fixture(scope="module")
def state_dict(tmp_path_factory) -> Path:
    """The network as a file of pytorch-fid, with a classifier of zeros if it has none."""
    path = tmp_path_factory.mktemp("network") / "inception.pth"
    save(path)
    return path


def save(path: Path) -> None:
    torch = pytest.importorskip("torch")
    tensors = {"fc.weight": np.zeros((1008, 2048), np.float32), "fc.bias": np.zeros(1008, np.float32)}
    tensors |= in_names_of_pytorch_fid(load_tensors(NETWORK))
    counts = {name.replace("weight", "num_batches_tracked"): np.array(0) for name in tensors if name.endswith("bn.weight")}
    torch.save({name: torch.from_numpy(np.ascontiguousarray(x)) for name, x in (tensors | counts).items()}, path)


def test_the_network_is_recognised(extractor):
    assert extractor.hash == FID_NETWORK and extractor.name.startswith("Inception of the FID, tap 2048, ")


def test_features_of_torch_fidelity(extractor):
    features, _ = extractor.features(floats(drawn_images()))
    with np.load(GOLDEN) as golden:
        np.testing.assert_allclose(features[:, ::16], golden["features"], rtol=0, atol=1e-5 * golden["features"].max())


def cifar10(split: str) -> np.ndarray:
    """The first cats of a split, uint8 [COUNT, 32, 32, 3]."""
    with Image.open(CIFAR10 / f"{split}_3_cat.webp") as sheet:
        row = np.asarray(sheet.convert("RGB"))[:32, : 32 * COUNT]
    return row.reshape(32, COUNT, 32, 3).swapaxes(0, 1)


def torch_fidelity_features(images: np.ndarray, path: Path) -> np.ndarray:
    import torch
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    network = FeatureExtractorInceptionV3("inception", ["2048"], feature_extractor_weights_path=str(path))
    return network(torch.from_numpy(images).permute(0, 3, 1, 2))[0].numpy()


def pytorch_fid_features(images: np.ndarray, path: Path) -> np.ndarray:
    import torch
    from pytorch_fid import inception as theirs

    x = torch.from_numpy(images).permute(0, 3, 1, 2) / 255
    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(theirs, "load_state_dict_from_url", lambda *_, **__: torch.load(path))
        return theirs.InceptionV3([3]).eval()(x)[0][:, :, 0, 0].numpy()


def gaussian(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x = x.astype(np.float64)
    return x.mean(axis=0), np.cov(x, rowvar=False)


def of_torch_fidelity(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    import torch
    from torch_fidelity import metric_fid, metric_kid

    real, fake = (torch.from_numpy(x.astype(np.float64)) for x in (real, fake))
    statistics = [metric_fid.fid_features_to_statistics(x) for x in (real, fake)]
    fid = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    kid = metric_kid.kid_features_to_metric(real, fake, kid_subsets=1, kid_subset_size=COUNT, verbose=False)
    return {"fid": fid, "kid": kid["kernel_inception_distance_mean"]}


def of_clean_fid(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    from cleanfid import fid

    return {
        "fid": float(fid.frechet_distance(*gaussian(real), *gaussian(fake))),
        "kid": float(fid.kernel_distance(real, fake, num_subsets=1)),
    }


def of_pytorch_fid(real: np.ndarray, fake: np.ndarray) -> dict[str, float]:
    from pytorch_fid.fid_score import calculate_frechet_distance

    return {"fid": float(calculate_frechet_distance(*gaussian(real), *gaussian(fake)))}


# Module -> (features, distances, resize); clean-fid has the network of NVIDIA's file alone, which is that of torch-fidelity.
TOOLS = {
    "torch_fidelity": (torch_fidelity_features, of_torch_fidelity, "tensorflow"),
    "pytorch_fid": (pytorch_fid_features, of_pytorch_fid, "pytorch"),
    "cleanfid": (torch_fidelity_features, of_clean_fid, "tensorflow"),
}


@pytest.mark.skipif(not CIFAR10.is_dir(), reason=f"needs {CIFAR10}")
@pytest.mark.parametrize("tool", TOOLS)
def test_fid_and_kid_of_real_images(tool, state_dict):
    pytest.importorskip(tool)
    pytest.importorskip("torch_fidelity")
    compute_features, compute_distances, resize = TOOLS[tool]
    extractor = extractors.inception(None, weights=str(NETWORK), resize=resize)
    images = [cifar10(split) for split in ("train", "test")]
    expected = compute_distances(*(compute_features(x, state_dict) for x in images))
    real, fake = (extractor.features(floats(x))[0] for x in images)
    result = {"fid": frechet_distance(real, fake), "kid": squared_mmd(real, fake)}
    assert {name: result[name] for name in expected} == pytest.approx(expected, rel=1e-3)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / "inception.pth")
        np.savez(GOLDEN, features=torch_fidelity_features(drawn_images(), Path(folder) / "inception.pth")[:, ::16])
