"""Inception score: confident individual predictions and diverse predictions overall, in one number."""

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import ArrayLike

from gan_jax.metrics.arrays import matrix, row_blocks


def inception_score(logits: ArrayLike, splits: int = 1) -> float:
    """exp(E_x KL(p(y|x) || p(y))) of a classifier's *logits* [N, K] (not probabilities): from 1 to K.

    With `splits` > 1, the mean over that many consecutive parts, as the papers report it (10), which lowers the value.
    Computed in float64, block by block. It does not use real data: report the score of real samples next to it.

    Source: Salimans et al. 2016, arXiv:1606.03498, section 4.
    """
    logits = matrix("logits", logits)
    if not 1 <= splits <= len(logits):
        raise ValueError(f"splits must lie between 1 and the {len(logits)} samples of logits {logits.shape}, got {splits}")
    return float(np.mean([_score(part) for part in np.array_split(logits, splits)]))


def _score(logits: np.ndarray) -> float:
    """Compute the score in one pass over the samples: with H the entropy, E_x KL(p(y|x) || p(y)) = H(p(y)) - E_x H(p(y|x))."""
    with jax.enable_x64(True):
        sums = [_sums(*block) for block in row_blocks(logits)]
    marginal = sum(np.asarray(probabilities) for _, probabilities in sums) / len(logits)
    entropy = sum(float(entropies) for entropies, _ in sums) / len(logits)
    return np.exp(-(marginal * np.log(np.where(marginal > 0, marginal, 1))).sum() - entropy)


@jax.jit
def _sums(logits, rows):
    """Sums over the first `rows` rows: of their entropies, and of their probabilities [K]."""
    log_p = jax.nn.log_softmax(logits.astype(jnp.float64), axis=1)
    p = jnp.where(jnp.arange(len(logits))[:, None] < rows, jnp.exp(log_p), 0)
    return -(p * log_p).sum(), p.sum(axis=0)
