"""A loss, a penalty, an augmentation and a metric of gan_jax in a training loop of your own, with flax.nnx and optax.

    python experiments/own_loop.py

They are plain functions: D is passed as a function of samples, with its parameters bound. The game is 8 Gaussians on a ring.
"""

from itertools import pairwise

import jax
import jax.numpy as jnp
import optax
from flax import nnx

from gan_jax.augment import noise
from gan_jax.losses import relativistic
from gan_jax.metrics.modes import modes
from gan_jax.penalties import r1_r2

STEPS, BATCH = 3_000, 256
ANGLES = jnp.linspace(0, 2 * jnp.pi, 8, endpoint=False)
CENTERS = jnp.stack([jnp.cos(ANGLES), jnp.sin(ANGLES)], axis=1)


def mlp(rngs, sizes):
    layers = [part for n, m in pairwise(sizes) for part in (nnx.Linear(n, m, rngs=rngs), nnx.relu)]
    return nnx.Sequential(*layers[:-1])


@nnx.jit
def train_step(g, d, g_optimizer, d_optimizer, key):
    mode_key, spread_key, z_key, augment_key, penalty_key = jax.random.split(key, 5)
    real = CENTERS[jax.random.randint(mode_key, (BATCH,), 0, 8)] + 0.02 * jax.random.normal(spread_key, (BATCH, 2))
    z = jax.random.normal(z_key, (BATCH, 2))

    def logits(d, x):
        return d(noise(augment_key, x, jnp.float32(0.1), sigma=0.02))[:, 0]

    def d_loss(d):
        fake = g(z)
        loss, _ = relativistic(logits(d, real), logits(d, fake))
        return loss + 0.01 * r1_r2(lambda x: logits(d, x), real, fake, penalty_key)

    def g_loss(g):
        return relativistic(logits(d, real), logits(d, g(z)))[1]

    d_optimizer.update(d, nnx.grad(d_loss)(d))
    g_optimizer.update(g, nnx.grad(g_loss)(g))


def main(steps: int = STEPS) -> dict[str, float]:
    rngs = nnx.Rngs(0)
    g, d = mlp(rngs, (2, 128, 128, 128, 2)), mlp(rngs, (2, 128, 128, 128, 1))
    adam = optax.adam(optax.cosine_decay_schedule(2e-3, steps), b1=0.0, b2=0.99)
    g_optimizer, d_optimizer = (nnx.Optimizer(network, adam, wrt=nnx.Param) for network in (g, d))
    for step in range(steps):
        train_step(g, d, g_optimizer, d_optimizer, jax.random.fold_in(jax.random.key(1), step))
    return modes(g(jax.random.normal(jax.random.key(2), (2_500, 2))), CENTERS, sigma=0.02)


if __name__ == "__main__":
    print(main())
