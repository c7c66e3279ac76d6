"""ResNet-50, trained with labels or by SwAV: features for images, as in StudioGAN's evaluation.

Source: He et al. 2016, arXiv:1512.03385 (the network); Caron et al. 2020, arXiv:2006.09882 (SwAV); Kang et al. 2023,
arXiv:2206.09479 (their features for metrics of GANs).
"""

from functools import partial
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.imaging.resize import pillow_bilinear
from gan_jax.metrics.batched import in_batches
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.metrics.features.images import IMAGENET, checked, normalised, to_uint8
from gan_jax.metrics.features.pytorch import variables
from gan_jax.types import Array

_SIZE = 224  # pixels per side
_BATCH_SIZE = 32
_EXPANSION = 4


def extractor(tensors: dict[str, np.ndarray], path: Path, digest: str, *, swav: bool = False, width: int = 64) -> Extractor:
    """Build the extractor with the weights `tensors`, named as in torchvision; `path` and `digest` (sha256) identify the file.
    With `swav`, they are those of SwAV: names start with "module." and the heads of its training are ignored. `width` is
    that of the first layer: narrower networks are for tests.

    Its features map samples float32 [N, H, W, 1 or 3] in [-1, 1] to ([N, 2048], logits [N, 1000] or, for SwAV, None): the means
    of the last layer over positions. Samples are rounded to 8 bits, as in an image file, grey is repeated to RGB, and any
    height and width become 224 x 224 by Pillow's antialiased bilinear filter, not rounded, which is StudioGAN's
    `--post_resizer friendly` for both networks. There is no crop. Then follow ImageNet's mean and standard deviation. Other
    protocols differ: torchvision evaluates classifiers by resizing the shorter side to 256 and cropping 224 x 224.

    Raises InputError if the tensors are not those of the network; `features` raises ValueError for samples of another shape.
    """
    model = "SwAV's ResNet-50" if swav else "ResNet-50"
    if swav:
        tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
        tensors = {name: x for name, x in tensors.items() if not name.startswith(("projection_head.", "prototypes.", "fc."))}
    network = ResNet50(0 if swav else 1000, width)
    weights = variables(shapes(network), tensors, path, model)
    run = in_batches(partial(_apply, network), _BATCH_SIZE, to_uint8)

    def features(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        return run(weights, checked(samples))

    resized = f"{_SIZE} px, bilinear as Pillow's, not rounded"
    return Extractor(features, f"{model} {path.name} (sha256 {digest[:8]})", digest, resized, rounds=True)


class ResNet50(nn.Module):
    """Normalised images [B, H, W, 3] -> (features [B, 32 width], logits [B, num_classes], or None without classes).

    Layers are named as in torchvision, whose 3 x 3 convolutions are those that halve ("ResNet v1.5"). The gain of the last norm
    of each residual branch starts at 0 (Goyal et al. 2017, arXiv:1706.02677, section 5.1)."""

    num_classes: int = 1000
    width: int = 64
    blocks: tuple[int, ...] = (3, 4, 6, 3)  # of each stage

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> tuple[Array, Array | None]:
        def conv(x: Array, name: str, width: int, kernel: int, stride: int = 1) -> Array:
            he = nn.initializers.variance_scaling(2.0, "fan_out", "truncated_normal")
            padding, size = kernel // 2, (kernel, kernel)
            return nn.Conv(width, size, stride, padding, use_bias=False, kernel_init=he, name=name)(x)

        def norm(x: Array, name: str, zero: bool = False) -> Array:
            gain = nn.initializers.zeros if zero else nn.initializers.ones
            # Two-pass variance: Flax's default, E[x^2] - E[x]^2, loses precision if the mean is large.
            options = {"epsilon": 1e-5, "momentum": 0.9, "use_fast_variance": False, "scale_init": gain}
            return nn.BatchNorm(use_running_average=not train, name=name, **options)(x)

        x = nn.relu(norm(conv(x, "conv1", self.width, 7, 2), "bn1"))
        x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        for stage, count in enumerate(self.blocks):
            for index in range(count):
                block, width = f"layer{stage + 1}.{index}", self.width << stage
                stride = 2 if stage and not index else 1
                y = nn.relu(norm(conv(x, f"{block}.conv1", width, 1), f"{block}.bn1"))
                y = nn.relu(norm(conv(y, f"{block}.conv2", width, 3, stride), f"{block}.bn2"))
                y = norm(conv(y, f"{block}.conv3", _EXPANSION * width, 1), f"{block}.bn3", zero=True)
                if not index:
                    x = conv(x, f"{block}.downsample.0", _EXPANSION * width, 1, stride)
                    x = norm(x, f"{block}.downsample.1")
                x = nn.relu(x + y)
        features = x.mean(axis=(1, 2))
        if not self.num_classes:
            return features, None
        return features, nn.Dense(self.num_classes, kernel_init=nn.initializers.normal(0.01), name="fc")(features)


def shapes(network: nn.Module, size: int = _SIZE) -> dict:
    """The variables of a network for images, as shapes."""
    return jax.eval_shape(network.init, jax.random.key(0), jax.ShapeDtypeStruct((1, size, size, 3), jnp.float32))


@partial(jax.jit, static_argnums=0)
def _apply(network: ResNet50, weights: dict, images: Array) -> tuple[Array, Array | None]:
    """Images uint8 [B, H, W, 1 or 3] -> features and logits."""
    x = normalised(pillow_bilinear(images, _SIZE, _SIZE), IMAGENET)
    with jax.default_matmul_precision("highest"):  # by default, accelerators round the factors to 10 bits or fewer
        return network.apply(weights, x)
