"""Duality gap: how far two players are from an equilibrium, measured by what the best answers to each of them gain.

`duality_gap` knows nothing of networks: any two pytrees and a value that one lowers and the other raises. `game_duality_gap`
plays it for a Game, on samples that training never sees.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax import losses
from gan_jax.data import Data, feed
from gan_jax.errors import InputError
from gan_jax.state import TrainState, init_state
from gan_jax.types import Array
from gan_jax.update import generate, pack, view

if TYPE_CHECKING:
    from gan_jax.game import Game

Value = Callable[[Any, Any, Any], Array]  # (g, d, batch) -> scalar
Settle = Callable[[Any, Any, Any], tuple[Any, Any]]  # (g, d, batch) -> (g, d)
Known = Callable[[Any, Any], Array]  # (d, batch) -> scalar


def duality_gap(
    value: Value,
    g: Any,
    d: Any,
    train: Any,
    test: Any,
    g_tx: optax.GradientTransformation,
    d_tx: optax.GradientTransformation,
    checks: int = 5,
    known: Known | None = None,
    settle: Settle = lambda g, d, batch: (g, d),
) -> dict[str, Array]:
    """What each player could gain if the other stood still, where g minimises V(g, d) and d maximises it:

        d_exploitability = max_d' V(g, d') - V(g, d)      g_exploitability = V(g, d) - min_g' V(g', d)
        duality_gap = max_d' V(g, d') - min_g' V(g', d), their sum: 0 at an equilibrium and nowhere else

    Players are pytrees of floats; V is the mean of `value(g, d, batch)` over batches. Each worst case is trained from where
    its player stands, by `g_tx` or `d_tx`, a step a batch of `train` (leaves [K, ...]), and valued `checks` times on the way,
    evenly, on all batches of `test` (leaves [S, ...]). The best of these answers counts, the start among them: any opponent
    bounds the true gain from below, so that the best one bounds it better than the last, which may have overshot or learned
    `train` by heart. It is picked on one half of the test batches and read off on the other, and the reverse, so that
    picking does not flatter. The figures are therefore lower bounds up to the noise of `test`, a little below 0 at times;
    with a single test batch, which suits a V without noise, they are never negative.

    `known(d, batch)` is the value of an answer to d that needs no training. It counts like those that training found: where
    g's gradient has vanished, training finds none. `settle` brings what changes in the players beside by gradient (running
    statistics) up to date after a step.

    Pure: compile it with `jax.jit`. On CPUs stock convolutions are slow in its loops, those of `models/conv.py` are not.
    Raises ValueError unless 1 <= checks <= K.

    Source: Grnarova et al. 2019, arXiv:1811.05512. That the best of several checks counts, picked on other samples than it is
    read off, is ours, and so is `known`.
    """
    steps = jax.tree.leaves(train)[0].shape[0]
    if not 1 <= checks <= steps:
        raise ValueError(f"duality_gap needs at least one check and a training batch for each: got {checks} and {steps}")
    d_losses = _answer(lambda d, x: -value(g, d, x), d, train, test, d_tx, checks, lambda d, x: settle(g, d, x)[1])
    g_losses = _answer(lambda g, x: value(g, d, x), g, train, test, g_tx, checks, lambda g, x: settle(g, d, x)[0])
    if known is not None:
        g_losses = jnp.concatenate([g_losses, jax.lax.map(lambda x: known(d, x), test)[None]])
    d_gain, g_gain = _gain(d_losses), _gain(g_losses)
    return {"duality_gap": d_gain + g_gain, "d_exploitability": d_gain, "g_exploitability": g_gain}


def minimax_value(real_logits: Array, fake_logits: Array) -> Array:
    """E log D(x) + E log(1 - D(G(z))), float32 scalar: -log 4 where D cannot tell real from fake, 0 where nothing deceives it.

    Source: Goodfellow et al. 2014, arXiv:1406.2661, eq. 1."""
    d_loss, _ = losses.minimax(real_logits, fake_logits)
    return -d_loss


def game_duality_gap(
    game: "Game",
    data: Data,
    key: Array,
    *,
    batch: int = 128,
    steps: int = 200,
    lr: float = 1e-3,
    samples: int = 2_500,
    average: bool = False,
    value: Callable[[Array, Array], Array] = minimax_value,
) -> Callable[[TrainState], dict[str, float]]:
    """The function from a state of `game` to its `duality_gap`, compiled at its first call.

    V is the classical value whatever loss the game is trained by, so that figures compare between losses; without penalties,
    augmentation, deception or auxiliary losses. `value(real_logits, fake_logits)` makes it another. D's logits count up to a
    constant, and the one that is best for V is taken: many losses leave it free (relativistic, Wasserstein; hinge within
    bounds), and as a probability D would be charged for what it was never taught.

    The data themselves count among the worst-case generators: D's real logits, taken for fake ones too. Where D has won and G
    receives no gradient any more, training finds no better G, and a dead game would pass for an equilibrium. So the gap is
    that of a generator that could be anything. It is 0 only where G is the data and D tells nothing from anything.

    The first half of the held-out samples (at most `samples`) trains the worst cases, the second half values them; incomplete
    batches are left out. Latents, rows and their order hang on `key` alone: what changes from one evaluation to the next is
    the players. The optimiser is a fresh Adam of rate `lr` for both, not the game's own, whose rate may have decayed to 0.
    A gap is a number of its `steps`, `lr` and networks: compare those of equal ones only. V has no lower bound where D's
    logits grow without end, and there a worst-case generator may find hundreds; a g_exploitability above 1 is just "far off".

    The pair is the one that plays, the generator as it is trained: D answers that one, and an equilibrium is a property of
    both. `average` puts the averaged generator, the one that is evaluated, in its place. Both networks run as in training.
    Raises InputError where D gives several logits a sample, or too few samples are held out.

    Source: Grnarova et al. 2019, arXiv:1811.05512, whose value, eq. 1, is half of this one. The constant and the data as a
    generator are ours.
    """
    half = min(data.test.count // 2, samples)
    batch = min(batch, half) // game.pack * game.pack
    if batch < 1:
        raise InputError(f"duality_gap needs {2 * game.pack} held-out samples: {data.name} has {data.test.count}")
    train, test = _feeds(key, half, batch, steps)
    store = jax.device_put(jax.tree.map(lambda x: x[: 2 * half], data.test))
    measure = partial(_measure, game, data, train, test, optax.adam(lr), average, value)
    # Traced on abstract arrays, so that what does not fit is found before anything is played.
    jax.eval_shape(measure, jax.eval_shape(lambda: init_state(game, jax.random.key(0))), store)
    compiled = jax.jit(measure)
    return lambda state: {name: float(x) for name, x in jax.device_get(compiled(state, store)).items()}


def _feeds(key: Array, half: int, batch: int, steps: int) -> list[tuple[np.ndarray, Array]]:
    """What the two halves are dealt out by: (row numbers [K, B], a key a batch [K]), shuffled epochs of the first for `steps`
    batches, and the second half once."""
    feed_at, count = feed(0, half, batch), half // batch
    rows = (np.stack([feed_at(t) for t in range(steps)]), half + np.arange(count * batch).reshape(count, batch))
    keys = (jax.random.split(k, len(r)) for r, k in zip(rows, jax.random.split(key), strict=True))
    return list(zip(rows, keys, strict=True))


def _measure(game: "Game", data: Data, train, test, tx, average: bool, value: Callable, state: TrainState, store):
    """`duality_gap` of a state on the samples in `store`, dealt out by `train` and `test`. Traced."""
    g, d = (state.g.params, state.g.stats), (state.d.params, state.d.stats)
    if average:
        g = state.ema["params"], {name: x for name, x in state.ema.items() if name != "params"}
    play = partial(_play, game, data, store)
    epoch = jax.tree.map(lambda x: x[: len(test[0])], train)
    centre = _centre(value, *jax.lax.map(lambda feed: play(g, d, feed)[0], epoch))

    def centred(g: Any, d: Any, feed: Any) -> Array:
        return value(*(logits + centre for logits in play(g, d, feed)[0]))

    def data_as_g(d: Any, feed: Any) -> Array:
        real_logits, _ = play(g, d, feed)[0]
        return value(real_logits + centre, real_logits + centre)

    def settle(g: Any, d: Any, feed: Any) -> tuple[Any, Any]:
        return play(g, d, feed)[1]

    return duality_gap(centred, g, d, train, test, tx, tx, known=data_as_g, settle=settle)


def _play(game: "Game", data: Data, store: Any, g: Any, d: Any, feed: Any) -> tuple[tuple[Array, Array], tuple[Any, Any]]:
    """Players (params, stats) on real samples of the row numbers in `feed` and as many fakes of its key -> (real and fake
    logits, the players with their statistics moved on)."""
    rows, key = feed
    real = data.decode(store, rows)
    z_key, label_key = jax.random.split(key)
    # Statistics are nobody's to train: spectral norm depends on the vectors that it keeps.
    (g_params, g_stats), (d_params, d_stats) = ((params, jax.lax.stop_gradient(stats)) for params, stats in (g, d))
    z = jax.random.normal(z_key, (real.size, game.z_dim))
    fake, g_stats = generate(game, g_params, g_stats, z, game.fake_label(label_key, real))
    see = view(replace(game, augment=None), None, real, None)
    judged_real, d_stats = see(d_params, d_stats, pack(real.real, game.pack))
    judged_fake, d_stats = see(d_params, d_stats, pack(fake, game.pack))
    if judged_real.logits.ndim != 1:
        raise InputError(f"duality_gap needs one logit a sample, D gives {judged_real.logits.shape}: set d_outputs to 1")
    return (judged_real.logits, judged_fake.logits), ((g_params, g_stats), (d_params, d_stats))


def _centre(value: Callable[[Array, Array], Array], real_logits: Array, fake_logits: Array) -> Array:
    """The constant c that makes value(real_logits + c, fake_logits + c) largest, by bisection: V is concave in c, and has its
    maximum where some of the shifted logits are above 0 and some below. A V that does not depend on c takes any."""
    real_logits, fake_logits = (logits.ravel().astype(jnp.float32) for logits in (real_logits, fake_logits))
    slope = jax.grad(lambda c: value(real_logits + c, fake_logits + c))
    both = jnp.concatenate([real_logits, fake_logits])

    def halve(i: int, bounds: tuple[Array, Array]) -> tuple[Array, Array]:
        low, high = bounds
        middle = (low + high) / 2
        rises = slope(middle) > 0
        return jnp.where(rises, middle, low), jnp.where(rises, high, middle)

    low, high = jax.lax.fori_loop(0, 30, halve, (-both.max(), -both.min()))
    return (low + high) / 2


def _answer(loss: Callable, player: Any, train: Any, test: Any, tx, checks: int, settle: Callable) -> Array:
    """The losses [checks + 1, S] on each test batch of `player` as it is, and as it learns to lower them."""
    train = jax.tree.map(jnp.asarray, train)
    stops = np.arange(checks + 1) * jax.tree.leaves(train)[0].shape[0] // checks

    def step(t: Array, learner: tuple[Any, Any]) -> tuple[Any, Any]:
        player, opt_state = learner
        batch = jax.tree.map(lambda x: x[t], train)
        updates, opt_state = tx.update(jax.grad(loss)(player, batch), opt_state, player)
        return settle(optax.apply_updates(player, updates), batch), opt_state

    def stretch(learner: tuple[Any, Any], bounds: tuple[Array, Array]) -> tuple[tuple[Any, Any], Array]:
        learner = jax.lax.fori_loop(*bounds, step, learner)
        return learner, jax.lax.map(lambda batch: loss(learner[0], batch), test)

    # The first stretch is empty.
    return jax.lax.scan(stretch, (player, tx.init(player)), (np.append(0, stops[:-1]), stops))[1]


def _gain(history: Array) -> Array:
    """How far below their first row the losses `history` [answers, S] come in their best row: picked by the mean of one half
    of the columns, read off on the other half. Where there is one column it does both."""
    gains = history[0] - history

    def best(columns: Array) -> Array:
        mean = columns.mean(axis=1)
        return jnp.argmax(jnp.where(jnp.isfinite(mean), mean, -jnp.inf))  # a worst case that diverged is none

    if gains.shape[1] == 1:
        return gains[best(gains), 0]
    even, odd = gains[:, 0::2], gains[:, 1::2]
    return (even[best(odd)].sum() + odd[best(even)].sum()) / gains.shape[1]
