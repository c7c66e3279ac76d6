"""Paths through the latents z, their truncation, directions among them, and the search for the latent of a given sample."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax.types import Array


def slerp(start: Array, end: Array, fraction: Array) -> Array:
    """Spherical interpolation: the point on the arc from `start` to `end` [..., Z] at `fraction` of its angle. The length
    changes gradually from that of `start` to that of `end`.

    A straight line would pass through lengths that are improbable under N(0, 1). Source: White 2016, arXiv:1609.04468,
    section 2.1.
    """
    norms = jnp.linalg.norm(start, axis=-1, keepdims=True) * jnp.linalg.norm(end, axis=-1, keepdims=True)
    angle = jnp.arccos(jnp.clip((start * end).sum(axis=-1, keepdims=True) / norms, -0.9999, 0.9999))
    return (jnp.sin((1 - fraction) * angle) * start + jnp.sin(fraction * angle) * end) / jnp.sin(angle)


def loop(z: np.ndarray, frames: int) -> np.ndarray:
    """Return latents [frames, N, Z] in equal steps along arcs through the K latents z [K, N, Z] and back to the first."""
    position = np.arange(frames) * len(z) / frames
    index = position.astype(int)
    return np.asarray(slerp(z[index], z[(index + 1) % len(z)], (position - index)[:, None, None]), np.float32)


def truncate(z: np.ndarray, bound: float) -> np.ndarray:
    """Map z ~ N(0, 1), of any shape, to N(0, 1) truncated to [-bound, bound], quantile by quantile: less variety, better
    samples.

    The result has the distribution of z redrawn until it lies within the bounds, but depends continuously on z and on the
    bound. Raises ValueError unless the bound is above 0. Source: Brock et al. 2019, arXiv:1809.11096, section 3.1.
    """
    from scipy.special import ndtr, ndtri  # here, because every command imports this module

    if not bound > 0:
        raise ValueError(f"the bound of a truncated normal must be above 0, got {bound}")
    below = ndtr(-bound)
    return np.clip(ndtri(below + ndtr(np.float64(z)) * (1 - 2 * below)), -bound, bound).astype(np.float32)


def principal_directions(weights: np.ndarray) -> np.ndarray:
    """Return the unit directions [Z, Z] of a latent, one per row, in which the outputs of the linear map `weights` [Z, F]
    change most, in descending order: the eigenvectors of A A^T, where A has the columns of `weights`, each divided by its
    length. Each direction's largest number is positive.

    Source: Shen and Zhou 2021 (SeFa), arXiv:2007.06600, eqs. 4 to 6; the division follows their code.
    """
    columns = np.asarray(weights, np.float64)
    columns = columns / np.maximum(np.linalg.norm(columns, axis=0, keepdims=True), 1e-12)
    directions = np.linalg.eigh(columns @ columns.T)[1].T[::-1]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    return (directions * np.sign(largest)).astype(np.float32)


def project(
    distance: Callable[[Array], Array],
    start: Array,
    kept: Sequence[int],
    rate: float = 0.1,
    radius: float | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Minimise `distance`, latents [N, ...] -> [N], from the latents `start` [N, ...], by Adam with a learning rate that decays
    over the last quarter of the steps. Return (latents [K, N, ...], distances [K, N]) after each number of steps in `kept`, in
    ascending order.

    With a `radius`, latents are scaled back to that length before `distance` receives them, so that the result is the best
    within the ball: G was never trained on lengths that are improbable under N(0, 1), and may produce anything there.
    Source: Karras et al. 2020 (StyleGAN2), arXiv:1912.04958, appendix D, in w; they also optimise the noise inputs and add
    noise to w.
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
            distances = distance(inside(free))
            return distances.sum(), distances

        gradient, distances = jax.grad(total, has_aux=True)(free)
        updates, opt_state = tx.update(gradient, opt_state)
        return optax.apply_updates(free, updates), opt_state, inside(free), distances

    free, opt_state = jnp.asarray(start), tx.init(jnp.asarray(start))
    kept_latents, kept_distances = [], []
    for number in range(steps + 1):
        free, opt_state, latent, distances = step(free, opt_state)
        if number in kept:
            kept_latents.append(latent)
            kept_distances.append(distances)
    return np.stack(kept_latents), np.stack(kept_distances)


def langevin_dynamics(log_density: Callable[[Array], Array], z: Array, keys: Array, steps: int, step_size: float) -> Array:
    """Move each latent of z [N, Z] by `steps` steps of Langevin dynamics, z + step_size / 2 grad log p(z) + sqrt(step_size) n
    with n ~ N(0, 1). For small steps, its distribution approaches p. `log_density` maps latents to log p [N], up to a constant;
    `keys` [N] are one random key for each latent.

    Source: Welling and Teh 2011, section 3 (Langevin dynamics).
    """

    def move(number: Array, z: Array) -> Array:
        noise = jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, number), z.shape[1:], z.dtype))(keys)
        gradient = jax.grad(lambda z: log_density(z).sum())(z)
        return z + step_size / 2 * gradient + step_size**0.5 * noise

    return jax.lax.fori_loop(0, steps, move, z)
