"""Preflight: checks of a game before anything is written. Each function that the configuration names is traced on abstract
arrays, then the whole step; an error names the function, its file and line, the shapes it received and what was expected."""

import math
import site
import sysconfig
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from gan_jax.config import Config
from gan_jax.errors import InputError
from gan_jax.game.game import Game, play
from gan_jax.game.state import Player, apply, init_state
from gan_jax.spec.stop import needs_gap
from gan_jax.storage.memory import check_memory
from gan_jax.types import Array, Batch, LabelledLoss, RowMixing, map_shapes

PACKAGE = str(Path(__file__).parents[1])


def check_combination(config: Config, game: Game) -> None:
    """Raise InputError for parts that cannot be combined, whatever their functions compute."""
    if config.auxiliary and game.label is None:
        raise InputError(f"auxiliary {config.auxiliary} needs labels: {config.data} has none; code_classes makes a latent code")
    if isinstance(game.loss, LabelledLoss):
        outputs = game.loss.outputs(game.discriminator.num_classes)
        if (config.d_outputs or 1) != outputs:
            raise InputError(f"loss {config.loss} needs {outputs} logits per sample here: set d_outputs to {outputs}")
    if (config.duality_gap or needs_gap(config.stop_rules)) and (config.d_outputs or 1) > 1:
        raise InputError(f"a duality gap needs one logit per sample: set d_outputs to 1, not {config.d_outputs}")
    if isinstance(game.deceive, RowMixing) and _sees_labels(config, game):
        options = getattr(game.deceive.function, "keywords", {})
        if game.deceive.mixes(**options):
            raise InputError(
                f"deceive {config.deceive} moves samples to other rows, away from their labels, which D sees: "
                f"set its options to {game.deceive.remedy}"
            )
    if config.pack > 1 and (config.auxiliary or _condition(game.discriminator)):
        raise InputError(
            f"pack {config.pack}: samples that are judged together have no common label; leave off auxiliary and d_condition"
        )
    if (config.augment_target is not None or config.augment_p_final is not None) and not (config.augment or config.deceive):
        raise InputError("augment_target and augment_p_final have no effect without augment or deceive: set one of these")


def label_warning(config: Config, game: Game) -> str | None:
    """A warning about a game that can be played but is probably a mistake: only one player receives labels."""
    if game.label is None or not all(hasattr(network, "condition") for network in (game.generator, game.discriminator)):
        return None
    g, d = _condition(game.generator), _condition(game.discriminator)
    if (d or config.auxiliary) and not g:
        reader = f"d_condition {d}" if d else f"auxiliary {config.auxiliary}"
        return f"{reader} expects samples of a given label, but the generator receives no labels: set --g_condition"
    if g and not (d or config.auxiliary or isinstance(game.loss, LabelledLoss)):
        return f"g_condition {g} passes labels to the generator, but nothing compares them: set --d_condition, or --auxiliary"
    return None


def check_functions(config: Config, game: Game) -> None:
    """Trace each function separately. Raises InputError that names the first one that fails."""
    inputs = AbstractInputs.of(config, game)
    _check_axes(config, game, inputs)
    check_networks(config, game)


class AbstractInputs(NamedTuple):
    """What the functions of a game receive, as shapes and types."""

    key: Any
    scalar: Any
    z: Any
    label: Any  # of the generator; None if there is none
    d_label: Any  # of the discriminator
    samples: Any
    packs: Any
    logits: Any

    @classmethod
    def of(cls, config: Config, game: Game) -> "AbstractInputs":
        """The inputs of one discriminator step."""
        shape, packs = jax.ShapeDtypeStruct, config.batch // config.pack
        label = None if game.label is None else shape((config.batch, *game.label.shape), game.label.dtype)
        return cls(
            key=jax.eval_shape(lambda: jax.random.key(0)),
            scalar=shape((), jnp.float32),
            z=shape((config.batch, game.z_dim), jnp.float32),
            label=label,
            d_label=label if game.real_labelled and game.pack == 1 else None,
            samples=map_shapes(lambda s: shape((config.batch, *s), jnp.float32), game.sample_shape),
            packs=map_shapes(lambda s: shape((packs, *s), jnp.float32), game.packed_shape),
            logits=shape((packs,) if (config.d_outputs or 1) == 1 else (packs, config.d_outputs), jnp.float32),
        )


def _check_axes(config: Config, game: Game, inputs: AbstractInputs) -> None:
    """The loss, the augmentation and the deception."""
    shapes = jax.tree.map(jnp.shape, inputs.samples)
    label = inputs.d_label if isinstance(game.loss, LabelledLoss) else None
    losses = (inputs.scalar, inputs.scalar)
    _check(f"loss {config.loss}", game.loss, (inputs.logits, inputs.logits, label), losses, "two scalars (d_loss, g_loss)")
    if game.augment is not None:
        arguments = (inputs.key, inputs.samples, inputs.scalar)
        _check(f"augment {config.augment}", game.augment, arguments, inputs.samples, f"the shape {shapes}")
    if game.deceive is not None:
        pair = (inputs.samples, inputs.samples)
        _check(
            f"deceive {config.deceive}", game.deceive, (inputs.key, *pair, inputs.scalar), pair, f"two of the shape {shapes}"
        )


def check_networks(config: Config, game: Game) -> None:
    """Trace both networks, on parameters as they are initialised. Raises InputError if one fails."""
    inputs = AbstractInputs.of(config, game)
    try:
        state = jax.eval_shape(lambda key: init_state(game, key), inputs.key)
    except Exception as error:
        message = _first_line(error)
        if type(game.sample_shape) is not tuple:
            parts = getattr(game.sample_shape, "_fields", game.sample_shape)
            message += f"; samples have the parts {', '.join(parts)}: use ctgan for tables, molgan for molecules"
        raise InputError(f"model {config.model} fails{_user_frame(error)}: {message}") from error

    size = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(state))
    check_memory(f"the state of model {config.model}", size, "choose smaller networks")
    size = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves((inputs.z, inputs.samples)))
    check_memory(f"a batch of {config.batch:,} samples and latents", size, "set a smaller --batch or --z_dim")

    def forward(network: nn.Module, player: Player, x: Array, label: Array | None) -> Any:
        return apply(network, {"params": player.params, **player.stats}, x, label, train=True)[0]

    name, g, d = f"model {config.model}'s", partial(forward, game.generator), partial(forward, game.discriminator)
    shapes = jax.tree.map(jnp.shape, inputs.samples)
    _check(f"{name} Generator", g, (inputs.z, inputs.label), inputs.samples, f"samples {shapes}", state.g)
    output = jax.eval_shape(d, state.d, inputs.packs, inputs.d_label)
    returned, features = output if isinstance(output, tuple) and len(output) == 2 else (output, None)
    logits, rows = inputs.logits, inputs.logits.shape[0]
    words = f"logits {logits.shape}, or (logits, features [{rows}, F])"
    if getattr(game.discriminator, "patches", False):
        words = f"logits [{rows}, P], or (logits, features [{rows}, F])"
        logits = jax.ShapeDtypeStruct((rows, *returned.shape[1:2]), jnp.float32)
    expected = logits
    if features is not None:
        expected = (logits, jax.ShapeDtypeStruct((rows, *features.shape[-1:]), jnp.float32))
    _check(f"{name} Discriminator", d, (inputs.packs, inputs.d_label), expected, words, state.d)
    if features is None and game.auxiliary is not None:
        raise InputError(f"auxiliary {config.auxiliary} needs a Discriminator that returns (logits, features); {name} does not")


def _check(what: str, function: Callable[..., Any], arguments: tuple, expected: Any, words: str, *state: Any) -> None:
    """Trace `function(*state, *arguments)` and compare its shapes with those of `expected`, which `words` describe."""
    arrays = [x for x in jax.tree.leaves(arguments) if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key)]
    shapes = ", ".join(str(x.shape) for x in arrays)
    try:
        returned = jax.tree.map(jnp.shape, jax.eval_shape(function, *state, *arguments))
    except Exception as error:
        reason = f"{type(error).__name__}: {_first_line(error)} (called with {shapes}, it must return {words})"
        raise InputError(f"{what} fails{_user_frame(error)}: {reason}") from error
    if returned != jax.tree.map(jnp.shape, expected):
        raise InputError(f"{what} must return {words}; called with {shapes} it returned shapes {returned}")


def check_step(config: Config, game: Game) -> None:
    """Trace the whole step. Raises InputError with the message of the function that fails."""
    shape = jax.ShapeDtypeStruct
    rows = (game.batches, config.batch)
    real = map_shapes(lambda s: shape((*rows, *s), jnp.float32), game.sample_shape)
    labelled = game.real_labelled and game.label is not None
    batch = Batch(real, shape((*rows, *game.label.shape), game.label.dtype) if labelled else None)
    key = jax.eval_shape(lambda: jax.random.key(0))
    state = jax.eval_shape(lambda key: init_state(game, key), key)
    try:
        after, _ = jax.eval_shape(partial(play, game), state, batch, key)
    except Exception as error:
        kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
        raise InputError(f"this game cannot be played{_user_frame(error)}: {kind}{_first_line(error)}") from error
    before, after = (jax.tree.map(lambda x: (x.shape, x.dtype), tree) for tree in (state, after))
    if before != after:
        raise InputError("this game cannot be played: a step returns a state of other shapes or types than it received")


def _sees_labels(config: Config, game: Game) -> bool:
    """Whether the discriminator's objective depends on the labels of real samples."""
    conditional = _condition(game.discriminator) or config.auxiliary or isinstance(game.loss, LabelledLoss)
    return game.real_labelled and bool(conditional)


def _condition(network: nn.Module) -> str | None:
    """How a network receives labels, by its own default if the config leaves it open; None if it does not."""
    condition = getattr(network, "condition", "none")
    return None if condition == "none" else condition


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0]


def _user_frame(error: Exception) -> str:
    """` at file:line` of the innermost frame outside this package and the installed ones, or nothing."""
    libraries = (PACKAGE, *map(str, site.getsitepackages()), sysconfig.get_path("stdlib"))
    frames = [f for f in traceback.extract_tb(error.__traceback__) if not f.filename.startswith((*libraries, "<"))]
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
