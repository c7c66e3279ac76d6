"""Deceptions: `f(key, real, fake, p) -> (real, fake)`, what the discriminator is told is real and what fake, of the same
shapes; the truth at p = 0.

Each public function here is a value of `--deceive`. A sample is an array [B, ...] or a pytree of such, and moves as a whole.
Labels stay where they are.
"""

from functools import partial

import jax
import jax.numpy as jnp

from gan_jax.types import Array, RowMixing, Sample


@partial(RowMixing, mixes=lambda shift=1: shift != 0, remedy="shift=0")
def apa(key: Array, real: Sample, fake: Sample, p: Array, *, shift: int = 1) -> tuple[Sample, Sample]:
    """Adaptive pseudo augmentation: each real sample is replaced with probability `p` by a generated one, so that D cannot be
    sure of the few real samples it has. `augment_target` adapts p. Raises ValueError where real and fake differ in shape.

    Real sample i becomes fake sample i - `shift` of the batch, which D is also shown as fake. With shift = 1 a replaced sample
    and the fake one beside it differ, as a paired loss needs; with labels, shift = 0 gives it a sample made for its own label.

    Source: Jiang et al. 2021, arXiv:2111.06849, section 3.2. They generate other samples for it than those shown as fake.
    """
    replaced = jax.random.bernoulli(key, p, (_paired_batch_size("apa", real, fake),))
    return _where(replaced, jax.tree.map(lambda x: jnp.roll(x, shift, axis=0), fake), real), fake


def noisy_labels(key: Array, real: Sample, fake: Sample, p: Array, *, rate: float = 0.05) -> tuple[Sample, Sample]:
    """Flips what D is told: real and fake sample i change places with probability `rate` * `p`, so that p = 1 is the rate. On
    average over flips, D's best answer is ((1 - rate) p_data + rate p_g) / (p_data + p_g), never sure of anything. Raises
    ValueError where real and fake differ in shape, or for a rate outside [0, 1].

    Source: Chintala et al. 2016, "How to train a GAN? Tips and tricks to make GANs work" (NIPS 2016 workshop on adversarial
    training), tip 6; Salimans et al. 2016, arXiv:1606.03498, section 3.4, on that answer. Flipped in pairs, not one by one.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"noisy_labels' rate must be in [0, 1], got {rate}")
    swapped = jax.random.bernoulli(key, rate * p, (_paired_batch_size("noisy_labels", real, fake),))
    return _where(swapped, fake, real), _where(swapped, real, fake)


def _paired_batch_size(name: str, real: Sample, fake: Sample) -> int:
    real_shapes, fake_shapes = jax.tree.map(jnp.shape, real), jax.tree.map(jnp.shape, fake)
    if real_shapes != fake_shapes:
        raise ValueError(f"{name} mixes real and fake samples: shapes {real_shapes} and {fake_shapes} differ")
    return jax.tree.leaves(real)[0].shape[0]


def _where(chosen: Array, a: Sample, b: Sample) -> Sample:
    """a where `chosen` [B], else b, in b's dtype."""

    def leaf(a: Array, b: Array) -> Array:
        return jnp.where(chosen.reshape(-1, *(1,) * (b.ndim - 1)), a.astype(b.dtype), b)

    return jax.tree.map(leaf, a, b)
