"""The metrics against torch-fidelity, torchmetrics, pytorch-fid, clean-fid and prdc, on the same features.

Reference values are stored in golden/metrics.json with the versions of these packages, so that the comparison also runs where
they are not installed; the features are generated from seeds. `python tests/metrics/test_parity.py` regenerates the file if
all packages are installed.
"""

import contextlib
import io
import json
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from gan_jax.metrics.frechet import frechet_distance
from gan_jax.metrics.inception_score import inception_score
from gan_jax.metrics.kernel import squared_mmd
from gan_jax.metrics.prdc import prdc

GOLDEN = Path(__file__).parents[1] / "golden" / "metrics.json"
DTYPES = ["float64", "float32"]
SPLITS, NEIGHBOURS = 10, 5


def features(dtype: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Real [700, 48] and fake [600, 48], positive and with uneven variances like those of Inception; logits [700, 10]."""
    rng = np.random.RandomState(0)
    mix = rng.normal(size=(48, 48)) / np.arange(1, 49)[:, None]
    real = np.abs(rng.normal(size=(700, 48)) @ mix + 0.3)
    fake = np.abs(rng.normal(size=(600, 48)) @ mix * 1.2 + 0.5)
    return real.astype(dtype), fake.astype(dtype), (3 * rng.normal(size=(700, 10))).astype(dtype)


def in_float64(dtype: str) -> list[np.ndarray]:
    """The features for the reference packages, whose sums in float32 are off by 1e-6, and by another 1e-6 in another order."""
    return [x.astype(np.float64) for x in features(dtype)]


def ours(real: np.ndarray, fake: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    scores = {"is": inception_score(logits), "is_of_splits": inception_score(logits, SPLITS)}
    fid = {"fid": frechet_distance(real, fake), "kid": squared_mmd(real[: len(fake)], fake)}
    return scores | fid | prdc(real, fake, NEIGHBOURS)


def torch_fidelity(real: np.ndarray, fake: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    import torch
    from torch_fidelity import metric_fid, metric_isc, metric_kid, metric_prc

    real, fake, logits = (torch.from_numpy(x) for x in (real, fake, logits))
    score = metric_isc.isc_features_to_metric(logits, SPLITS, shuffle=False)["inception_score_mean"]
    statistics = [metric_fid.fid_features_to_statistics(x) for x in (real, fake)]
    fid = metric_fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    kid = metric_kid.kid_features_to_metric(real[: len(fake)], fake, kid_subsets=1, kid_subset_size=len(fake), verbose=False)
    # Fakes come first here: in the order of prdc, precision and recall would be swapped.
    result = metric_prc.prc_features_to_metric(fake, real, prc_neighborhood=NEIGHBOURS, verbose=False, save_cpu_ram=False)
    return {
        "is_of_splits": score,
        "fid": fid,
        "kid": kid["kernel_inception_distance_mean"],
        "precision": result["precision"],
        "recall": result["recall"],
    }


def torchmetrics(real: np.ndarray, fake: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    import torch
    from torchmetrics.image.fid import FrechetInceptionDistance
    from torchmetrics.image.inception import InceptionScore
    from torchmetrics.image.kid import KernelInceptionDistance

    network = torch.nn.Identity()
    network.num_features = real.shape[1]
    fid = FrechetInceptionDistance(network)
    kid = KernelInceptionDistance(network, subsets=1, subset_size=len(fake))
    score = InceptionScore(network, splits=1)
    for metric, reference in ((fid, real), (kid, real[: len(fake)])):
        metric.update(torch.from_numpy(reference), real=True)
        metric.update(torch.from_numpy(fake), real=False)
    score.update(torch.from_numpy(logits))
    return {"is": score.compute()[0].item(), "fid": fid.compute().item(), "kid": kid.compute()[0].item()}


def pytorch_fid(real: np.ndarray, fake: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    from pytorch_fid.fid_score import calculate_frechet_distance

    return {"fid": float(calculate_frechet_distance(*gaussian(real), *gaussian(fake)))}


def cleanfid(real: np.ndarray, fake: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    from cleanfid import fid

    kid = fid.kernel_distance(real[: len(fake)], fake, num_subsets=1)
    return {"fid": float(fid.frechet_distance(*gaussian(real), *gaussian(fake))), "kid": float(kid)}


def reference_prdc(real: np.ndarray, fake: np.ndarray, logits: np.ndarray) -> dict[str, float]:
    from prdc import compute_prdc

    with contextlib.redirect_stdout(io.StringIO()):
        return {name: float(value) for name, value in compute_prdc(real, fake, NEIGHBOURS).items()}


def gaussian(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return x.mean(axis=0), np.cov(x, rowvar=False)


# Name of the distribution -> (name of the module, function).
TOOLS = {
    "torch-fidelity": ("torch_fidelity", torch_fidelity),
    "torchmetrics": ("torchmetrics", torchmetrics),
    "pytorch-fid": ("pytorch_fid", pytorch_fid),
    "clean-fid": ("cleanfid", cleanfid),
    "prdc": ("prdc", reference_prdc),
}


def check(result: dict[str, float], expected: dict[str, float], dtype: str) -> None:
    """Definitions agree to the last digits in float64, except that torch-fidelity averages fractions in float32."""
    compared = {name: result[name] for name in expected}
    assert compared == pytest.approx(expected, rel=1e-7 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tool", TOOLS)
@pytest.mark.filterwarnings("ignore")  # warnings of the reference packages
def test_parity(tool, dtype):
    pytest.importorskip(TOOLS[tool][0])
    check(ours(*features(dtype)), TOOLS[tool][1](*in_float64(dtype)), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_parity_with_the_stored_values(dtype):
    golden = json.loads(GOLDEN.read_text())
    assert golden["versions"].keys() >= TOOLS.keys()
    result = ours(*features(dtype))
    for tool in TOOLS:
        check(result, golden[dtype][tool], dtype)
    exact = ("precision", "recall", "density", "coverage")
    assert [result[name] for name in exact] == [golden[dtype]["prdc"][name] for name in exact]


def test_parity_of_the_mean_over_the_same_subsets():
    torch, metric_kid = pytest.importorskip("torch"), pytest.importorskip("torch_fidelity.metric_kid")
    real, fake, _ = features("float64")
    options = {"kid_subsets": 5, "kid_subset_size": 100, "rng_seed": 3, "verbose": False}
    expected = metric_kid.kid_features_to_metric(torch.from_numpy(real), torch.from_numpy(fake), **options)
    rng = np.random.RandomState(3)
    draws = [squared_mmd(*(x[rng.choice(len(x), 100, replace=False)] for x in (real, fake))) for _ in range(5)]
    assert np.mean(draws) == pytest.approx(expected["kernel_inception_distance_mean"], rel=1e-12)


if __name__ == "__main__":
    versions = {name: metadata.version(name) for name in (*TOOLS, "torch", "numpy", "scipy", "scikit-learn")}
    values = {dtype: {tool: run(*in_float64(dtype)) for tool, (_, run) in TOOLS.items()} for dtype in DTYPES}
    GOLDEN.parent.mkdir(exist_ok=True)
    GOLDEN.write_text(json.dumps({"versions": versions} | values, indent=2) + "\n")
