"""Game: two networks, one loss, penalties, an augmentation and two optimisers, as a record of functions and numbers."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import flax.linen as nn
import jax
import optax

from gan_jax.types import Array, Augment, Batch, Deceive, Memory, Shape, StatefulPenalty, packed_shape

Schedule = Callable[[Array], Array]  # step -> value, traced


class Head(nn.Module):
    """The layers of an auxiliary loss, applied to the discriminator's features."""

    loss: Callable[..., tuple[Array, Array]]
    num_classes: int

    @nn.compact
    def __call__(self, real_features: Array, fake_features: Array, label: Array) -> tuple[Array, Array]:
        return self.loss(real_features, fake_features, label, self.num_classes)


@dataclass(frozen=True, eq=False)
class Game:
    """A game: functions and numbers, no arrays. Games are compared by identity, so that a function traced for one game is not
    reused for another."""

    generator: nn.Module
    discriminator: nn.Module
    g_tx: optax.GradientTransformation
    d_tx: optax.GradientTransformation
    update: Callable[..., Any]  # (game, state, batch, key) -> (state, metrics)
    loss: Callable[[Array, Array, Array | None], tuple[Array, Array]]  # (real_logits, fake_logits, label) -> (d_loss, g_loss)
    gamma: Schedule  # weight of the penalty
    augment_p: Schedule  # probability of augmentation and deception, unless `adapt` sets it
    ema_decay: Schedule
    z_dim: int
    sample_shape: Shape
    auxiliary: Head | None = None
    auxiliary_weight: float = 1.0
    penalty: StatefulPenalty | None = None
    penalty_every: int = 1
    g_penalty: StatefulPenalty | None = None
    g_gamma: float = 1.0
    g_penalty_every: int = 1
    augment: Augment | None = None
    augment_shared: bool = False  # whether real and fake sample i are augmented by the same random draws
    joint: bool = False  # whether D's objective passes real and fake samples through D in one batch
    deceive: Deceive | None = None
    adapt: Callable[[Memory, Array], Memory] | None = None  # (running scalars, real_logits) -> new scalars, with "p"
    d_steps: int = 1
    fast_in_loops: bool = False  # whether a step is as fast inside a compiled loop as outside
    fresh_real: bool = False  # whether G's step receives real samples of its own
    pack: int = 1  # samples that D judges together
    posthoc_ema: bool = False
    microbatches: int = 1
    remat: bool = False  # whether gradients recompute norms and activations instead of storing them
    compute: str = "float32"  # type in which networks compute in training
    mean: Callable[[Any], Any] = lambda gradients: gradients  # mean over replicas
    label: jax.ShapeDtypeStruct | None = None  # of one sample, if G is conditioned on labels or codes
    real_labelled: bool = False  # whether D receives the labels of real samples
    # (key, synthesis, critic, [B, Z]) -> z. Only rules that optimise latents use the two functions.
    latent: Callable[..., Array] = lambda key, synthesis, critic, shape: jax.random.normal(key, shape)
    # (key, batch) -> the labels of this step's fake samples: those of the real ones, or a latent code. BigGAN, StudioGAN and
    # StyleGAN2 draw them independently of the real batch; for an unpaired loss the gradient has the same mean.
    fake_label: Callable[[Array, Batch], Array | None] = lambda key, batch: batch.label

    def draw_latents(self, key: Array, count: int) -> Array:
        """Latents [count, Z] from their distribution."""
        return self.latent(key, None, None, (count, self.z_dim))

    @property
    def batches(self) -> int:
        """Batches of real samples that a step uses: one for each discriminator step, and another for G if `fresh_real`."""
        return self.d_steps + self.fresh_real

    @property
    def packed_shape(self) -> Shape:
        """Shape of the samples, or packs of samples, that D receives."""
        return packed_shape(self.sample_shape, self.pack)

    @property
    def outputs(self) -> int:
        """D's `d_outputs`. If it is 1, logits [B, P] are those of the P patches of each sample."""
        return getattr(self.discriminator, "outputs", 1)


@partial(jax.jit, static_argnums=0, inline=True)
def play(game: Game, state: Any, batch: Batch, key: Array) -> tuple[Any, dict[str, Array]]:
    """`game.update`, traced once and shared by the preflight, the choice of the dispatch and the compiled step."""
    return game.update(game, state, batch, key)
