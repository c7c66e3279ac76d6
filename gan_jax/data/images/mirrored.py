"""Mirrored images: each, and its mirror image, which of faces and most photographs could have been taken too."""

from dataclasses import replace

import numpy as np

from gan_jax.data.batches import deal, parted, taken
from gan_jax.data.dataset import Data, Measure, Protocol, Source, Split, Stored
from gan_jax.errors import InputError


def mirrored(name: str, single: Source) -> Source:
    """The images of `single`, which is called `name`, and in rows N to 2 N of the train split their mirror images, left for
    right. What is held out stays as it is; of what is set aside no mirror image is trained on. Samples are measured as those of
    `name` are, by the same classifier, against the same images.

    Source: Karras et al. 2020 (ADA), arXiv:2006.06676, section 2. Raises `InputError` where `name` is not of images [H, W, C].
    """
    shape = single.train.shape if isinstance(single.train, Stored) else getattr(single.train.samples, "shape", ())[1:]
    if len(shape) != 3:
        raise InputError(f"mirrored:{name} needs images [H, W, C]: a sample of {name} is {shape}")

    def both(train: Split | Stored, share: float) -> Source:
        def evaluator(data: Data, protocol: Protocol = Protocol()) -> Measure:
            plain = deal(name, single, 0, 1, share)
            # What is held out may be what was set aside, which the checksum then says behind the sum.
            checksum = plain.checksum + data.checksum[len(plain.checksum) :]
            return single.evaluator(replace(plain, test=data.test, checksum=checksum), protocol)

        return replace(single, train=_both(train), evaluator=evaluator, set_aside=None)

    def set_aside(share: float) -> tuple[Source, Split]:
        rest, aside = parted(name, single.train.count, share)
        return both(single.train.take(rest), share), taken(single.train, aside)

    return replace(both(single.train, 0.0), set_aside=set_aside)


def _both(split: Split | Stored) -> Split | Stored:
    if isinstance(split, Split):
        labels = None if split.labels is None else np.concatenate([split.labels] * 2)
        return Split(np.concatenate([split.samples, split.samples[:, :, ::-1]]), labels)

    def read(rows: np.ndarray) -> Split:
        samples, labels = split.read(rows % split.count)
        turned = (rows >= split.count)[:, None, None, None]
        return Split(np.where(turned, samples[:, :, ::-1], samples), labels)

    return Stored(2 * split.count, split.shape, read)
