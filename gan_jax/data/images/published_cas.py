"""The classification accuracy score with the classifier of its paper, which takes hours on a GPU for ImageNet: it has no name
among the metrics, so that `--metrics all` does not include it."""

from functools import partial

import jax

from gan_jax.data.images.suite import ImageSet, Metric, RealImages, Values
from gan_jax.metrics import by_class


@partial(Metric, reference="train")
def cas_resnet50(real: RealImages, fake: ImageSet) -> Values:
    """cas_resnet50: top-1 accuracy on the held-out split of a ResNet-50 trained on at most as many fakes as there are training
    images. One training. Use it as `--metrics gan_jax.data.images.published_cas:cas_resnet50`; `Protocol.max_samples` limits
    the images on either side.

    Source: Ravuri and Vinyals 2019, arXiv:1905.10887.
    """
    fake = jax.tree.map(lambda x: x[: len(real.train.samples)], fake)
    fake_label, test_label = (images.classes("cas_resnet50") for images in (fake, real.held_out))
    score, _ = by_class.classification_accuracy(fake.samples, fake_label, real.held_out.samples, test_label, resnet50=True)
    return {"cas_resnet50": score}
