"""The controller of an adaptive augmentation's probability.

Source: Karras et al. 2020 (ADA), arXiv:2006.06676, section 3.
"""

import jax.numpy as jnp

from gan_jax.types import Array, Memory


def initial_controller() -> Memory:
    """The controller's scalars before the first step: p = 0."""
    return {name: jnp.zeros((), jnp.float32) for name in ("p", "sign", "seen")}


def adapt(running: Memory, real_logits: Array, target: float, kimg: float, interval: int = 4) -> Memory:
    """Adjust "p" so that the overfitting heuristic r_t = E sign(D(real)) stays near `target`.

    Every `interval` calls, p moves up if r_t is above the target, else down, by the number of samples seen since the last move
    as a fraction of `kimg` thousand, and is clipped to [0, 1]. "sign" is the sum of the signs of the real logits [B] since the
    last move, and "seen" their number.

    Source: Karras et al. 2020, arXiv:2006.06676, section 3, eq. 1, with target 0.6, interval 4 and kimg 500.
    """
    batch_size = real_logits.shape[0]
    sign = running["sign"] + jnp.sign(real_logits.astype(jnp.float32)).reshape(batch_size, -1).mean(axis=1).sum()
    count = running["seen"] + batch_size
    due = count >= interval * batch_size
    move = jnp.sign(sign / count - target) * count / (kimg * 1000)
    return {
        "p": jnp.where(due, jnp.clip(running["p"] + move, 0, 1), running["p"]),
        "sign": jnp.where(due, 0, sign),
        "seen": jnp.where(due, 0, count),
    }
