"""Pages for generators that write one symbol after another, values of `--update`; they need what `models/relgan.py` has: a
method `log_likelihood`, and a field `softness`.

    python experiments/train.py RECIPE --update gan_jax.sequences:maximum_likelihood --run_dir MLE
    python experiments/train.py RECIPE --update 'gan_jax.sequences:annealed(steps=2000)' --fork_from MLE
"""

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.state import TrainState
from gan_jax.types import Array, Batch, Sample
from gan_jax.update import Metrics, Outcome, descend, finish, gradient, norms, update

if TYPE_CHECKING:
    from gan_jax.game import Game


def maximum_likelihood(game: "Game", state: TrainState, batch: Batch, key: Array) -> tuple[TrainState, Metrics]:
    """No game: G alone moves, towards the greatest likelihood of the real samples, each symbol given those before it. What is
    logged as `g/loss` is the mean of -log p of a symbol in nats, ends counted too. Of several batches it takes the last.

    Raises ValueError for a generator that knows no likelihood. It is what adversarial training of words begins with, and what
    it must be compared with; the loss, D and its settings are there for the fork. It computes in float32.
    """

    def objective(game: "Game", state: TrainState, batch: Batch, params: Any) -> tuple[Array, Outcome]:
        log_p, symbols = log_likelihood(game.generator, {"params": params, **state.g.stats}, batch.real)
        loss = -log_p.sum() / symbols.sum()
        return loss, Outcome(state.g.stats, state.g.memory, state.running, {"g/loss": loss})

    gradients, outcome = gradient("g", objective, game, state, jax.tree.map(lambda x: x[-1], batch))
    g = descend(game.g_tx, state.g, gradients, outcome)
    return finish(game, state.replace(g=g)), outcome.metrics | norms("g", g, gradients)


def annealed(
    game: "Game", state: TrainState, batch: Batch, key: Array, *, steps: int = 1_000, softness: float = 0.01
) -> tuple[TrainState, Metrics]:
    """The steps of `update`, with samples that harden: the generator's `softness` goes from 1 to this, exponentially in the
    first `steps`. Source: Nie et al. 2019 (RelGAN), section 2.3; its inverse temperature is 1 / softness.

    Raises ValueError for a generator that has none.
    """
    if not hasattr(game.generator, "softness"):
        raise ValueError(f"annealed needs a generator with a softness, as relgan's: {type(game.generator).__name__} has none")
    if not 0 < softness <= 1 or steps < 1:
        raise ValueError(f"annealed needs steps of at least 1 and a softness above 0 and at most 1: {steps}, {softness}")
    now = softness ** jnp.minimum(state.step / steps, 1.0)
    generator = game.generator.clone(softness=now)
    state, metrics = update(replace(game, generator=generator), state, batch, key)
    return state, metrics | {"g/softness": now}


def log_likelihood(generator: nn.Module, variables: Any, x: Sample) -> tuple[Array, Array]:
    """Samples [B, T, V] -> (log p [B] in nats, symbols [B]) under a generator. Raises ValueError for one that cannot tell."""
    if not hasattr(generator, "log_likelihood"):
        raise ValueError("a likelihood needs a generator that writes symbol after symbol, as relgan's: this one has none")
    return generator.apply(variables, x, method="log_likelihood")
