"""Latents: ways through them, and w, what a mapping network makes of them.

A generator has a w where its call takes one, `generator(z, label, train, w=w)`, in place of those [B, layers, W] that z gives
and that it sows as "w"; their average is `variables["average"]["w"]`. z then decides no more than the noise.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from scipy.special import ndtr, ndtri

from gan_jax.types import Array


def spherical(start: Array, end: Array, share: Array) -> Array:
    """The point on the arc from `start` to `end` [..., Z], at `share` of its angle; lengths go over evenly.

    A straight line would pass through lengths that N(0, 1) hardly ever has. Source: White 2016, arXiv:1609.04468, section 2.1.
    """
    norms = jnp.linalg.norm(start, axis=-1, keepdims=True) * jnp.linalg.norm(end, axis=-1, keepdims=True)
    angle = jnp.arccos(jnp.clip((start * end).sum(axis=-1, keepdims=True) / norms, -0.9999, 0.9999))
    return (jnp.sin((1 - share) * angle) * start + jnp.sin(share * angle) * end) / jnp.sin(angle)


def loop(z: np.ndarray, frames: int) -> np.ndarray:
    """`frames` [frames, N, Z] equal steps along arcs through the K latents z [K, N, Z] and back to the first."""
    at = np.arange(frames) * len(z) / frames
    before = at.astype(int)
    return np.asarray(spherical(z[before], z[(before + 1) % len(z)], (at - before)[:, None, None]), np.float32)


def truncated(z: np.ndarray, bound: float) -> np.ndarray:
    """z ~ N(0, 1), of any shape, as the same share of N(0, 1) cut off at -bound and bound: less variety, better pictures.

    That is the distribution of z redrawn until it lies between them; here each z moves by itself and without jumps. Raises
    ValueError for a bound that is not above 0. Source: Brock et al. 2019, arXiv:1809.11096, section 3.1.
    """
    if not bound > 0:
        raise ValueError(f"the bound of a truncated normal must be above 0, got {bound}")
    below = ndtr(-bound)
    return np.clip(ndtri(below + ndtr(np.float64(z)) * (1 - 2 * below)), -bound, bound).astype(np.float32)


def project(
    distance: Callable[[Array], Array],
    start: Array,
    kept: Sequence[int],
    rate: float = 0.1,
    radius: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Goes downhill from the latents `start` [N, ...] in `distance`, latents [N, ...] -> [N], by Adam, whose steps get smaller
    over the last quarter -> (latents [K, N, ...], distances [K, N]) after each of the numbers of steps `kept`, in order.

    With a `radius` no latent is longer: where N(0, 1) has hardly any, G was never trained, and may show anything. Those that
    would be are pulled back before `distance` sees them, so that what is found is the best within.
    Source: Karras et al. 2020 (StyleGAN2), arXiv:1912.04958, appendix D, in w; they optimise its noise too, and add more to w.
    """
    steps = kept[-1]
    tx = optax.adam(
        optax.schedules.join_schedules(
            [lambda _: rate, optax.cosine_decay_schedule(rate, steps // 4 + 1)], [steps - steps // 4]
        )
    )

    def inside(free: Array) -> Array:
        if radius is None:
            return free
        return free * jnp.minimum(1, radius * jax.lax.rsqrt(jnp.square(free).sum(axis=-1, keepdims=True) + 1e-12))

    @jax.jit
    def step(free: Array, opt_state: Any) -> tuple[Array, Any, Array, Array]:
        def total(free: Array) -> tuple[Array, Array]:
            each = distance(inside(free))
            return each.sum(), each

        gradient, each = jax.grad(total, has_aux=True)(free)
        updates, opt_state = tx.update(gradient, opt_state)
        return optax.apply_updates(free, updates), opt_state, inside(free), each

    free, opt_state, path, distances = jnp.asarray(start), tx.init(jnp.asarray(start)), [], []
    for number in range(steps + 1):
        free, opt_state, latent, each = step(free, opt_state)
        if number in kept:
            path.append(latent)
            distances.append(each)
    return np.stack(path), np.stack(distances)
