"""The controller of an adaptive augmentation's probability (Karras et al. 2020, arXiv:2006.06676, section 3)."""

import jax.numpy as jnp

from gan_jax.types import Array, Memory


def initial() -> Memory:
    """The controller's scalars before the first step: p = 0."""
    return {name: jnp.zeros((), jnp.float32) for name in ("p", "sign", "seen")}


def adapt(running: Memory, real_logits: Array, target: float, kimg: float, interval: int = 4) -> Memory:
    """Moves "p" so that the discriminator's overfitting r_t = E sign(D(real)) stays near `target`: every `interval` calls, up
    where r_t is above it and down where it is below, by the share of `kimg` thousand samples that were seen in between, within
    [0, 1]. "sign" and "seen" are the sum of signs and the number of the real logits [B] since the last move.

    Source: Karras et al. 2020, arXiv:2006.06676, section 3, eq. 1; there target is 0.6, interval 4 and kimg 500.
    """
    batch_size = real_logits.shape[0]
    sign = running["sign"] + jnp.sign(real_logits.astype(jnp.float32)).reshape(batch_size, -1).mean(axis=1).sum()
    seen = running["seen"] + batch_size
    due = seen >= interval * batch_size
    move = jnp.sign(sign / seen - target) * seen / (kimg * 1000)
    return {
        "p": jnp.where(due, jnp.clip(running["p"] + move, 0, 1), running["p"]),
        "sign": jnp.where(due, 0, sign),
        "seen": jnp.where(due, 0, seen),
    }
