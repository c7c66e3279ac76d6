"""Published protocols by name: the grammar of the names, and each metric by its authors' formula on random features."""

import numpy as np
import pytest
import scipy.linalg

from gan_jax.errors import InputError
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.metrics.protocols import FAMILIES, min_samples, parse_protocol
from gan_jax.spec.glossary import describe_metric


@pytest.mark.parametrize(
    ("name", "samples", "real", "extractor"),
    [
        ("fid50k_full", 50_000, "full", "inception"),
        ("fid10k_test", 10_000, "test", "inception"),
        ("fid_test", None, "test", "inception"),
        ("fid50k", 50_000, "", "inception"),
        ("kid50k_full", 50_000, "full", "inception"),
        ("pr50k3_full", 50_000, "full", "vgg16"),
        ("is50k", 50_000, "", "inception"),
        ("studiogan_fid50k_full", 50_000, "full", "inception(resize='pytorch')"),
        ("studiogan_is50k", 50_000, "", "inception(bias=True, resize='pytorch')"),
        ("clean_fid50k_test", 50_000, "test", "inception(resize='clean')"),
        ("fd_dinov2_50k_full", 50_000, "full", "dinov2"),
        ("fd_dinov2_500_full", 500, "full", "dinov2"),
    ],
)
def test_names_state_samples_and_real_images(name, samples, real, extractor):
    protocol = parse_protocol(name)
    assert (protocol.samples, protocol.real, protocol.family.extractor) == (samples, real, extractor)


def test_the_number_of_neighbours_follows_the_k():
    assert parse_protocol("pr10k5_test").neighbours == 5


@pytest.mark.parametrize("name", ["precision_recall", "frechet", "issue", "fidelity", "mine.py:fid50k"])
def test_other_names_are_not_protocols(name):
    assert parse_protocol(name) is None


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("fid50k_ful", "fid50k_full"),
        ("fid20k_tst", "fid20k_test"),
        ("fid_50k", "fid50k"),
        ("fid5000_test", "fid50k_test"),
        ("pr50k_full", "pr50k3_full"),
        ("is50k_full", "is50k"),  # it compares with nothing
        ("fid50k3_full", "fid50k_full"),  # it has no neighbours
        ("fd_dinov250k_full", "fd_dinov2_50k_full"),
        ("fid0_test", "fid_test"),
        ("FID50K", "fid50k"),
        ("fid50K_full", "fid50k_full"),  # not fid50_full
        ("fid", "fid50k"),
    ],
)
def test_misspelt_names_are_refused_with_the_nearest(name, nearest):
    with pytest.raises(InputError, match=f"unknown metric '{name}': did you mean '{nearest}'"):
        parse_protocol(name)


@pytest.mark.parametrize(("name", "least"), [("fid1", 2), ("kid3_test", 4), ("is9", 10)])
def test_fewer_samples_than_the_metric_needs_are_refused(name, least):
    """Of a covariance, two subsets of two, and ten splits."""
    with pytest.raises(InputError, match=f"{name} needs at least {least} samples, got"):
        parse_protocol(name)


def test_every_example_is_a_name_and_is_explained():
    for name, family in FAMILIES.items():
        assert parse_protocol(family.example).family is family
        assert describe_metric(family.example)[1] == ("↑" if name in ("is", "studiogan_is", "pr") else "↓")
        assert "arXiv:" in family.source or family.source.startswith("clean-fid")
    assert describe_metric("pr50k3_full_recall")[0] == "Recall"


def test_the_number_of_samples_needed():
    counts = {"full": 60_000, "test": 10_000}
    assert min_samples(("frechet", "fid5k_test", "is20k"), counts) == 20_000
    assert min_samples(("fid_test", "fid_full"), counts) == 60_000
    assert min_samples(("frechet",), counts) == 0


def test_the_description_names_samples_real_images_and_features():
    extractor = Extractor(lambda x: (x, None), "Inception", "", "TF1 bilinear to 299")
    text = parse_protocol("fid50k_full").describe(50_000, 60_000, extractor)
    against = "50,000 samples against all 60,000 training images"
    assert text == f"fid50k_full: {against}, in 8 bits, Inception, resize: TF1 bilinear to 299"
    assert "against" not in parse_protocol("is50k").describe(50_000, 0, extractor)


@pytest.fixture(scope="module")
def features():
    random = np.random.default_rng(0)
    return random.normal(size=(400, 3)).astype(np.float32), random.normal(0.3, 1.2, size=(300, 3)).astype(np.float32)


def test_fid(features):
    """Heusel et al.: |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))."""
    real, fake = (x.astype(np.float64) for x in features)
    c1, c2 = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
    expected = np.square(real.mean(0) - fake.mean(0)).sum() + np.trace(c1 + c2 - 2 * scipy.linalg.sqrtm(c1 @ c2).real)
    for name in ("fid300_full", "clean_fid300_full", "studiogan_fid300_full", "fd_dinov2_300_full"):
        assert parse_protocol(name).measure(*features) == {name: pytest.approx(expected, rel=1e-4)}


def test_kid(features):
    """The expectation of the mean over subsets is the unbiased squared MMD between all samples, for any size of subset."""
    real, fake = (x.astype(np.float64) for x in features)

    def mean_of_pairs(x):
        k = (x @ x.T / 3 + 1) ** 3
        return (k.sum() - np.trace(k)) / (len(x) * (len(x) - 1))

    expected = mean_of_pairs(real) + mean_of_pairs(fake) - 2 * ((real @ fake.T / 3 + 1) ** 3).mean()
    values = parse_protocol("kid300_full").measure(*features)
    assert set(values) == {"kid300_full", "kid300_full_error"}
    assert abs(values["kid300_full"] - expected) < values["kid300_full_error"]


def test_precision_and_recall(features):
    """NVIDIA's: within the distance to the k-th neighbour, itself excluded, or exactly at it; features in 16 bits."""
    real, fake = (x.astype(np.float16).astype(np.float64) for x in features)

    def inside(manifold, probes):
        radii = np.sort(np.linalg.norm(manifold[:, None] - manifold, axis=2), axis=1)[:, 2]
        return (np.linalg.norm(probes[:, None] - manifold, axis=2) <= radii + 1e-6).any(axis=1).mean()

    values = parse_protocol("pr1k2_full").measure(*features)
    assert values == {
        "pr1k2_full_precision": pytest.approx(inside(real, fake), abs=0.005),
        "pr1k2_full_recall": pytest.approx(inside(fake, real), abs=0.005),
    }


def test_inception_scores():
    """NVIDIA's: mean over ten consecutive parts of exp(mean KL(p(y|x) | p(y))); StudioGAN's: one part."""
    logits = np.random.default_rng(1).normal(size=(200, 7)) * 3
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)

    def score(p):
        return np.exp((p * (np.log(p) - np.log(p.mean(axis=0)))).sum(axis=1).mean())

    ten = np.mean([score(part) for part in np.split(p, 10)])
    assert parse_protocol("is200").measure(None, logits) == {"is200": pytest.approx(ten, rel=1e-6)}
    assert parse_protocol("studiogan_is200").measure(None, logits) == {"studiogan_is200": pytest.approx(score(p), rel=1e-6)}
