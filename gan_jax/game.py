"""Game: two networks, one loss, a penalty, an augmentation, two optimisers. `build` is the ONE place where names become
functions; nothing below it sees a Config or a name.

There is no registry. The public functions defined in `losses.py`, `penalties.py` and `augment.py` are their variants, the files
of `models/` the network families, and `path/file.py:function` or `package.module:function` reaches anything outside.
"""

import importlib
import pkgutil
import traceback
from collections.abc import Callable
from dataclasses import dataclass, fields
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gan_jax import augment, losses, models, penalties
from gan_jax.config import Config, load_file
from gan_jax.data import Data
from gan_jax.errors import InputError, unknown
from gan_jax.state import Player, apply, init_state
from gan_jax.types import Array, Augment, Loss, Penalty

# Config's fields that begin with g_ or d_ are the networks' own, but for these.
OPTIMISATION = {"g_lr", "g_lr_final", "d_lr", "d_lr_final", "d_steps"}

Schedule = Callable[[Array], Array]  # step -> value, traced


@dataclass(frozen=True)
class Game:
    """What is played, and by whom: functions and numbers, no arrays."""

    generator: nn.Module
    discriminator: nn.Module
    g_tx: optax.GradientTransformation
    d_tx: optax.GradientTransformation
    loss: Loss
    penalty: Penalty | None
    augment: Augment | None
    gamma: Schedule  # weight of the penalty
    augment_p: Schedule
    ema_decay: Schedule
    penalty_every: int
    d_steps: int
    z_dim: int
    sample_shape: tuple[int, ...]


def build(config: Config, data: Data) -> Game:
    """The game that `config` describes, on samples like those of `data`. Raises InputError for what does not fit together,
    having tried each function on abstract arrays, so that a mistake is found before anything is written."""
    generator, discriminator = find_networks(config, data)
    game = Game(
        generator=generator,
        discriminator=discriminator,
        g_tx=optax.adam(cosine(config.g_lr, config.g_lr_final, config.steps), config.b1, config.b2),
        # An optimiser counts its own updates: the discriminator's are d_steps times as many.
        d_tx=optax.adam(cosine(config.d_lr, config.d_lr_final, config.steps * config.d_steps), config.b1, config.b2),
        loss=find("loss", config.loss, losses),
        penalty=find("penalty", config.penalty, penalties) if config.penalty else None,
        augment=find("augment", config.augment, augment) if config.augment else None,
        gamma=cosine(config.gamma, config.gamma_final, config.steps),
        augment_p=cosine(config.augment_p, None, config.steps),
        # The first averages are short, or the random initial weights would linger for 1 / (1 - ema) steps.
        ema_decay=lambda step: jnp.minimum(config.ema, (1.0 + step) / (10.0 + step)),
        penalty_every=config.penalty_every,
        d_steps=config.d_steps,
        z_dim=config.z_dim,
        sample_shape=data.sample_shape,
    )
    _try(config, game)
    return game


def cosine(value: float, final: float | None, steps: int) -> Schedule:
    """From `value` at step 0 to `final` at `steps` along half a cosine; constant where `final` is None."""
    final = value if final is None else final

    def at(step: Array) -> Array:
        progress = jnp.clip(step / steps, 0.0, 1.0)
        return final + (value - final) * 0.5 * (1 + jnp.cos(jnp.pi * progress))

    return at


def public_functions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """The functions defined in (not imported into) a module, by name: its variants."""
    return {
        name: value
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__ and not name.startswith("_")
    }


def find(what: str, name: str, module: ModuleType) -> Callable[..., Any]:
    """The function `name` of `module`, or one outside as `path/file.py:function` or `package.module:function`."""
    known = public_functions(module)
    if name in known:
        return known[name]
    if ":" not in name:
        raise unknown(what, name, [*known, "path/file.py:function"])
    source, function = name.rsplit(":", 1)
    outside = _load(what, source)
    if not callable(getattr(outside, function, None)):
        raise unknown(f"{what} in {source}", function, public_functions(outside))
    return getattr(outside, function)


def find_networks(config: Config, data: Data) -> tuple[nn.Module, nn.Module]:
    """The Generator and Discriminator of a family, given those of Config's `g_` and `d_` fields that are theirs."""
    families = {m.name for m in pkgutil.iter_modules(models.__path__)} - {"layers", "conv"}
    if config.model in families:
        module = importlib.import_module(f"gan_jax.models.{config.model}")
    elif config.model.endswith(".py") or "." in config.model:
        module = _load("model", config.model)
    else:
        raise unknown("model", config.model, [*families, "path/file.py"])
    return tuple(_network(config, data, module, player) for player in ("generator", "discriminator"))


def _network(config: Config, data: Data, module: ModuleType, player: str) -> nn.Module:
    cls, prefix = player.capitalize(), f"{player[0]}_"
    network = getattr(module, cls, None)
    if not (isinstance(network, type) and issubclass(network, nn.Module)):
        raise InputError(f"model {config.model} must define a flax.linen module named {cls}")
    names, given = {field.name for field in fields(network)}, {"sample_shape", "num_classes"}
    if given - names:
        raise InputError(f"model {config.model}'s {cls} must have the fields {', '.join(sorted(given))}")
    own = {prefix + name for name in names - given - {"parent", "name"}}
    options = {}
    for field in fields(Config):
        value = getattr(config, field.name)
        if field.name.startswith(prefix) and field.name not in OPTIMISATION and value is not None:
            if field.name not in own:
                raise unknown(f"option of {config.model}'s {cls}", field.name, own)
            options[field.name.removeprefix(prefix)] = value
    return network(sample_shape=data.sample_shape, num_classes=data.num_classes, **options)


def _load(what: str, source: str) -> ModuleType:
    if source.endswith(".py"):
        return load_file(Path(source))
    try:
        return importlib.import_module(source)
    except ImportError as error:
        raise InputError(f"{what} module {source!r} cannot be imported: {error}") from error


def _try(config: Config, game: Game) -> None:
    """Traces each function on abstract arrays and checks what comes back. Raises InputError that names the function at fault,
    its file and line, the shapes that came in and what was expected."""
    logits = jax.ShapeDtypeStruct((config.batch,), jnp.float32)
    samples = jax.ShapeDtypeStruct((config.batch, *game.sample_shape), jnp.float32)
    z = jax.ShapeDtypeStruct((config.batch, game.z_dim), jnp.float32)
    label = jax.ShapeDtypeStruct((config.batch,), jnp.int32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    scalar = jax.ShapeDtypeStruct((), jnp.float32)

    def attempt(what: str, function: Callable[..., Any], arguments: tuple, expected: Any, words: str, given: Any = ()) -> None:
        shapes = ", ".join(str(x.shape) for x in arguments if not jnp.issubdtype(x.dtype, jax.dtypes.prng_key))
        try:
            got = jax.eval_shape(function, *given, *arguments)
        except Exception as error:
            message = str(error).strip().split("\n")[0]
            called = f"called with {shapes}, it must return {words}"
            where = _user_frame(error, config)
            raise InputError(f"{what} fails{where}: {type(error).__name__}: {message} ({called})") from error
        got, expected = (jax.tree.map(lambda x: x.shape, tree) for tree in (got, expected))
        if got != expected:
            raise InputError(f"{what} must return {words}; called with {shapes} it returned shapes {got}")

    def critic(x: Array) -> Array:
        return sum(leaf.reshape(leaf.shape[0], -1).sum(axis=1) for leaf in jax.tree.leaves(x))

    attempt(f"loss {config.loss}", game.loss, (logits, logits), (scalar, scalar), "two scalars (d_loss, g_loss)")
    if game.penalty is not None:

        def penalty(real: Array, fake: Array, key: Array) -> Array:
            return game.penalty(critic, real, fake, key)

        attempt(f"penalty {config.penalty}", penalty, (samples, samples, key), scalar, "a scalar")
    if game.augment is not None:
        attempt(f"augment {config.augment}", game.augment, (key, samples, scalar), samples, f"the shape {samples.shape}")
    try:
        state = jax.eval_shape(lambda key: init_state(game, key), key)
    except Exception as error:
        message = str(error).strip().split("\n")[0]
        raise InputError(f"model {config.model} fails{_user_frame(error, config)}: {message}") from error
    name = f"model {config.model}'s"

    def play(network: nn.Module, player: Player, x: Array, label: Array) -> Array:
        return apply(network, {"params": player.params, **player.stats}, x, label, train=True)[0]

    generate, judge = partial(play, game.generator), partial(play, game.discriminator)
    attempt(f"{name} Generator", generate, (z, label), samples, f"samples {samples.shape}", given=(state.g,))
    attempt(f"{name} Discriminator", judge, (samples, label), logits, f"logits ({config.batch},)", given=(state.d,))


def _user_frame(error: Exception, config: Config) -> str:
    """` at file:line` of the innermost frame that lies in one of the user's own files, or nothing."""
    names = (config.loss, config.penalty, config.augment, config.model)
    files = {str(Path(name.rsplit(":", 1)[0]).resolve()) for name in names if name and ".py" in name}
    frames = [f for f in traceback.extract_tb(error.__traceback__) if str(Path(f.filename).resolve()) in files]
    return f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
