"""Paths through latents, truncation and projection, against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import kstest, truncnorm

from gan_jax.evaluation.latents import langevin_dynamics, loop, principal_directions, project, slerp, truncate

RANDOM = np.random.RandomState(0)


def test_slerp_keeps_the_length_and_has_constant_angular_speed():
    start, end = jnp.array([2.0, 0.0, 0.0]), jnp.array([0.0, 2.0, 0.0])
    for fraction in (0.0, 0.25, 0.5, 1.0):
        angle = fraction * np.pi / 2
        expected = [2 * np.cos(angle), 2 * np.sin(angle), 0.0]
        np.testing.assert_allclose(slerp(start, end, jnp.float32(fraction)), expected, atol=1e-6)


def test_slerp_between_parallel_latents():
    z = jnp.array([1.0, 1.0])
    np.testing.assert_allclose(slerp(z, z, jnp.float32(0.3)), z, rtol=1e-3)


def test_loop_passes_through_every_latent_and_closes():
    z = RANDOM.randn(3, 2, 8).astype(np.float32)
    path = loop(z, 12)
    assert path.shape == (12, 2, 8)
    np.testing.assert_allclose(path[::4], z, atol=1e-5)
    unit = path / np.linalg.norm(path, axis=-1, keepdims=True)
    cosines = (unit * np.roll(unit, -1, axis=0)).sum(axis=-1).reshape(3, 4, 2)  # of consecutive frames
    assert (cosines > 0.7).all()  # no jump, including from the last frame to the first


def test_truncated_latents_follow_the_truncated_normal():
    z = RANDOM.randn(4_000)
    for bound in (0.04, 0.5, 2.0):
        truncated = truncate(z, bound)
        assert np.abs(truncated).max() <= bound
        assert kstest(truncated, truncnorm(-bound, bound).cdf).pvalue > 0.01
    np.testing.assert_allclose(truncate(z, 8.0), z, atol=1e-5)
    np.testing.assert_array_equal(np.argsort(truncate(z, 1.0)), np.argsort(z))
    with pytest.raises(ValueError, match="above 0, got 0"):
        truncate(z, 0.0)


def test_principal_directions_of_a_known_map():
    """Three columns along u, two along v, one along w: A A^T = 3 u u^T + 2 v v^T + w w^T, whatever the columns' lengths."""
    basis = np.linalg.qr(RANDOM.randn(3, 3))[0].T
    columns = basis[[2, 0, 1, 0, 1, 0]].T * np.array([9.0, 0.1, 1.0, 2.0, -3.0, -0.5])
    directions = principal_directions(columns)
    np.testing.assert_allclose(np.abs(directions @ basis.T), np.eye(3), atol=1e-5)
    assert (np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1) > 0).all()


def test_projection_finds_the_nearest_latent_within_the_radius():
    """Without a radius it is the target; with one it is the target's projection onto the ball."""
    target = jnp.array([[3.0, 4.0], [0.3, 0.4]])
    start = np.zeros((2, 2), np.float32)
    path, distance = project(lambda z: jnp.square(z - target).sum(axis=1), start, [0, 5, 400])
    np.testing.assert_array_equal(path[0], start)
    np.testing.assert_allclose(distance[0], [25, 0.25], rtol=1e-6)
    np.testing.assert_allclose(path[-1], target, atol=1e-3)
    path, distance = project(lambda z: jnp.square(z - target).sum(axis=1), start, [0, 400], radius=1.0)
    np.testing.assert_allclose(path[-1], [[0.6, 0.8], [0.3, 0.4]], atol=1e-3)
    np.testing.assert_allclose(distance[-1], [16, 0], atol=1e-3)


def test_langevin_dynamics_to_a_gaussian():
    """log p = -a (z - c)^2 / 2 from z ~ N(0, 1): after t steps of size h, the mean is c (1 - r^t) with r = 1 - h a / 2, and the
    variance r^2t + h (1 - r^2t) / (1 - r^2)."""
    a, c, h, t, count = 4.0, 1.5, 0.2, 6, 20_000
    keys = jax.random.split(jax.random.key(1), count)
    start = jax.random.normal(jax.random.key(0), (count, 1))
    moved = jax.jit(lambda z, keys: langevin_dynamics(lambda z: -a * jnp.square(z - c).sum(axis=1) / 2, z, keys, t, h))(
        start, keys
    )
    r = 1 - h * a / 2
    variance = r ** (2 * t) + h * (1 - r ** (2 * t)) / (1 - r**2)
    assert float(moved.mean()) == pytest.approx(c * (1 - r**t), abs=4 * (variance / count) ** 0.5)
    assert float(moved.var()) == pytest.approx(variance, rel=4 * (2 / count) ** 0.5)
