"""The UCI handwritten digits that come with scikit-learn: 1,797 real images, no download.

Source: Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI repository (the file of 13 writers).
"""

from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from gan_jax.data.dataset import Source, Split
from gan_jax.data.images import pixels
from gan_jax.errors import InputError


def digits() -> Source:
    """Return 8x8x1 images with 17 grey levels, stored as uint8 0..16, in two halves: 898 to train on, 899 held out.

    The file is ordered by writer. Images of each digit are assigned to the two halves alternately, in that order, so both
    halves contain every writer and every digit equally often (to within one image). Held-out images are therefore by the same
    writers as the training images.
    """
    # Only the file is read: importing scikit-learn takes a second.
    package = find_spec("sklearn")
    if package is None:
        raise InputError("data 'digits' needs scikit-learn: pip install 'scikit-learn'")
    table = np.loadtxt(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",", dtype=np.int32)
    stored, label = table[:, :-1].astype(np.uint8).reshape(-1, 8, 8, 1), table[:, -1]
    by_digit = np.argsort(label, kind="stable")
    test, train = by_digit[0::2], by_digit[1::2]
    return Source(
        train=Split(stored[train], label[train]),
        test=Split(stored[test], label[test]),
        num_classes=10,
        to_float=partial(pixels.to_float, max_level=16),
        show=pixels.show,
        pack=pixels.pack,
        format=pixels.FORMAT,
        evaluator=pixels.evaluator,
    )
