"""Adversarial losses: `f(real_logits [B], fake_logits [B]) -> (d_loss, g_loss)`, float32 scalars that both players minimise.

Each public function here is a value of `--loss`. One function states both sides of the game, so that the game reads in a
few lines; the compiler deletes the side a step does not use.
"""

import jax
import jax.numpy as jnp

from gan_jax.types import Array


def minimax(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """The founding game, saturating: D maximises V = E log D(x) + E log(1 - D(G(z))) and G minimises it.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, eq. 1.
    """
    real_logits, fake_logits = _float32(real_logits, fake_logits)
    g_loss = -jax.nn.softplus(fake_logits).mean()  # log(1 - sigmoid(l)) = -softplus(l)
    return jax.nn.softplus(-real_logits).mean() - g_loss, g_loss


def non_saturating(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """D as in `minimax`; G maximises E log D(G(z)), whose gradient does not vanish where D rejects.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, section 3.
    """
    real_logits, fake_logits = _float32(real_logits, fake_logits)
    d_loss = jax.nn.softplus(-real_logits).mean() + jax.nn.softplus(fake_logits).mean()
    return d_loss, jax.nn.softplus(-fake_logits).mean()


def least_squares(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """LSGAN with the targets 0 (fake), 1 (real), 1 (what G wants): Pearson's chi-squared-like pull towards the boundary.

    Source: Mao et al. 2017, arXiv:1611.04076, eq. 9.
    """
    real_logits, fake_logits = _float32(real_logits, fake_logits)
    d_loss = 0.5 * jnp.square(real_logits - 1).mean() + 0.5 * jnp.square(fake_logits).mean()
    return d_loss, 0.5 * jnp.square(fake_logits - 1).mean()


def wasserstein(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """The critic estimates the Wasserstein-1 distance, provided a penalty keeps it Lipschitz.

    Source: Arjovsky et al. 2017, arXiv:1701.07875, eq. 2 and algorithm 1.
    """
    real_logits, fake_logits = _float32(real_logits, fake_logits)
    return fake_logits.mean() - real_logits.mean(), -fake_logits.mean()


def hinge(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """D stops pushing samples that are right by a margin of one; G raises the logits of its samples.

    Source: Lim and Ye 2017, arXiv:1705.02894; Miyato et al. 2018, arXiv:1802.05957, eqs. 16 and 17.
    """
    real_logits, fake_logits = _float32(real_logits, fake_logits)
    return jax.nn.relu(1 - real_logits).mean() + jax.nn.relu(1 + fake_logits).mean(), -fake_logits.mean()


def relativistic(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """Relativistic pairing: D wants each real sample above the fake one beside it, G the reverse. No sample can be
    ignored for being easy, so the landscape has no collapsed minima.

    Source: Jolicoeur-Martineau 2019, arXiv:1807.00734, section 4.1; Huang et al. 2024 (R3GAN), arXiv:2501.05441, eq. 2.
    """
    real_logits, fake_logits = _float32(real_logits, fake_logits)
    if real_logits.shape != fake_logits.shape:
        raise ValueError(
            f"relativistic pairs each real logit with a fake one: shapes {real_logits.shape} and {fake_logits.shape} differ"
        )
    gap = real_logits - fake_logits
    return jax.nn.softplus(-gap).mean(), jax.nn.softplus(gap).mean()


def _float32(real_logits: Array, fake_logits: Array) -> tuple[Array, Array]:
    """Both as float32 [B]: a loss computed in bfloat16 loses the gradient near its optimum."""
    real_logits, fake_logits = jnp.asarray(real_logits), jnp.asarray(fake_logits)
    if real_logits.ndim != 1 or fake_logits.ndim != 1:
        raise ValueError(f"logits must be [B], got real {real_logits.shape} and fake {fake_logits.shape}")
    return real_logits.astype(jnp.float32), fake_logits.astype(jnp.float32)
