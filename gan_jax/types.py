"""The signatures that everything else agrees on, documented once.

Shapes: B is the batch size. A sample is an array or a pytree of arrays, each leaf with B in front ([B, ...]); images are
[B, H, W, C] in [-1, 1], points are [B, D]. Logits are real numbers, large for real samples; no sigmoid is applied.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

Array = jax.Array
Sample = Any  # an array, or a pytree of arrays: [B, ...] each
Critic = Callable[[Sample], Array]  # samples [B, ...] -> logits [B]: D with parameters, labels and augmentation bound

# (real_logits [B], fake_logits [B]) -> (d_loss, g_loss), float32 scalars, both to be minimised.
Loss = Callable[[Array, Array], tuple[Array, Array]]
# (critic, real, fake, key) -> float32 scalar. Raw samples; the weight multiplies outside.
Penalty = Callable[[Critic, Sample, Sample, Array], Array]
# (key, x, p) -> x of the same shape. Identity at p = 0; p in [0, 1] is traced, never static.
Augment = Callable[[Array, Array, Array], Array]


class Batch(NamedTuple):
    """Real samples [B, ...] as float32, and their labels [B] as int32 (None where the data has none)."""

    real: Sample
    label: Array | None

    @property
    def size(self) -> int:
        """B"""
        return jax.tree.leaves(self.real)[0].shape[0]
