"""The record that describes a feature extractor."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np


class Extractor(NamedTuple):
    """`features(samples float32 [N, H, W, C] in [-1, 1]) -> (features float32 [N, D], logits float32 [N, K] or None)`.

    `name` identifies the extractor in reports; `hash` is the sha256 of its weights; `resize` describes how samples are resized
    before they enter its network. Reference statistics are comparable only if `hash` and `resize` agree. `rounds` is whether
    samples are rounded to 8 bits first, `classifies` whether the network has logits. `distance(x, y) -> float32 [N]` is a
    perceptual distance of pairs of samples that belongs to the network, computed without rounding; None if there is none.
    """

    features: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray | None]]
    name: str
    hash: str
    resize: str
    rounds: bool = False
    distance: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    classifies: bool = True
