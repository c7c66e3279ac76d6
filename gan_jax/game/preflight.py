"""Trial: each function that the configuration names is traced on abstract arrays, then the whole step, so that a mistake is
found before anything is written, and named: the function, its file and line, the shapes that came in, what was expected."""

import site
import sysconfig
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.config import Config
from gan_jax.errors import InputError
from gan_jax.game.game import Game
from gan_jax.game.state import Player, apply, init_state
from gan_jax.types import Array, Batch, LabelledLoss, map_shapes

PACKAGE = str(Path(__file__).parents[1])


def try_pieces(config: Config, game: Game) -> None:
    """Each function by itself. Raises InputError that names the first at fault."""
    shape = jax.ShapeDtypeStruct
    judged = config.batch // config.pack
    samples = map_shapes(lambda s: shape((config.batch, *s), jnp.float32), game.sample_shape)
    packs = map_shapes(lambda s: shape((judged, *s), jnp.float32), game.packed_shape)
    of = jax.tree.map(jnp.shape, samples)
    logits = shape((judged,) if (config.d_outputs or 1) == 1 else (judged, config.d_outputs), jnp.float32)
    z = shape((config.batch, game.z_dim), jnp.float32)
    label = None if game.label is None else shape((config.batch, *game.label.shape), game.label.dtype)
    seen_label = label if game.real_labelled and game.pack == 1 else None
    key = jax.eval_shape(lambda: jax.random.key(0))
    scalar = shape((), jnp.float32)

    def check(what: str, function: Callable[..., Any], arguments: tuple, expected: Any, words: str, given: Any = ()) -> None:
        arrays = [x for x in jax.tree.leaves(arguments) if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)]
        shapes = ", ".join(str(x.shape) for x in arrays)
        try:
            got = jax.eval_shape(function, *given, *arguments)
        except Exception as error:
            message = str(error).strip().split("\n")[0]
            called = f"called with {shapes}, it must return {words}"
            where = _user_frame(error)
            raise InputError(f"{what} fails{where}: {type(error).__name__}: {message} ({called})") from error
        if jax.tree.map(jnp.shape, got) != jax.tree.map(jnp.shape, expected):
            got = jax.tree.map(jnp.shape, got)
            raise InputError(f"{what} must return {words}; called with {shapes} it returned shapes {got}")

    read_label = seen_label if isinstance(game.loss, LabelledLoss) else None
    check(f"loss {config.loss}", game.loss, (logits, logits, read_label), (scalar, scalar), "two scalars (d_loss, g_loss)")
    if game.augment is not None:
        check(f"augment {config.augment}", game.augment, (key, samples, scalar), samples, f"the shape {of}")
    if game.deceive is not None:
        pair = (samples, samples)
        check(f"deceive {config.deceive}", game.deceive, (key, *pair, scalar), pair, f"two of the shape {of}")
    try:
        state = jax.eval_shape(lambda key: init_state(game, key), key)
    except Exception as error:
        message = str(error).strip().split("\n")[0]
        if type(game.sample_shape) is not tuple:
            parts = getattr(game.sample_shape, "_fields", game.sample_shape)
            message += f"; samples have the parts {', '.join(parts)}: ctgan is for such of tables, molgan for molecules"
        raise InputError(f"model {config.model} fails{_user_frame(error)}: {message}") from error

    def play(network: nn.Module, player: Player, x: Array, label: Array | None) -> Any:
        return apply(network, {"params": player.params, **player.stats}, x, label, train=True)[0]

    name, (g, d) = f"model {config.model}'s", (partial(play, game.generator), partial(play, game.discriminator))
    check(f"{name} Generator", g, (z, label), samples, f"samples {of}", given=(state.g,))
    output = jax.eval_shape(d, state.d, packs, seen_label)
    features = output[1] if isinstance(output, tuple) and len(output) == 2 else None
    judge = logits if features is None else (logits, jax.ShapeDtypeStruct((judged, *features.shape[-1:]), jnp.float32))
    words = f"logits {logits.shape}, or (logits, features [{judged}, F])"
    check(f"{name} Discriminator", d, (packs, seen_label), judge, words, given=(state.d,))
    if features is None and game.auxiliary is not None:
        raise InputError(f"auxiliary {config.auxiliary} needs a Discriminator that returns (logits, features); {name} does not")


def try_step(config: Config, game: Game) -> None:
    """The whole step. Raises InputError with the words of whoever refuses."""
    shape = jax.ShapeDtypeStruct
    rows = (game.d_steps, config.batch)
    real = map_shapes(lambda s: shape((*rows, *s), jnp.float32), game.sample_shape)
    labelled = game.real_labelled and game.label is not None
    batch = Batch(real, shape((*rows, *game.label.shape), game.label.dtype) if labelled else None)
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(lambda key: init_state(game, key), key)
    try:
        after, _ = jax.eval_shape(lambda *arguments: game.update(game, *arguments), state, batch, key)
    except Exception as error:
        message = str(error).strip().split("\n")[0]
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise InputError(f"this game cannot be played{_user_frame(error)}: {kind}{message}") from error
    before, after = (jax.tree.map(lambda x: (x.shape, x.dtype), tree) for tree in (state, after))
    if before != after:
        raise InputError("this game cannot be played: a step returns a state of other shapes than it was given")


def _user_frame(error: Exception) -> str:
    """` at file:line` of the innermost frame outside this package and the installed ones, or nothing."""
    libraries = (PACKAGE, *map(str, site.getsitepackages()), sysconfig.get_path("stdlib"))
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((*libraries, "<"))]
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
