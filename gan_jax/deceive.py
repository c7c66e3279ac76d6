"""Functions that deceive the discriminator, `f(key, real, fake, p) -> (real, fake)`: they replace some of the samples that D
receives as real or as fake. The shapes stay the same; p = 0 replaces nothing.

Each public function is a value of `--deceive`. A sample is an array [B, ...] or a pytree of such arrays, and is replaced as a
whole. Labels stay in their rows.
"""

from functools import partial

import jax
import jax.numpy as jnp

from gan_jax.types import Array, RowMixing, Sample


@partial(RowMixing, mixes=lambda shift=1: shift != 0, remedy="shift=0")
def apa(key: Array, real: Sample, fake: Sample, p: Array, *, shift: int = 1) -> tuple[Sample, Sample]:
    """Adaptive pseudo augmentation: with probability `p`, replace a real sample with a generated one, so that D cannot overfit
    to a small number of real samples. `augment_target` adapts p. Raises ValueError if real and fake differ in shape.

    Real sample i becomes fake sample i - `shift` of the batch, which D also receives as fake. With shift = 1 the replacement
    differs from fake sample i, as required by paired losses; with shift = 0 it has the label of real sample i, as required by
    conditional discriminators.

    Source: Jiang et al. 2021, arXiv:2111.06849, section 3.2. They generate separate samples for the replacement.
    """
    replaced = jax.random.bernoulli(key, p, (_paired_batch_size("apa", real, fake),))
    return _select(replaced, jax.tree.map(lambda x: jnp.roll(x, shift, axis=0), fake), real), fake


def noisy_labels(key: Array, real: Sample, fake: Sample, p: Array, *, rate: float = 0.05) -> tuple[Sample, Sample]:
    """Label noise: swap real and fake sample i with probability `rate` * `p`. At p = 1 the optimal discriminator is
    ((1 - rate) p_data + rate p_g) / (p_data + p_g), which is never 0 or 1 for a rate strictly between 0 and 1. Raises
    ValueError if real and fake differ in shape, or for a rate outside [0, 1].

    Source: Chintala et al. 2016, "How to train a GAN? Tips and tricks to make GANs work" (NIPS 2016 workshop on adversarial
    training), tip 6; Salimans et al. 2016, arXiv:1606.03498, section 3.4, on the optimal discriminator. We swap samples in
    pairs; they flip the labels of single samples.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"noisy_labels' rate must be in [0, 1], got {rate}")
    swapped = jax.random.bernoulli(key, rate * p, (_paired_batch_size("noisy_labels", real, fake),))
    return _select(swapped, fake, real), _select(swapped, real, fake)


def _paired_batch_size(name: str, real: Sample, fake: Sample) -> int:
    """Return the batch size. Raises ValueError if real and fake differ in shape."""
    real_shapes, fake_shapes = jax.tree.map(jnp.shape, real), jax.tree.map(jnp.shape, fake)
    if real_shapes != fake_shapes:
        raise ValueError(f"{name} mixes real and fake samples: shapes {real_shapes} and {fake_shapes} differ")
    return jax.tree.leaves(real)[0].shape[0]


def _select(mask: Array, a: Sample, b: Sample) -> Sample:
    """Return sample i of a if `mask[i]`, else of b, in b's dtype."""

    def select_leaf(a: Array, b: Array) -> Array:
        return jnp.where(mask.reshape(-1, *(1,) * (b.ndim - 1)), a.astype(b.dtype), b)

    return jax.tree.map(select_leaf, a, b)
