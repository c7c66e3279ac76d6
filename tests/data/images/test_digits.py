"""The digits, read from scikit-learn's file without importing it."""

import numpy as np
from sklearn.datasets import load_digits

from gan_jax.data.images.digits import digits


def test_digits_are_those_of_scikit_learn():
    source, (expected, label) = digits(), load_digits(return_X_y=True)
    order = np.argsort(label, kind="stable")
    for split, rows in ((source.test, order[0::2]), (source.train, order[1::2])):
        assert split.samples.dtype == np.uint8
        np.testing.assert_array_equal(split.samples.reshape(-1, 64), expected[rows])
        np.testing.assert_array_equal(split.labels, label[rows])
