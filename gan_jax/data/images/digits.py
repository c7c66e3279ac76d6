"""The UCI handwritten digits that scikit-learn ships: 1,797 real images, no network.

Source: Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI repository (the file of 13 writers).
"""

from functools import partial

import numpy as np

from gan_jax.data.dataset import Source, Split
from gan_jax.data.images import pixels
from gan_jax.errors import InputError


def digits() -> Source:
    """8x8x1 images in 17 grey levels, stored as uint8 0..16, in two halves: 898 to train on, 899 held out.

    The file is in the order of its writers. Within each digit, in that order, images go to the two halves in turn: both
    halves hold every writer and every digit equally often (to one image). So "held out" means other images by the
    same hands, not other hands.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise InputError(f"data 'digits' comes with scikit-learn: pip install scikit-learn ({error})") from error
    samples, label = load_digits(return_X_y=True)
    stored = samples.astype(np.uint8).reshape(-1, 8, 8, 1)  # whole numbers in the file, as float64
    label = label.astype(np.int32)
    by_digit = np.argsort(label, kind="stable")
    test, train = by_digit[0::2], by_digit[1::2]
    return Source(
        train=Split(stored[train], label[train]),
        test=Split(stored[test], label[test]),
        num_classes=10,
        to_float=partial(pixels.to_float, top=16),
        show=pixels.show,
        pack=pixels.pack,
        evaluator=pixels.evaluator,
    )
