"""WaveGAN: published shapes, and phase shuffle with keys derived from the samples."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.models.wavegan import Discriminator, Generator, num_stages, phase_shuffle, sample_keys

Z = jnp.ones((2, 100))


@pytest.mark.parametrize(("length", "stages"), [(16_384, 5), (8_192, 5), (2_048, 4), (32, 1), (36, 1), (40, 1)])
def test_num_stages(length, stages):
    assert num_stages((length, 1)) == stages
    x = jax.eval_shape(lambda z: Generator((length, 1), width=2).init_with_output(jax.random.key(0), z, None, True)[0], Z)
    assert x.shape == (2, length, 1)


@pytest.mark.parametrize("shape", [(30, 1), (31,), (34, 1), (8, 8, 1)])
def test_invalid_shapes(shape):
    with pytest.raises(ValueError, match="wavegan needs"):
        num_stages(shape)


def test_phase_shuffle():
    """Shifts of -2 to 2 are about equally frequent, with reflection at the ends; the gradient is that of the shift."""
    x = np.arange(1, 9, dtype=np.float32)[None, :, None] + 10 * np.arange(500, dtype=np.float32)[:, None, None]

    @jax.jit
    def shuffle(x):
        keys = jax.random.split(jax.random.key(0), 500)
        shifted, pull_back = jax.vjp(lambda x: phase_shuffle(keys, x, 2), x)
        return shifted, pull_back(jnp.ones_like(shifted))[0]

    shifted, gradient = map(np.asarray, shuffle(x))
    positions = np.pad(np.arange(8), 2, mode="reflect")
    expected = np.stack([positions[s : s + 8] for s in range(5)])
    actual = (shifted[:, :, 0] - x[:, :1, 0]).astype(int)
    counts = [(actual == row).all(axis=1).sum() for row in expected]
    assert sum(counts) == 500 and min(counts) > 70
    np.testing.assert_array_equal(gradient[:, :, 0], [np.bincount(row, minlength=8) for row in actual])


def test_keys_depend_on_the_sample_alone():
    x = np.random.RandomState(0).randn(3, 16, 2).astype(np.float32)
    key_data = jax.jit(lambda x: jax.random.key_data(sample_keys(x)))
    changed = x.copy()
    changed[0, 3, 1] *= 1 + 2e-7  # one bit
    changed[1] = x[1, ::-1]  # the order
    keys = key_data(x)
    assert (key_data(changed) == keys).all(axis=1).tolist() == [False, False, True]
    np.testing.assert_array_equal(key_data(x[[2, 2, 0]]), keys[jnp.array([2, 2, 0])])


def test_invalid_shuffle():
    with pytest.raises(ValueError, match="shuffle must be 0 to 7 positions, got 8"):
        Discriminator((128, 1), shuffle=8).init(jax.random.key(0), jnp.ones((2, 128, 1)), None, True)
