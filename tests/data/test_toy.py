"""Points in the plane: their distributions, metrics and pictures."""

import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from made import png

from gan_jax.data import toy
from gan_jax.data.load import load


@pytest.mark.parametrize(
    "name, modes, sigma", [("ring", 8, 0.02), ("grid", 25, 0.05), ("ring(sigma=0.01)", 8, 0.01), ("grid(sigma=0.1)", 25, 0.1)]
)
def test_mixtures_follow_their_closed_form(name, modes, sigma):
    if "ring" in name:
        centers = np.array([[np.cos(a), np.sin(a)] for a in np.arange(8) * np.pi / 4])
    else:
        centers = np.array([[x, y] for x in (-4, -2, 0, 2, 4) for y in (-4, -2, 0, 2, 4)], float)
    data = load(name, 0, 8)
    assert (data.sample_shape, data.num_classes, data.train.labels, data.batch_at(0).label) == ((2,), 0, None, None)
    for points, number in ((data.train.samples, 100_000), (data.test.samples, 10_000)):
        assert points.shape == (number, 2) and points.dtype == np.float32
        offset = points[:, None].astype(float) - centers
        nearest = (offset**2).sum(-1).argmin(1)
        offset = offset[np.arange(number), nearest] / sigma  # standard normal, since modes are far apart
        se = 1 / np.sqrt(number)
        assert np.abs(offset.mean(0)).max() < 5 * se
        np.testing.assert_allclose(np.cov(offset.T), np.eye(2), atol=4 * np.sqrt(2) * se)
        assert abs((np.hypot(*offset.T) <= 3).mean() - (1 - np.exp(-4.5))) < 5 * np.sqrt(0.011 * 0.989) * se  # Rayleigh
        fractions = np.bincount(nearest, minlength=modes) / number
        assert np.abs(fractions - 1 / modes).max() < 5 * np.sqrt(1 / modes) * se
    assert load(name, 9, 8).checksum == data.checksum  # the points do not depend on the run's seed
    assert not np.isin(data.test.samples[:, 0], data.train.samples[:, 0]).all()
    assert data.evaluator(data).description == f"the {modes} modes of {name}, standard deviation {sigma}"


def is_uniform(x: np.ndarray) -> bool:
    """Whether the counts of x in 20 bins of [0, 1] are consistent with independent uniform values."""
    counts = np.histogram(x, 20, (0, 1))[0]
    return np.abs(counts - len(x) / 20).max() < 5 * math.sqrt(len(x) / 20)


def test_the_spiral_follows_its_closed_form():
    x, y = load("spiral(sigma=0.001)", 0, 8).train.samples.T.astype(float)
    # r = b phi from pi to 5 pi, where phi - pi is the angle; its length is b / 2 (phi sqrt(1 + phi^2) + asinh phi).
    b, radius = 0.2 / math.pi, np.hypot(x, y)
    angle_error = (radius / b - math.pi - np.arctan2(y, x) + math.pi) % (2 * math.pi) - math.pi
    distance = b * angle_error * np.cos(np.arctan(b / radius))  # the radial offset, projected on the normal of the curve
    assert distance.std() == pytest.approx(0.001, rel=0.02) and abs(distance.mean()) < 1e-5 and np.abs(distance).max() < 0.006

    def length(phi):
        return phi * np.sqrt(1 + phi**2) + np.arcsinh(phi)

    low, high = length(np.array([math.pi, 5 * math.pi]))
    assert is_uniform(((length(radius / b) - low) / (high - low)).clip(0, 1))


def test_two_moons_are_those_of_scikit_learn_centred():
    from sklearn.datasets import make_moons

    points = load("two_moons(sigma=0.001)", 0, 8).train.samples.astype(float)
    moons = make_moons(200)[0]
    moons -= moons.mean(axis=0)
    assert max(np.hypot(*(points - moon).T).min() for moon in moons) < 0.003
    centres = np.array([[-0.5, -0.25], [0.5, 0.25]])  # of the circles whose upper and lower halves are the moons
    offsets = points[:, None] - centres
    distance = np.linalg.norm(offsets, axis=2) - 1
    distance[offsets[..., 1] * [1, -1] < -0.006] = 9
    lower = np.abs(distance).argmin(axis=1)
    assert np.abs(distance).min(axis=1).max() < 0.006 and abs(lower.mean() - 0.5) < 5 * math.sqrt(0.25 / len(points))
    x, y = offsets[np.arange(len(points)), lower].T
    angle = (np.arctan2(np.where(lower, -y, y), x) / math.pi + 0.5) % 2 - 0.5
    assert is_uniform(angle.clip(0, 1)) and angle.min() > -0.002 and angle.max() < 1.002


@pytest.mark.parametrize("name, sigma", [("spiral", 0.02), ("two_moons", 0.05)])
def test_metrics_of_held_out_points_of_curves(name, sigma):
    data = load(name, 0, 8)
    assert (data.sample_shape, data.num_classes, data.train.samples.dtype) == ((2,), 0, np.float32)
    measure = data.evaluator(data)
    assert measure.description == f"the 20 pieces of equal length of {name}, standard deviation {sigma}"
    values = measure(data.test.samples, None)
    assert {name: values[f"{name}_real"] for name in ("modes", "spread")} == {
        name: values[name] for name in ("modes", "spread")
    }
    n, fraction = 10_000, math.erf(3 / math.sqrt(2))
    assert values["modes"] == 20
    assert values["high_quality"] == pytest.approx(fraction, abs=4 * math.sqrt(fraction * (1 - fraction) / n))
    assert values["reverse_kl"] == pytest.approx(19 / (2 * n), rel=1)
    density = math.exp(-4.5) / math.sqrt(2 * math.pi)  # of N(0, 1) at 3, where it is truncated
    assert values["spread"] == pytest.approx(math.sqrt(1 - 6 * density / fraction), abs=0.02)
    half = measure(data.test.samples[data.test.samples[:, 1] > 0.1], None)
    assert 4 < half["modes"] < 16 and half["reverse_kl"] > 0.3
    assert measure(data.test.samples + 4 * np.float32(sigma), None)["high_quality"] < 0.8


@pytest.mark.parametrize("source", [toy.ring, toy.grid, toy.spiral, toy.two_moons])
def test_pictures_mark_samples_outside_the_modes(source):
    data = source()
    good = png(data.test.samples[:1000], data.show)
    bad = png(np.concatenate([data.test.samples[:1000], np.full((500, 2), np.nan), np.full((500, 2), [0.3, -0.1])]), data.show)
    assert good.shape[:2] == bad.shape[:2] == (480, 480)

    def orange(image):
        return ((image[..., 0] > 200) & (image[..., 2] < 120)).sum()

    assert orange(bad) > 3 and (good != bad).any()
    with pytest.raises(ValueError, match=r"\[N, 2\]"):
        data.show(np.zeros((4, 3)))


@pytest.mark.parametrize("name", ["spiral", "two_moons(sigma=0.02)"])
def test_the_outline_of_a_curve_is_at_three_sigma(name):
    """Without samples, the dark pixels are those just beyond 3 sigma from the curve, in a line of 0.8 points or 1.1 pixels."""
    data = load(name, 0, 8)
    drawn = png(np.zeros((0, 2)), data.show).min(axis=2)
    reach = 1.25 if name == "spiral" else 1.875
    # Inside the frame of the axes: (0.08, 0.06, 0.89, 0.89) of 480 pixels from below.
    rows, columns = np.nonzero(drawn[30:445, 45:458] < 100)
    x = ((columns + 45.5) / 480 - 0.08) / 0.89 * 2 * reach - reach
    y = ((480 - rows - 30.5) / 480 - 0.06) / 0.89 * 2 * reach - reach
    assert len(x) > 500
    angle = np.linspace(0, 1, 5_000) * math.pi
    if name == "spiral":
        curve = (0.2 + 0.8 * angle / math.pi) * np.exp(4j * angle)
    else:
        curve = np.concatenate([np.exp(1j * angle) - (0.5 + 0.25j), (0.5 + 0.25j) - np.exp(1j * angle)])
    distance = np.array([np.abs(curve - point).min() for point in x + 1j * y])
    beyond = (distance - 0.06) / (2 * reach / (0.89 * 480))
    assert beyond.mean() == pytest.approx(0.55, abs=0.3) and beyond.min() > -1 and beyond.max() < 2


def test_metrics_come_with_those_of_as_many_held_out_points():
    """A point of a mode is within 3 sigma with probability 1 - exp(-4.5)."""
    data = load("ring", 0, 8)
    values = data.evaluator(data)(np.zeros((4_000, 2), np.float32), None)
    fraction = 1 - math.exp(-4.5)
    assert values["high_quality_real"] == pytest.approx(fraction, abs=4 * math.sqrt(fraction * (1 - fraction) / 4_000))
    assert (values["modes"], values["modes_real"], values["high_quality"]) == (0, 8, 0)


@pytest.mark.parametrize("source", [toy.ring, toy.spiral])
def test_a_drawing_has_a_dot_at_each_point_of_the_frame(source):
    """Coordinates grow to the right and upwards; the axes are 326 pixels wide, from 46 and 30 on."""
    data = source()
    points = np.array([[0.5, 0.25], [0.0, -1.1], [99.0, 0.0]])
    drawing = data.show(points)[".svg"].decode()
    dots = [tuple(map(float, dot)) for dot in re.findall(r"M([\d.]+) ([\d.]+)h0", drawing)]
    reach, scale = 1.25, 326 / 2.5
    expected = [(46 + (x + reach) * scale, 30 + (reach - y) * scale) for x, y in points[:2].tolist()]
    assert np.allclose(sorted(dots), sorted(expected), atol=0.06)
    assert "1 outside the frame" in drawing and 'fill="white"' not in drawing
    ElementTree.fromstring(drawing)
