"""Mirrored images: doubles the training set with mirror images, for data such as faces where these are equally plausible."""

from dataclasses import replace

import numpy as np

from gan_jax.data.batches import make_data, split_validation, take_rows
from gan_jax.data.dataset import Data, Measure, Protocol, Source, Split, Stored
from gan_jax.errors import InputError


def mirrored(name: str, single: Source) -> Source:
    """Return the source `single`, called `name`, with the left-right mirror images of its N training images in rows N to 2 N.

    Held-out images are not mirrored, and no mirror image of a validation image is trained on. Samples are measured as for
    `name`, with the same classifier, against the same images.

    Source: Karras et al. 2020 (ADA), arXiv:2006.06676, section 2. Raises `InputError` if `name` is not images [H, W, C].
    """
    shape = single.train.shape if isinstance(single.train, Stored) else getattr(single.train.samples, "shape", ())[1:]
    if len(shape) != 3:
        raise InputError(f"mirrored:{name} needs images [H, W, C]: a sample of {name} is {shape}")

    def with_mirrored(train: Split | Stored, validation: float) -> Source:
        def evaluator(data: Data, protocol: Protocol = Protocol()) -> Measure:
            plain = make_data(name, single, 0, 1, validation)
            # To evaluate on the validation split, the caller puts it in `test` and appends to the checksum.
            checksum = plain.checksum + data.checksum[len(plain.checksum) :]
            return single.evaluator(replace(plain, test=data.test, checksum=checksum), protocol)

        return replace(single, train=_append_mirrored(train), evaluator=evaluator, set_aside=None)

    def set_aside(validation: float) -> tuple[Source, Split]:
        train_rows, validation_rows = split_validation(name, single.train.count, validation)
        return with_mirrored(single.train.take(train_rows), validation), take_rows(single.train, validation_rows)

    return replace(with_mirrored(single.train, 0.0), set_aside=set_aside)


def _append_mirrored(split: Split | Stored) -> Split | Stored:
    if isinstance(split, Split):
        labels = None if split.labels is None else np.concatenate([split.labels] * 2)
        return Split(np.concatenate([split.samples, split.samples[:, :, ::-1]]), labels)

    def read(rows: np.ndarray) -> Split:
        samples, labels = split.read(rows % split.count)
        mirror = (rows >= split.count)[:, None, None, None]
        return Split(np.where(mirror, samples[:, :, ::-1], samples), labels)

    labels = None if split.labels is None else np.concatenate([split.labels] * 2)
    return Stored(2 * split.count, split.shape, read, labels)
