"""Vendi score: closed forms. MS-SSIM: its definition in NumPy, and pytorch-msssim."""

import math

import jax
import numpy as np
import pytest
from made import THOROUGH

from gan_jax.metrics import arrays, diversity
from gan_jax.metrics.diversity import ms_ssim, ms_ssim_diversity, vendi_score

OPTIMISED = jax.jit(diversity._ms_ssim.__wrapped__, compiler_options=THOROUGH)


@pytest.fixture(autouse=True)
def optimised(monkeypatch):
    monkeypatch.setattr(diversity, "_ms_ssim", OPTIMISED)


def entropy(p: np.ndarray) -> float:
    return -(p * np.log(p)).sum()


def test_vendi_score_of_orthogonal_directions_is_exp_of_the_entropy_of_their_fractions():
    rotation = np.linalg.qr(np.random.RandomState(0).normal(size=(6, 6)))[0]
    direction = np.repeat([0, 1, 2], [5, 3, 2])
    lengths = np.random.RandomState(1).uniform(0.1, 9, (10, 1))  # the cosine is invariant to length
    expected = math.exp(entropy(np.array([0.5, 0.3, 0.2])))
    assert vendi_score(lengths * rotation[direction]) == pytest.approx(expected, rel=1e-10)
    assert vendi_score(rotation) == pytest.approx(6, rel=1e-10)
    assert vendi_score(lengths * rotation[:1]) == pytest.approx(1, abs=1e-10)


def test_vendi_score_of_two_directions_depends_on_their_angle():
    """K / 2 = [[1, c], [c, 1]] / 2 has the eigenvalues (1 + c) / 2 and (1 - c) / 2."""
    for angle in (0.3, 1.0, 1.5):
        eigenvalues = (1 + np.array([1, -1]) * math.cos(angle)) / 2
        pair = [[1, 0, 0], [math.cos(angle), math.sin(angle), 0]]
        assert vendi_score(np.repeat(pair, 8, axis=0)) == pytest.approx(math.exp(entropy(eigenvalues)), rel=1e-10)


@pytest.mark.parametrize(("n", "d"), [(50, 7), (7, 50), (20, 20)])
def test_vendi_score_agrees_with_the_kernel_matrix(monkeypatch, n, d):
    monkeypatch.setattr(arrays, "BLOCK", 9)
    x = np.random.RandomState(2).normal(size=(n, d)) + 0.5
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    eigenvalues = np.linalg.eigvalsh(unit @ unit.T / n)
    assert vendi_score(x) == pytest.approx(math.exp(entropy(eigenvalues[eigenvalues > 1e-12])), rel=1e-10)


def test_vendi_score_of_a_row_of_zeros_is_an_error():
    with pytest.raises(ValueError, match=r"\(3, 2\).*1 rows are 0"):
        vendi_score([[1, 0], [0, 0], [0, 1]])


def waves(n: int, h: int, w: int, c: int, seed: int) -> np.ndarray:
    i, j, k = np.meshgrid(np.arange(h), np.arange(w), np.arange(c), indexing="ij")
    return np.stack([np.sin((i * (m + 1) + 2 * j + 5 * k) / 9 + seed) + np.cos(i * j / (40 + 10 * m)) for m in range(n)]) / 2


def image_pair(h: int, w: int, c: int) -> tuple[np.ndarray, np.ndarray]:
    x = waves(3, h, w, c, 0)
    return x, 0.6 * x + 0.4 * waves(3, h, w, c, 2)


def blurred(image: np.ndarray) -> np.ndarray:
    """Gaussian blur [H, W, C] -> [H - 10, W - 10, C] by explicit windows."""
    window = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    window = np.outer(window, window) / window.sum() ** 2
    windows = np.lib.stride_tricks.sliding_window_view(image, (11, 11), axis=(0, 1))
    return (windows * window).sum(axis=(3, 4))


def factors(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Mean contrast-structure term and mean SSIM of images [H, W, C] in [0, 1]."""
    x_mean, y_mean = blurred(x), blurred(y)
    variances = blurred(x * x) - x_mean**2 + blurred(y * y) - y_mean**2
    structure = (2 * (blurred(x * y) - x_mean * y_mean) + 9e-4) / (variances + 9e-4)
    luminance = (2 * x_mean * y_mean + 1e-4) / (x_mean**2 + y_mean**2 + 1e-4)
    return structure.mean(), (luminance * structure).mean()


def test_ms_ssim_of_one_and_two_scales_agrees_with_the_definition():
    x, y = image_pair(25, 22, 3)
    halves = [image[:, :24].reshape(3, 12, 2, 11, 2, 3).mean(axis=(2, 4)) for image in (x, y)]
    fine = [factors(*((image[i] + 1) / 2 for image in (x, y)))[0] for i in range(3)]
    coarse = [factors(*((image[i] + 1) / 2 for image in halves))[1] for i in range(3)]
    assert ms_ssim(*halves) == pytest.approx(np.power(coarse, 1.0001), rel=1e-5)
    weight = 1.0001 * 0.0448 / (0.0448 + 0.2856)
    assert ms_ssim(x, y) == pytest.approx(np.power(fine, weight) * np.power(coarse, 1.0001 - weight), rel=1e-5)


# From pytorch-msssim 1.0.0 (github.com/VainF/pytorch-msssim) with torch 2.13.0 (CPU), in float64:
# ms_ssim((x + 1) / 2, (y + 1) / 2, data_range=1.0, size_average=False).
MS_SSIM = (0.6978131248137972, 0.7110239759366962, 0.7348062419240683)


def test_ms_ssim_of_five_scales_agrees_with_pytorch_msssim():
    """One channel and even sizes; for several channels theirs is the mean of products, ours (and Odena et al.'s) the product of
    means."""
    assert ms_ssim(*image_pair(176, 192, 1)) == pytest.approx(MS_SSIM, rel=5e-6)


def test_ms_ssim_agrees_with_pytorch_msssim_if_installed():
    torch = pytest.importorskip("torch")
    reference = pytest.importorskip("pytorch_msssim").ms_ssim
    rng = np.random.RandomState(3)
    x = rng.uniform(-1, 1, (2, 192, 208, 1))
    y = np.clip(x + 0.3 * rng.normal(size=x.shape), -1, 1)
    tensors = (torch.from_numpy((image.transpose(0, 3, 1, 2) + 1) / 2) for image in (x, y))
    expected = reference(*tensors, data_range=1.0, size_average=False)
    assert ms_ssim(x, y) == pytest.approx(expected.numpy(), rel=5e-6)


def test_ms_ssim_limits_and_independence_of_the_batch_size(monkeypatch):
    x, y = image_pair(24, 30, 2)
    assert ms_ssim(x, x) == pytest.approx(1, abs=1e-6)
    whole = ms_ssim(x, y)
    assert ms_ssim(2 * x, 2 * y) == pytest.approx(ms_ssim(np.clip(2 * x, -1, 1), np.clip(2 * y, -1, 1)), abs=0)
    assert ms_ssim(x, -x) == pytest.approx(0, abs=1e-6)  # opposite structure: a negative mean counts as 0
    monkeypatch.setattr(diversity, "_PIXELS", 2 * 24 * 30 * 2)
    batched = ms_ssim(x, y)
    assert batched == pytest.approx(whole, rel=1e-6, abs=2e-7)  # another batch size rounds differently, by two last bits of 1
    np.testing.assert_array_equal(batched, np.concatenate([ms_ssim(x[:2], y[:2]), ms_ssim(x[2:], y[2:])]))


def test_ms_ssim_diversity_is_the_mean_over_disjoint_pairs():
    """Two distinct images, repeated: a pair is either of equal images or of images with nothing in common."""
    images = np.random.RandomState(4).uniform(-1, 1, (2, 16, 16, 1))
    different = ms_ssim(images[:1], images[1:])[0]
    assert ms_ssim_diversity(np.repeat(images[:1], 6, axis=0)) == (pytest.approx(1, abs=1e-6), pytest.approx(0, abs=1e-6))
    value, error = ms_ssim_diversity(images[np.arange(200) % 2], pairs=1000)
    equal_pairs = (value - different) / (1 - different) * 100  # out of 100
    assert equal_pairs == pytest.approx(round(equal_pairs), abs=1e-3)
    assert 30 < equal_pairs < 70
    p = equal_pairs / 100
    assert error == pytest.approx((1 - different) * math.sqrt(p * (1 - p) / 99), rel=1e-3)
    assert ms_ssim_diversity(images[np.arange(20) % 2], 5, seed=0) == ms_ssim_diversity(images[np.arange(20) % 2], 5, seed=0)
    values = {ms_ssim_diversity(images[np.arange(40) % 2], 15, seed=seed)[0] for seed in range(5)}
    assert len(values) > 1


@pytest.mark.parametrize(("shape", "message"), [((3, 10, 30, 1), "sides of at least 11"), ((3, 30, 30), "4 images")])
def test_bad_images_are_errors(shape, message):
    with pytest.raises(ValueError, match=message):
        ms_ssim_diversity(np.zeros((8, *shape[1:])))
    with pytest.raises(ValueError, match="one shape"):
        ms_ssim(np.zeros((2, 12, 12, 1)), np.zeros((2, 12, 12, 3)))
    with pytest.raises(ValueError, match="finite"):
        ms_ssim(np.full((2, 12, 12, 1), np.nan), np.zeros((2, 12, 12, 1)))
