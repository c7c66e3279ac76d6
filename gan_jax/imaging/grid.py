"""The shape of a grid of samples in a picture."""

import math


def grid_columns(count: int) -> int:
    """The number of columns of a grid of `count` samples: as close to a square as `count` allows."""
    near_square = max(1, math.ceil(math.sqrt(count)))
    return next((columns for columns in range(near_square, 2 * near_square) if count % columns == 0), near_square)
