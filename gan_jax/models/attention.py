"""Self-attention over the positions of a feature map."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.models.layers import Conv
from gan_jax.types import Array

INIT = nn.initializers.orthogonal()


class SelfAttention(nn.Module):
    """x [B, H, W, C] -> x + gain * o(softmax(theta(x) phi(x)^T) g(x)), with a learned scalar gain that starts at 0.

    theta, phi, g and o are 1x1 convolutions without bias, with spectral norm if `spectral`. theta and phi have C / 8 channels,
    g has C / 2; phi and g are max-pooled over 2x2 positions.

    Source: Zhang et al. 2019 (SAGAN), arXiv:1805.08318, section 3. The pooling and the C / 2 channels follow the authors' code,
    as in BigGAN.
    """

    spectral: bool = True

    @nn.compact
    def __call__(self, x: Array) -> Array:
        batch, height, width, channels = x.shape

        def conv(features: int, name: str) -> Conv:
            return Conv(features, 1, spectral=self.spectral, use_bias=False, kernel_init=INIT, name=name)

        def max_pool(y: Array) -> Array:
            y = y[:, : height // 2 * 2, : width // 2 * 2]
            return y.reshape(batch, height // 2, 2, width // 2, 2, -1).max(axis=(2, 4)).reshape(batch, -1, y.shape[-1])

        theta = conv(max(1, channels // 8), "theta")(x).reshape(batch, height * width, -1)
        phi = max_pool(conv(max(1, channels // 8), "phi")(x))
        g = max_pool(conv(max(1, channels // 2), "g")(x))
        weights = jax.nn.softmax(jnp.einsum("bic,bjc->bij", theta, phi).astype(jnp.float32), axis=-1).astype(x.dtype)
        attended = jnp.einsum("bij,bjc->bic", weights, g).reshape(batch, height, width, -1)
        gain = self.param("gain", nn.initializers.zeros, ())
        return x + gain.astype(x.dtype) * conv(channels, "o")(attended)
