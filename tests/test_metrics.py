"""Closed forms and golden values of the metrics; nothing is trained here."""

import itertools
import math
import re
from functools import partial

import numpy as np
import pytest

from gan_jax.metrics.frechet import frechet_distance, gaussian_frechet_distance
from gan_jax.metrics.inception import inception_score
from gan_jax.metrics.kernel import kernel_distance, squared_mmd
from gan_jax.metrics.modes import class_modes, modes, nearest
from gan_jax.metrics.prdc import prdc


def positive(rng: np.random.RandomState, d: int) -> np.ndarray:
    """A random symmetric positive definite matrix, well conditioned."""
    x = rng.normal(size=(d, 2 * d))
    return x @ x.T / (2 * d)


def test_frechet_of_gaussians_with_commuting_covariances():
    rng = np.random.RandomState(0)
    m1, m2, s1, s2 = rng.uniform(0.1, 2, (4, 6))
    c = positive(rng, 6)
    assert gaussian_frechet_distance(m1, c, m2, c) == pytest.approx(np.square(m1 - m2).sum(), abs=1e-12)
    expected = np.square(m1 - m2).sum() + np.square(s1 - s2).sum()
    assert gaussian_frechet_distance(m1, np.diag(s1**2), m2, np.diag(s2**2)) == pytest.approx(expected, abs=1e-12)


def test_frechet_of_gaussians_with_covariances_that_do_not_commute():
    rng = np.random.RandomState(1)
    mean, c, a = np.zeros(6), positive(rng, 6), positive(rng, 6)  # x -> A x is the optimal map: E |A x - x|^2
    expected = np.trace((a - np.eye(6)) @ c @ (a - np.eye(6)))
    assert not np.allclose(c @ a @ c @ a, a @ c @ a @ c)
    assert gaussian_frechet_distance(mean, c, mean, a @ c @ a) == pytest.approx(expected, abs=1e-10)
    assert gaussian_frechet_distance(mean, a @ c @ a, mean, c) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_frechet_of_rank_one_covariances(scale):
    v, w = scale * np.random.RandomState(2).normal(size=(2, 50))
    expected = v @ v + w @ w - 2 * abs(v @ w)
    found = gaussian_frechet_distance(np.zeros(50), np.outer(v, v), np.zeros(50), np.outer(w, w))
    assert found == pytest.approx(expected, rel=1e-6)
    assert gaussian_frechet_distance(v, np.zeros((50, 50)), w, np.zeros((50, 50))) == pytest.approx(np.square(v - w).sum())


def test_frechet_of_samples_is_symmetric_rotation_invariant_and_zero_on_itself():
    rng = np.random.RandomState(3)
    real, fake = rng.normal(size=(300, 5)) * [1, 2, 3, 4, 5], rng.normal(size=(200, 5)) + 1
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    distance = frechet_distance(real, fake)
    assert frechet_distance(fake, real) == pytest.approx(distance, rel=1e-10)
    assert frechet_distance(real @ rotation, fake @ rotation) == pytest.approx(distance, rel=1e-10)
    assert 0 <= frechet_distance(real, real) < 1e-10


def test_frechet_finite_sample_bias():
    """(d + d(d+1)/4)(1/n1 + 1/n2) between samples of one Gaussian: SCIENCE section 1, first order in 1/n."""
    rng, d, n = np.random.RandomState(4), 32, 900
    mean = np.mean([frechet_distance(*rng.normal(size=(2, n, d))) for _ in range(20)])
    assert mean == pytest.approx((d + d * (d + 1) / 4) * 2 / n, rel=0.04)


def test_frechet_of_fewer_samples_than_dimensions_warns_and_stays_real():
    rng = np.random.RandomState(5)
    real, fake = rng.normal(size=(2, 10, 40)).astype(np.float32)
    with pytest.warns(UserWarning, match=r"\(10, 40\)"):
        distance = frechet_distance(real, fake)
    assert isinstance(distance, float) and np.isfinite(distance) and distance > 0


def test_kernel_expectation_over_two_point_laws_is_exact():
    """In one dimension (x y + 1)^3 compares three moments: 3 dm1^2 + 3 dm2^2 + dm3^2, over all samples of size two."""
    (x, p), (y, q) = ((-0.7, 1.1), (0.3, 0.7)), ((0.4, 2.0), (0.6, 0.4))
    pairs = list(itertools.product(range(2), repeat=2))
    expectation = sum(
        p[i] * p[j] * q[k] * q[m] * squared_mmd([[x[i]], [x[j]]], [[y[k]], [y[m]]]) for i, j in pairs for k, m in pairs
    )
    d1, d2, d3 = (np.dot(p, np.power(x, n)) - np.dot(q, np.power(y, n)) for n in (1, 2, 3))
    assert expectation == pytest.approx(3 * d1**2 + 3 * d2**2 + d3**2, rel=1e-12)


def test_kernel_against_the_definition_and_below_zero():
    rng = np.random.RandomState(6)
    real, fake = rng.normal(size=(600, 3)), rng.normal(size=(37, 3)) + 1  # 600: more than a block

    def mean(x, y, but):
        return np.mean([(x[i] @ y[j] / 3 + 1) ** 3 for i in range(len(x)) for j in range(len(y)) if i != j or not but])

    expected = mean(real[:40], real[:40], True) + mean(fake, fake, True) - 2 * mean(real[:40], fake, False)
    assert squared_mmd(real[:40], fake) == pytest.approx(expected, rel=1e-12)
    gram = (real @ real.T / 3 + 1) ** 3
    off_diagonal = (gram.sum() - np.trace(gram)) / (600 * 599)
    expected = off_diagonal + mean(fake, fake, True) - 2 * ((real @ fake.T / 3 + 1) ** 3).mean()
    assert squared_mmd(real, fake) == pytest.approx(expected, rel=1e-12)
    assert squared_mmd(real[:50], real[:50]) < 0


def test_kernel_distance_has_no_bias_and_an_honest_error():
    """Two Gaussians a unit apart per axis in 2-D: the distance, from moment tensors, and the scatter of 40 estimates of it."""
    rng, d = np.random.RandomState(7), 2
    found = [kernel_distance(rng.normal(size=(200, d)), rng.normal(size=(150, d)) + 1, subsets=40) for _ in range(40)]
    mean, error = np.mean(found, axis=0)
    scatter = np.std([value for value, _ in found], ddof=1)
    # Moment tensors differ by dM1 = 1, dM2 = 1 1', (dM3)_ijk = 1 + [i = j] + [j = k] + [i = k].
    third = 1 + np.eye(d)[:, :, None] + np.eye(d)[None] + np.eye(d)[:, None]
    expected = 3 * d / d + 3 * d**2 / d**2 + np.square(third).sum() / d**3
    assert mean == pytest.approx(expected, abs=4 * scatter / math.sqrt(40))
    assert 0.75 * scatter < error < 1.6 * scatter


def test_kernel_distance_is_the_same_for_a_seed_and_takes_the_subset_size():
    rng = np.random.RandomState(8)
    real, fake = rng.normal(size=(2, 400, 3))
    assert kernel_distance(real, fake, 10, 50, seed=1) == kernel_distance(real, fake, 10, 50, seed=1)
    assert kernel_distance(real, fake, 10, 50, seed=1) != kernel_distance(real, fake, 10, 50, seed=2)
    assert kernel_distance(real[:4], fake[:4], 10)[1] >= 0
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        kernel_distance(real[:3], fake)


def test_inception_score_closed_forms():
    k, n = 10, 1000
    one_hot = 1e4 * np.eye(k)
    assert inception_score(np.tile(np.arange(k), (n, 1))) == pytest.approx(1)
    assert inception_score(one_hot[np.arange(n) % k]) == pytest.approx(k)
    share = np.array([0.5, 0.3, 0.2])
    expected = math.exp(-(share * np.log(share)).sum())
    assert inception_score(one_hot[np.repeat(np.arange(3), [500, 300, 200])]) == pytest.approx(expected)
    e = 0.1
    confused = np.log(np.where(np.eye(k), 1 - e, e / (k - 1))) - 7  # logits are free of an additive constant
    expected = k * (1 - e) ** (1 - e) * (e / (k - 1)) ** e
    assert inception_score(confused[np.arange(n) % k]) == pytest.approx(expected)


def test_inception_score_of_splits_is_their_mean():
    logits = 50 * np.eye(4)[[0, 0, 0, 0, 0, 1, 2, 3]]
    assert inception_score(logits, splits=2) == pytest.approx((1 + 4) / 2)
    with pytest.raises(ValueError, match="splits"):
        inception_score(logits, splits=9)


# Of prdc 0.2 (github.com/clovaai/generative-evaluation-prdc) with numpy 2.4.6, scikit-learn 1.9.1: compute_prdc(real, fake, k).
PRDC = [
    (700, 600, 3, (0.7166666666666667, 0.9614285714285714, 0.6105555555555555, 0.5785714285714286)),
    (700, 600, 5, (0.775, 0.99, 0.5683333333333334, 0.7271428571428571)),
    (60, 40, 5, (0.825, 0.9166666666666666, 0.8, 0.9)),
]


@pytest.mark.parametrize("n, m, k, expected", PRDC)
def test_prdc_is_that_of_the_reference(n, m, k, expected):
    rng = np.random.RandomState(0)
    real, fake = rng.normal(size=(700, 4)), 1.3 * rng.normal(size=(600, 4)) + 0.7
    found = prdc(real[:n], fake[:m], k)
    assert found == pytest.approx(dict(zip(("precision", "recall", "density", "coverage"), expected, strict=True)))


def test_prdc_of_the_same_and_of_distant_samples():
    real = np.random.RandomState(9).normal(size=(100, 3))
    same, far = prdc(real, real), prdc(real, real + 100)
    assert same == pytest.approx({"precision": 1, "recall": 1, "density": 1, "coverage": 1}, abs=0.2)
    assert same["precision"] == same["recall"] == same["coverage"] == 1
    assert set(far.values()) == {0.0}
    with pytest.raises(ValueError, match="k = 5"):
        prdc(real[:5], real)


CENTERS = np.array(list(itertools.product([-4, -2, 0, 2, 4], repeat=2)), float)
CEILING = 1 - math.exp(-4.5)  # the mass of a Gaussian in the plane within 3 sigma


def test_modes_of_a_perfect_sampler():
    rng, n, sigma = np.random.RandomState(10), 100_000, 0.05
    found = modes(CENTERS[rng.randint(25, size=n)] + sigma * rng.normal(size=(n, 2)), CENTERS, sigma)
    assert CEILING == pytest.approx(0.98889, abs=1e-5)
    assert found["modes"] == 25
    assert found["high_quality"] == pytest.approx(CEILING, abs=4 * math.sqrt(CEILING * (1 - CEILING) / n))
    assert found["reverse_kl"] == pytest.approx(24 / (2 * n * CEILING), rel=1)  # of chi-squared law: mean 12, std 3.5
    assert found["spread"] == pytest.approx(math.sqrt(1 - 4.5 * math.exp(-4.5) / CEILING), abs=0.005)


def test_modes_of_collapsed_samplers():
    one = modes(np.tile(CENTERS[3], (50, 1)), CENTERS, 0.05)
    assert one == pytest.approx({"modes": 1, "high_quality": 1, "reverse_kl": math.log(25), "spread": 0})
    none = modes(np.ones((50, 2)), CENTERS, 0.05)
    assert none == pytest.approx({"modes": 0, "high_quality": 0, "reverse_kl": math.log(25), "spread": 0})
    # Three quarters in one mode, a quarter in another, as many again nowhere; each at +-s on either side of a point off centre.
    s, at = 0.02, CENTERS[[3] * 30 + [7] * 10] + [0.03, 0]
    samples = np.concatenate([at + s * np.where(np.arange(40) % 2, 1, -1)[:, None], np.ones((40, 2))])
    two = modes(samples, CENTERS, 0.05)
    kl = 0.75 * math.log(0.75 * 25) + 0.25 * math.log(0.25 * 25)
    spread = math.sqrt(40 / 38) * s / 0.05
    assert two == pytest.approx({"modes": 2, "high_quality": 0.5, "reverse_kl": kl, "spread": spread})


LINE = np.stack([(np.arange(100) + 0.5) / 100, np.zeros(100)], axis=1)  # from (0, 0) to (1, 0)


def test_modes_of_a_curve():
    halves = np.arange(100) // 50
    samples = np.array([[0.255, 0.1], [0.305, -0.2], [0.755, 0.25], [0.255, 0.4], [7, 7]])
    found = modes(samples, LINE, 0.1, halves)
    kl = 2 / 3 * math.log(2 / 3 * 2) + 1 / 3 * math.log(1 / 3 * 2)
    spread = math.sqrt((0.1**2 + 0.2**2 + 0.25**2) / 3) / 0.1
    assert found == pytest.approx({"modes": 2, "high_quality": 0.6, "reverse_kl": kl, "spread": spread})
    one = modes(LINE[:20], LINE, 0.1, halves)
    assert one == pytest.approx({"modes": 1, "high_quality": 1, "reverse_kl": math.log(2), "spread": 0})
    none = modes(LINE + 3, LINE, 0.1, halves)
    assert none == pytest.approx({"modes": 0, "high_quality": 0, "reverse_kl": math.log(2), "spread": 0})


def test_nearest_does_not_show_its_blocks(monkeypatch):
    monkeypatch.setattr("gan_jax.metrics.modes._BLOCK", 250)
    samples = np.random.RandomState(12).normal(size=(41, 2)) * 4
    distance, center = nearest(samples, CENTERS)
    for i, sample in enumerate(samples):
        each = [math.dist(sample, other) for other in CENTERS]
        assert (distance[i], center[i]) == (pytest.approx(min(each)), each.index(min(each)))


def test_class_modes():
    every = np.array(list(itertools.product(range(2), repeat=3)))
    assert class_modes(every, 2) == pytest.approx({"modes": 8, "reverse_kl": 0})
    assert class_modes(every[[5] * 9], 3) == pytest.approx({"modes": 1, "reverse_kl": math.log(27)})
    kl = 0.75 * math.log(0.75 * 8) + 0.25 * math.log(0.25 * 8)
    assert class_modes(every[[1, 1, 4, 1]], 2) == pytest.approx({"modes": 2, "reverse_kl": kl})


def test_class_modes_of_a_perfect_sampler():
    n = 26_000
    found = class_modes(np.random.RandomState(13).randint(10, size=(n, 3)), 10)
    assert found["modes"] == 1000
    # 2N times it is about chi-squared with 999 degrees of freedom; the next order adds 1 / 6 of a mode's 1 / 26 to it.
    assert found["reverse_kl"] == pytest.approx(999 / (2 * n), rel=4 * math.sqrt(2 / 999))


PAIRWISE = [frechet_distance, squared_mmd, kernel_distance, prdc]


@pytest.mark.parametrize("metric", PAIRWISE)
def test_bad_features_are_named(metric):
    good = np.random.RandomState(11).normal(size=(20, 3))
    for bad in (good[:, :2], good[:, 0], good[:1], good[None]):
        with pytest.raises(ValueError, match=re.escape(str(bad.shape))):
            metric(good, bad)
        with pytest.raises(ValueError, match=re.escape(str(bad.shape))):
            metric(bad, good)
    holed = np.where(np.arange(20)[:, None] == 3, np.nan, good)
    with pytest.raises(ValueError, match=r"fake features \(20, 3\) must be finite: 1 rows"):
        metric(good, holed)


def test_bad_logits_samples_and_moments_are_named():
    points = np.zeros((10, 2))
    for call in (
        partial(inception_score, np.zeros(5)),
        partial(inception_score, np.full((5, 2), np.inf)),
        partial(modes, points[:, 0], CENTERS, 0.1),
        partial(modes, np.zeros((10, 3)), CENTERS, 0.1),
        partial(modes, points * np.nan, CENTERS, 0.1),
        partial(modes, points, CENTERS, 0.0),
        partial(modes, points, np.zeros((0, 2)), 0.1),
        partial(modes, points, CENTERS, 0.1, np.zeros(24, int)),
        partial(modes, points, CENTERS, 0.1, np.zeros(25)),
        partial(modes, points, CENTERS, 0.1, np.arange(25) - 1),
        partial(class_modes, np.zeros(3, int), 10),
        partial(class_modes, np.zeros((0, 3), int), 10),
        partial(class_modes, np.zeros((5, 3)), 10),
        partial(class_modes, np.full((5, 3), 10), 10),
        partial(class_modes, np.full((5, 3), -1), 10),
        partial(gaussian_frechet_distance, np.zeros(3), np.eye(3), np.zeros(2), np.eye(2)),
        partial(gaussian_frechet_distance, np.zeros(3), np.eye(3), np.zeros(3), np.nan * np.eye(3)),
    ):
        with pytest.raises(ValueError, match=r"\("):
            call()
