"""Regularisers of the discriminator: `f(critic, real, fake, key) -> float32 scalar`, weighted by `gamma` outside.

Each public function here is a value of `--penalty`. `real` and `fake` are raw samples; whatever augmentation, labels and
parameters belong to the discriminator are bound in `critic`, so gradients are those of the whole of it. Norms run over all
non-batch axes of all leaves, so that a sample may be a point, an image, a sequence or a graph.
"""

import jax
import jax.numpy as jnp

from gan_jax.types import Array, Critic, Sample


def r1(critic: Critic, real: Sample, fake: Sample, key: Array) -> Array:
    """Half the squared gradient norm at real samples: E |grad D(x)|^2 / 2. For a linear critic w.x it is |w|^2 / 2.

    Source: Mescheder et al. 2018, arXiv:1801.04406, eq. 9.
    """
    return 0.5 * _squared_gradient_norm(critic, real).mean()


def r2(critic: Critic, real: Sample, fake: Sample, key: Array) -> Array:
    """Half the squared gradient norm at generated samples: E |grad D(G(z))|^2 / 2.

    Source: Mescheder et al. 2018, arXiv:1801.04406, eq. 10.
    """
    return 0.5 * _squared_gradient_norm(critic, fake).mean()


def r1_r2(critic: Critic, real: Sample, fake: Sample, key: Array) -> Array:
    """R1 + R2, the regulariser under which the relativistic game converges locally.

    Source: Huang et al. 2024 (R3GAN), arXiv:2501.05441, proposition 2.
    """
    return r1(critic, real, fake, key) + r2(critic, real, fake, key)


def gradient_penalty(critic: Critic, real: Sample, fake: Sample, key: Array) -> Array:
    """One-centred gradient penalty on the segments between paired real and fake samples: E (|grad D(x~)| - 1)^2.
    Raises ValueError where real and fake differ in shape.

    Source: Gulrajani et al. 2017 (WGAN-GP), arXiv:1704.00028, eq. 3.
    """
    real_shapes, fake_shapes = jax.tree.map(jnp.shape, real), jax.tree.map(jnp.shape, fake)
    if real_shapes != fake_shapes:
        raise ValueError(f"gradient_penalty pairs real with fake samples: shapes {real_shapes} and {fake_shapes} differ")
    batch_size = jax.tree.leaves(real)[0].shape[0]
    share = jax.random.uniform(key, (batch_size,))

    def between(a: Array, b: Array) -> Array:
        weight = share.reshape(-1, *(1,) * (a.ndim - 1)).astype(a.dtype)
        return weight * a + (1 - weight) * b

    squared_norm = _squared_gradient_norm(critic, jax.tree.map(between, real, fake))
    # sqrt has no derivative at 0, where a constant critic begins; the floor makes it 0 there instead of NaN.
    norm = jnp.sqrt(jnp.maximum(squared_norm, 1e-12))
    return jnp.square(norm - 1).mean()


def _squared_gradient_norm(critic: Critic, x: Sample) -> Array:
    """|grad_x critic(x)|^2 of each sample, [B] in float32."""
    gradient = jax.grad(lambda x: critic(x).astype(jnp.float32).sum())(x)
    return sum(jnp.square(leaf.astype(jnp.float32)).sum(axis=tuple(range(1, leaf.ndim))) for leaf in jax.tree.leaves(gradient))
