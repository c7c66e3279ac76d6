"""What an extractor of features is."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Extractor(NamedTuple):
    """`features(samples float32 [N, H, W, C] in [-1, 1]) -> (features float32 [N, D], logits float32 [N, K] or None)`.

    `name` says what measured, to be shown beside its numbers; `hash` is the sha256 of its weights and `resize` what it does to
    the samples before its network sees them: reference statistics are the same only where both are.
    """

    features: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
    name: str
    hash: str
    resize: str
