"""The digits, read from scikit-learn's file without importing it."""

import numpy as np
from sklearn.datasets import load_digits

from gan_jax.data.images.digits import digits


def test_digits_are_those_of_scikit_learn():
    source, (expected, label) = digits(), load_digits(return_X_y=True)
    for split, first in ((source.test, 0), (source.train, 1)):
        assert split.samples.dtype == np.uint8
        for digit in range(10):
            np.testing.assert_array_equal(
                split.samples[split.labels == digit].reshape(-1, 64), expected[label == digit][first::2]
            )
