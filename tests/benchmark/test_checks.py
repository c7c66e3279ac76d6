"""The differences between two results of the same game, which the checks of an accelerator compare."""

import numpy as np
import pytest

from gan_jax.benchmark.checks import difference, within


def played(g, d, loss):
    """One parameter each that started at 1, and a metric of two steps."""
    return {"g": [np.ones(2)], "d": [np.ones(1)]}, {"g": [1 + np.array(g)], "d": [1 + np.array([d])]}, {"loss": np.array(loss)}


def test_differences_of_parameters_are_relative_to_their_change():
    """Changes (3, 4) and (3, 4.5): .5 of 5. A parameter of 1 that changes by 1e-3 against 1.1e-3 differs by a tenth of that."""
    deviation = difference(played([3, 4.5], 1.1e-3, [0.5, 20]), played([3, 4], 1e-3, [0.25, 10]))
    assert deviation == {"g": pytest.approx(0.1), "d": pytest.approx(0.1), "metrics": 1.0}
    assert difference(played([3, 4], 1, [0.5, 2]), played([3, 4], 1, [0.25, 2]))["metrics"] == 0.25


@pytest.mark.parametrize(("value", "passes"), [(9e-5, True), (1.1e-4, False), (float("nan"), False)])
def test_the_tolerance(value, passes):
    assert within({"g": value, "d": 0.0, "metrics": 0.0}) == passes
