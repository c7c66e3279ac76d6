"""Differentiable augmentations: `f(key, x [B, ...], p) -> x` of the same shape, identity at p = 0.

Each public function here is a value of `--augment`. Both players see augmented samples, real and fake alike, so that the
generator learns the data and not the augmentation (Zhao et al. 2020, arXiv:2006.10738; Karras et al. 2020, arXiv:2006.06676).
"""

import jax
import jax.numpy as jnp

from gan_jax.types import Array


def translation(key: Array, x: Array, p: Array) -> Array:
    """Moves each image [B, H, W, C] by up to an eighth of its height and width (a pixel at least), with probability `p`;
    what comes in from outside is -1, black.

    Source: Zhao et al. 2020 (DiffAugment), arXiv:2006.10738, section 4.1. They always move and pad with 0; p = 1 is theirs.
    """
    if x.ndim != 4:
        raise ValueError(f"translation needs images [B, H, W, C], got {x.shape}")
    batch_size, height, width, _ = x.shape
    apply_key, rows_key, columns_key = jax.random.split(key, 3)
    applied = jax.random.bernoulli(apply_key, p, (batch_size,))

    def shift_matrices(key: Array, size: int) -> Array:
        """[B, size, size], each a shifted identity: a product is differentiable to any order and fast everywhere, where the
        derivative of a gather is a scatter."""
        reach = max(1, size // 8)
        offset = jnp.where(applied, jax.random.randint(key, (batch_size,), -reach, reach + 1), 0)
        return jax.vmap(lambda k: jnp.eye(size, k=k, dtype=x.dtype))(offset)

    rows, columns = shift_matrices(rows_key, height), shift_matrices(columns_key, width)
    # TF32 products would blur the image.
    moved = jnp.einsum("bij,bjkc,blk->bilc", rows, x, columns, precision="highest")
    inside = jnp.einsum("bij,blk->bil", rows, columns)[..., None]
    return moved + (inside - 1)
