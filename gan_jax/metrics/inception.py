"""Inception score: confident single predictions and diverse predictions over all, in one number."""

import numpy as np
from numpy.typing import ArrayLike

from gan_jax.metrics.inputs import matrix


def inception_score(logits: ArrayLike, splits: int = 1) -> float:
    """exp(E_x KL(p(y|x) || p(y))) of a classifier's *logits* [N, K] (not probabilities): from 1 to K.

    With `splits` > 1, the mean over that many consecutive parts, as the papers report it (10); parts lower the value.
    It does not look at real data: show the score of real samples beside it.

    Source: Salimans et al. 2016, arXiv:1606.03498, section 4.
    """
    logits = matrix("logits", logits)
    if not 1 <= splits <= len(logits):
        raise ValueError(f"splits must lie between 1 and the {len(logits)} samples of logits {logits.shape}, got {splits}")
    log_p = logits - _log_sum_exp(logits, axis=1)
    scores = []
    for part in np.array_split(log_p, splits):
        log_marginal = _log_sum_exp(part, axis=0) - np.log(len(part))
        scores.append(np.exp((np.exp(part) * (part - log_marginal)).sum(axis=1).mean()))
    return float(np.mean(scores))


def _log_sum_exp(x: np.ndarray, axis: int) -> np.ndarray:
    top = x.max(axis=axis, keepdims=True)
    return top + np.log(np.exp(x - top).sum(axis=axis, keepdims=True))
