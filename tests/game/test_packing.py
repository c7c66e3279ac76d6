"""Packs of samples: what lies side by side, and the inverse."""

import numpy as np

from gan_jax.game.packing import pack, unpack


def test_packs_hold_samples_side_by_side_along_the_channels():
    x = {"values": np.arange(12.0).reshape(6, 2), "choices": np.zeros((6, 3))}
    packed = pack(x, 3)
    np.testing.assert_array_equal(packed["values"], np.arange(12.0).reshape(2, 6))
    np.testing.assert_array_equal(unpack(packed, 3)["values"], x["values"])


def test_rows_without_numbers_can_be_packed():
    """A table may have texts only."""
    packed = pack(np.zeros((6, 0)), 3)
    assert packed.shape == (2, 0) and unpack(packed, 3).shape == (6, 0)
