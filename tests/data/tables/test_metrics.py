"""Metrics of tables, compared with closed forms and hand calculations."""

from dataclasses import replace

import numpy as np
import pytest

from gan_jax.data.dataset import Protocol
from gan_jax.data.load import load
from gan_jax.data.tables import metrics
from gan_jax.data.tables.metrics import Table
from gan_jax.errors import InputError

RANDOM = np.random.RandomState(0)


def rows(numbers=None, codes=None, count=None):
    count = len(numbers if numbers is not None else codes) if count is None else count
    numbers = np.zeros((count, 0)) if numbers is None else np.asarray(numbers, float)
    return Table(numbers, np.zeros((count, 0), int) if codes is None else np.asarray(codes))


def test_the_wasserstein_distance_of_a_shift():
    x = RANDOM.randn(200, 2)
    moved = x + np.array([0.5, 2.0])
    assert metrics.wasserstein(rows(moved), rows(x)) == pytest.approx(np.mean([0.5, 2.0] / x.std(axis=0)))
    assert metrics.wasserstein(rows(x[::-1]), rows(x)) == 0
    with_missing = np.where(np.arange(200)[:, None] % 2, np.nan, x[:, :1])
    assert metrics.wasserstein(rows(with_missing), rows(with_missing[::2])) == pytest.approx(0)  # missing values are left out
    assert metrics.wasserstein(rows(np.full((9, 1), np.nan)), rows([[1.0], [3.0]])) == pytest.approx(1.0)  # mean |x - 2| / 1
    assert np.isnan(metrics.wasserstein(rows(codes=[[0]]), rows(codes=[[0]])))


def test_the_divergence_of_levels_agrees_with_a_hand_calculation():
    same, other = rows(codes=[[0], [1], [1], [0]]), rows(codes=[[2], [2], [2], [2]])
    assert metrics.jsd(same, same, [3]) == 0
    assert metrics.jsd(same, other, [3]) == pytest.approx(1)  # disjoint levels: 1 bit
    p, q = np.array([0.5, 0.5]), np.array([0.75, 0.25])
    m = (p + q) / 2
    expected = ((p * np.log2(p / m)).sum() + (q * np.log2(q / m)).sum()) / 2
    assert metrics.jsd(same, rows(codes=[[0], [0], [1], [0]]), [2]) == pytest.approx(expected)
    with_missing = rows([[np.nan], [1.0]], [[0], [0]])
    full = rows([[np.nan], [np.nan]], [[0], [0]])
    half = (0.5 * np.log2(0.5 / 0.75) + 0.5 * np.log2(0.5 / 0.25) + np.log2(1 / 0.75)) / 2
    assert metrics.jsd(with_missing, full, [1]) == pytest.approx(half / 2)  # the mean with an identical column


def test_associations_agree_with_direct_formulas():
    x = RANDOM.randn(300, 2) @ [[1.0, 0.6], [0.0, 0.8]]
    a = np.repeat([0, 1, 2], 100)
    b = np.concatenate([np.repeat([0, 1], [70, 30]), np.repeat([0, 1], [20, 80]), np.repeat([0, 1], [50, 50])])
    x[:, 0] += a
    result = metrics.association(Table(x, np.stack([a, b], axis=1)), [4, 2])  # one level does not occur
    np.testing.assert_allclose(result, result.T)
    np.testing.assert_array_equal(np.diag(result), 1)
    assert result[0, 1] == pytest.approx(np.corrcoef(x.T)[0, 1])
    between = sum(100 * (x[a == i, 0].mean() - x[:, 0].mean()) ** 2 for i in range(3))
    assert result[0, 2] == pytest.approx(np.sqrt(between / ((x[:, 0] - x[:, 0].mean()) ** 2).sum()))
    counts = np.array([[70, 30], [20, 80], [50, 50]])
    expected = np.outer([100] * 3, counts.sum(axis=0)) / 300
    assert result[2, 3] == pytest.approx(np.sqrt(((counts - expected) ** 2 / expected).sum() / 300))
    dependent = metrics.association(Table(np.stack([a, a * 0.0], 1), np.stack([a, a], 1)), [3, 3])
    np.testing.assert_allclose(dependent[0], [1, 0, 1, 1])  # 1 if determined by the level, 0 for a constant column
    with_missing = x.copy()
    with_missing[::3, 1] = np.nan
    kept = np.arange(300) % 3 > 0
    assert metrics.association(rows(with_missing), [])[0, 1] == pytest.approx(np.corrcoef(x[kept].T)[0, 1])
    unrelated = rows(np.stack([np.tile([0, 0, 1, 1], 9), np.tile([0, 1, 0, 1], 9)], axis=1))
    identical = rows(np.stack([np.tile([0, 0, 1, 1], 9)] * 2, axis=1))
    assert metrics.correlation_gap(unrelated, identical, []) == pytest.approx(1)


def test_rows_that_differ_in_a_level_or_by_a_standard_deviation_have_distance_one():
    reference = rows([[0.0, 1], [2, 3], [np.nan, 1], [1, 3]], [[0], [1], [2], [0]])
    x = rows([[0, 1], [0, 1], [0, 2.0], [np.nan, 1]], [[0], [1], [0], [0]])
    points = metrics.features(x, reference, [3])
    deviation = np.sqrt(2 / 3)  # of the values 0, 2, 1; that of the other column is 1
    np.testing.assert_allclose(np.linalg.norm(points[0] - points[1:], axis=1), [1, 1, np.hypot(1, 1 / deviation)])
    np.testing.assert_allclose(metrics.closest(points, points[1:]), [1, 0, 0, 0])


def test_classifiers_learn_a_separable_problem():
    x = np.concatenate([RANDOM.randn(100, 1) - 9, RANDOM.randn(100, 1) + 9])
    y = np.repeat([0, 1], 100)
    held_out = Table(x, np.stack([y, y * 0], axis=1))
    assert metrics.classification(held_out, held_out, held_out, [2, 1], 0) == {"tstr": 1.0, "tstr_f1": 1.0}
    wrong = Table(x, np.stack([1 - y, y * 0], axis=1))
    assert metrics.classification(wrong, held_out, held_out, [2, 1], 0) == {"tstr": 0.0, "tstr_f1": 0.0}
    constant = Table(x, np.zeros((200, 2), int))
    assert metrics.classification(constant, held_out, held_out, [2, 1], 0) == {"tstr": 0.5, "tstr_f1": pytest.approx(1 / 3)}


def test_the_evaluator_distinguishes_real_rows_from_copies_and_noise():
    data = load('table(name="iris")', 0, 8)
    measure = data.evaluator(data, Protocol())
    assert measure.facts["target"] == "species" and (measure.facts["train"], measure.facts["held_out"]) == (120, 30)
    assert "species: one of setosa, versicolor, virginica" in measure.description
    held_out = data.to_float(data.test.samples)
    held_out_metrics = measure(held_out)
    for name in ("wasserstein", "jsd", "correlation_gap"):
        assert held_out_metrics[name] == 0 < held_out_metrics[f"{name}_floor"] < 0.5
    assert held_out_metrics["dcr"] == held_out_metrics["dcr_real"] > 0
    copies = measure(data.to_float(data.train.take(slice(480)).samples))  # the 120 training rows, drawn 480 times in total
    assert copies["dcr"] == pytest.approx(0, abs=1e-6) and copies["tstr_real"] > 0.9
    random = np.random.RandomState(1)
    noise = held_out | {"values": random.randn(30, 4).astype(np.float32)}
    noise["choices"] = {k: np.eye(x.shape[1])[random.randint(x.shape[1], size=30)] for k, x in held_out["choices"].items()}
    noisy = measure(noise)
    assert noisy["tstr"] < noisy["tstr_real"] and noisy["wasserstein"] > noisy["wasserstein_floor"]
    assert noisy["correlation_gap"] > 2 * noisy["correlation_gap_floor"]
    with pytest.raises(InputError, match="at least 20 rows"):
        measure({"values": held_out["values"][:5], "choices": {k: x[:5] for k, x in held_out["choices"].items()}})


def test_errors_are_reported_on_request():
    data = load('table(name="iris", drop="species")', 0, 8)
    result = data.evaluator(data, Protocol(errors=True))(data.to_float(data.test.samples))
    expected = {"wasserstein", "correlation_gap", "dcr", "dcr_low", "tstr_r2"}
    assert {name for name in result if name.endswith("_error")} == {f"{name}_error" for name in expected}
    assert "tstr" not in result and "jsd" not in result  # no categorical columns


@pytest.mark.parametrize("protocol", [Protocol(extractor="random"), Protocol(metrics=("frechet",))])
def test_options_that_do_not_apply_to_tables_are_rejected(protocol):
    data = load('table(name="iris")', 0, 8)
    with pytest.raises(InputError, match="column by column"):
        data.evaluator(data, protocol)


def test_a_validation_split_is_measured_like_the_held_out_split():
    for options in ("", ', drop="species"'):
        data = load(f'table(name="iris"{options})', 0, 8, validation=0.25)
        measure = data.evaluator(replace(data, test=data.validation), Protocol())
        assert (measure.facts["train"], measure.facts["held_out"]) == (90, 30)
        assert measure(data.to_float(data.validation.samples))["wasserstein"] == 0


def test_regressions_learn_a_linear_problem():
    x = RANDOM.rand(400)
    held_out = rows(np.stack([x, 3 * x + 1], axis=1))
    assert metrics.regression(held_out, held_out, held_out, [], 1)["tstr_r2"] > 0.99
    wrong = rows(np.stack([x, np.full(400, held_out.numbers[:, 1].mean())], axis=1))
    assert metrics.regression(wrong, held_out, held_out, [], 1)["tstr_r2"] == pytest.approx(0, abs=1e-9)  # predicts the mean
    with_missing = Table(np.where(np.arange(400)[:, None] % 2, [np.nan, np.nan], held_out.numbers), np.arange(400)[:, None] % 2)
    assert metrics.regression(with_missing, held_out._replace(codes=with_missing.codes), with_missing, [2], 1)["tstr_r2"] > 0.98
    assert np.isnan(metrics.regression(rows(np.full((9, 2), np.nan)), held_out, held_out, [], 1)["tstr_r2"])
    data = load('table(name="diabetes")', 0, 8)
    measure = data.evaluator(data, Protocol())
    result = measure(data.to_float(data.train.take(slice(600)).samples))
    assert measure.facts["target"] == "progression" and "models predict" in measure.description
    assert 0.15 < result["tstr_r2_real"] < 0.5 and "tstr" not in result
