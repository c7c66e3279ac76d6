"""Distributions of the latents: `f(key, shape [B, Z]) -> z [B, Z]`, float32, all entries independent.

Each public function is a value of `--latent`. Training, evaluation and samples draw from the same one.
"""

import jax

from gan_jax.types import Array


def normal(key: Array, shape: tuple[int, int]) -> Array:
    """N(0, 1), as in nearly all later work."""
    return jax.random.normal(key, shape)


def uniform(key: Array, shape: tuple[int, int]) -> Array:
    """Uniform on [-1, 1).

    Source: Radford et al. 2016 (DCGAN), arXiv:1511.06434, section 4, with the bounds of the authors' code; Donahue et al. 2019
    (WaveGAN), arXiv:1802.04208, appendix D."""
    return jax.random.uniform(key, shape, minval=-1.0)


def truncated(key: Array, shape: tuple[int, int], *, bound: float = 2.0) -> Array:
    """N(0, 1) without the values outside [-bound, bound]: less variety, better samples. To truncate only when sampling, see the
    view `truncation`. Raises ValueError unless `bound` is above 0.

    Source: Brock et al. 2019 (BigGAN), arXiv:1809.11096, section 3.1, where z is truncated after training."""
    if not bound > 0:
        raise ValueError(f"the bound of a truncated normal must be above 0, got {bound}")
    return jax.random.truncated_normal(key, -bound, bound, shape)
