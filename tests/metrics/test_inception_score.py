"""Inception score: closed forms."""

import math

import numpy as np
import pytest

from gan_jax.metrics.inception_score import inception_score


def test_inception_score_closed_forms():
    k, n = 10, 1000
    one_hot = 1e4 * np.eye(k)
    assert inception_score(np.tile(np.arange(k), (n, 1))) == pytest.approx(1)
    assert inception_score(one_hot[np.arange(n) % k]) == pytest.approx(k)
    p = np.array([0.5, 0.3, 0.2])
    expected = math.exp(-(p * np.log(p)).sum())
    assert inception_score(one_hot[np.repeat(np.arange(3), [500, 300, 200])]) == pytest.approx(expected)
    error = 0.1
    confused = np.log(np.where(np.eye(k), 1 - error, error / (k - 1))) - 7  # an additive constant has no effect
    expected = k * (1 - error) ** (1 - error) * (error / (k - 1)) ** error
    assert inception_score(confused[np.arange(n) % k]) == pytest.approx(expected)


def test_inception_score_with_splits_is_their_mean():
    logits = 50 * np.eye(4)[[0, 0, 0, 0, 0, 1, 2, 3]]
    assert inception_score(logits, splits=2) == pytest.approx((1 + 4) / 2)
    with pytest.raises(ValueError, match="splits"):
        inception_score(logits, splits=9)


def test_inception_score_over_many_blocks_agrees_with_the_definition(monkeypatch):
    monkeypatch.setattr("gan_jax.metrics.arrays.BLOCK", 32)
    logits = np.random.RandomState(0).normal(size=(135, 7)) * 3
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    expected = np.exp((p * np.log(p / p.mean(axis=0))).sum(axis=1).mean())
    assert inception_score(logits) == pytest.approx(expected, rel=1e-12)
    assert inception_score(logits.astype(np.float32)) == pytest.approx(expected, rel=1e-6)
