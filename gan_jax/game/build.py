"""Game: two networks, one loss, regularisers, an augmentation, two optimisers. `build` is the ONE place where names become
functions; nothing below it sees a Config or a name.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gan_jax import augment, auxiliary, deceive, g_penalties, losses, optimizers, penalties
from gan_jax.config import Config
from gan_jax.data.dataset import Data
from gan_jax.data.molecules import g_penalties as molecule_penalties
from gan_jax.errors import InputError
from gan_jax.game import update, update_rules
from gan_jax.game.adaptive_augmentation import adapt
from gan_jax.game.game import Game, Head, Schedule
from gan_jax.game.preflight import try_pieces, try_step
from gan_jax.game.resolve import find_augment, find_networks, find_optimizer, find_penalty
from gan_jax.spec.lookup import find
from gan_jax.spec.stop import needs_gap, parse_stop
from gan_jax.types import Array, Batch, LabelledLoss, Loss, RowMixing


def build(config: Config, data: Data) -> Game:
    """The game that `config` describes, on samples like those of `data`. Raises InputError for what does not fit together,
    having tried each function on abstract arrays, so that a mistake is found before anything is written."""
    code = (config.code_classes, config.code_dims)
    num_classes = sum(code) or data.num_classes
    generator, discriminator = find_networks(config, data.sample_shape, num_classes)
    game = Game(
        **numbers(config),
        update=find("update", config.update, update_rules) if config.update else update.update,
        generator=generator,
        discriminator=discriminator,
        auxiliary=Head(find("auxiliary", config.auxiliary, auxiliary), num_classes) if config.auxiliary else None,
        loss=_with_label(find("loss", config.loss, losses)),
        penalty=find_penalty("penalty", config.penalty, penalties) if config.penalty else None,
        g_penalty=find_penalty("g_penalty", config.g_penalty, g_penalties, molecule_penalties, data=data)
        if config.g_penalty
        else None,
        augment=find_augment(config.augment, augment) if config.augment else None,
        deceive=find("deceive", config.deceive, deceive) if config.deceive else None,
        fake_label=partial(draw_code, *code) if any(code) else lambda key, batch: batch.label,
        penalty_every=config.penalty_every,
        g_penalty_every=config.g_penalty_every,
        d_steps=config.d_steps,
        pack=config.pack,
        posthoc_ema=config.posthoc_ema,
        microbatches=config.microbatches,
        remat=config.remat,
        compute=config.compute,
        z_dim=config.z_dim,
        sample_shape=data.sample_shape,
        label=_label(code, data),
        real_labelled=not any(code) and data.train.labels is not None,
    )
    _refuse(config, game)
    try_pieces(config, game)
    try_step(config, game)
    return game


def doubt(config: Config, game: Game) -> str | None:
    """What can be played but is hardly meant: labels that only one player is told."""
    if game.label is None or not all(hasattr(network, "condition") for network in (game.generator, game.discriminator)):
        return None
    g, d = _condition(game.generator), _condition(game.discriminator)
    if (d or config.auxiliary) and not g:
        asks = f"d_condition {d}" if d else f"auxiliary {config.auxiliary}"
        return f"{asks} asks for samples of a label that the generator is not told: set --g_condition"
    if g and not (d or config.auxiliary or isinstance(game.loss, LabelledLoss)):
        return f"g_condition {g} tells the generator labels, but nothing looks at them: set --d_condition, or --auxiliary"
    return None


def numbers(config: Any) -> dict[str, Any]:
    """The parts of a Game that are made of the numbers in `sweep.FIELDS`; each of these may be traced."""
    steps = config.schedule_steps or config.steps
    # An optimiser counts its own updates: the discriminator's are d_steps times as many.
    d_count = steps * config.d_steps
    d_tx = _optimizer(config, "d", cosine(config.d_lr, config.d_lr_final, d_count), d_count)
    adapts = config.augment_target is not None
    return {
        "g_tx": _optimizer(config, "g", cosine(config.g_lr, config.g_lr_final, steps), steps),
        "d_tx": d_tx if config.d_clip is None else optax.chain(d_tx, optimizers.clip_weights(config.d_clip)),
        "adapt": partial(adapt, target=config.augment_target, kimg=config.augment_kimg) if adapts else None,
        "gamma": cosine(config.gamma, config.gamma_final, steps),
        "augment_p": cosine(config.augment_p, config.augment_p_final, steps),
        "ema_decay": _ema_decay(config, steps),
        "auxiliary_weight": config.auxiliary_weight,
        "g_gamma": config.g_gamma,
    }


def retuned(game: Game, config: Config, values: dict[str, Array]) -> Game:
    """`game`, which is that of `config`, with other values of some of the fields in `sweep.FIELDS`, which may be traced."""
    return replace(game, **numbers(SimpleNamespace(**asdict(config) | values))) if values else game


def cosine(value: float, final: float | None, steps: int) -> Schedule:
    """From `value` at step 0 to `final` at `steps` along half a cosine; constant where `final` is None."""
    final = value if final is None else final

    def at(step: Array) -> Array:
        progress = jnp.clip(step / steps, 0.0, 1.0)
        return final + (value - final) * 0.5 * (1 + jnp.cos(jnp.pi * progress))

    return at


def draw_code(classes: int, dims: int, key: Array, batch: Batch) -> Array:
    """Latent codes for a batch: classes [B] int32, or with numbers in [-1, 1] beside them [B, classes + dims], one-hot first.

    Source: Chen et al. 2016 (InfoGAN), arXiv:1606.03657, section 7.2."""
    class_key, number_key = jax.random.split(key)
    drawn = jax.random.randint(class_key, (batch.size,), 0, max(classes, 1))
    if not dims:
        return drawn
    numbers = jax.random.uniform(number_key, (batch.size, dims), minval=-1.0)
    return jnp.concatenate([jax.nn.one_hot(drawn, classes), numbers], axis=1)


def _label(code: tuple[int, int], data: Data) -> jax.ShapeDtypeStruct | None:
    if code[1]:
        return jax.ShapeDtypeStruct((sum(code),), jnp.float32)
    if code[0]:
        return jax.ShapeDtypeStruct((), jnp.int32)
    labels = data.train.labels
    return None if labels is None else jax.ShapeDtypeStruct(labels.shape[1:], labels.dtype)


def _with_label(loss: Loss | LabelledLoss) -> Callable[[Array, Array, Array | None], tuple[Array, Array]]:
    return loss if isinstance(loss, LabelledLoss) else lambda real_logits, fake_logits, _: loss(real_logits, fake_logits)


def _optimizer(config: Config, player: str, lr: Schedule, count: int) -> optax.GradientTransformation:
    b2 = config.b2 if config.b2_final is None else cosine(config.b2, config.b2_final, count)
    name = f"{player}_optimizer"
    return find_optimizer(name, getattr(config, name), lr, config.b1, b2)


def _ema_decay(config: Config, steps: int) -> Schedule:
    if config.ema_half_life is None:
        # The first averages are short, or the random initial weights would linger for 1 / (1 - ema) steps.
        return lambda step: jnp.minimum(config.ema, (1.0 + step) / (10.0 + step))
    half_life = cosine(config.ema_half_life, config.ema_half_life_final, steps)

    def decay(step: Array) -> Array:
        samples = half_life(step)
        if config.ema_ramp is not None:
            samples = jnp.minimum(samples, config.ema_ramp * config.batch * step)
        return 0.5 ** (config.batch / jnp.maximum(samples, 1e-8))

    return decay


def _refuse(config: Config, game: Game) -> None:
    """What cannot be played whatever the functions are."""
    if config.auxiliary and game.label is None:
        raise InputError(f"auxiliary {config.auxiliary} needs labels: {config.data} has none; code_classes makes a latent code")
    if isinstance(game.loss, LabelledLoss):
        outputs = game.loss.outputs(game.discriminator.num_classes)
        if (config.d_outputs or 1) != outputs:
            raise InputError(f"loss {config.loss} needs {outputs} logits a sample here: set d_outputs to {outputs}")
    gap = config.duality_gap or (config.stop and needs_gap(parse_stop(config.stop)))
    if gap and (config.d_outputs or 1) > 1:
        raise InputError(f"a duality gap needs one logit a sample: set d_outputs to 1, not {config.d_outputs}")
    if isinstance(game.deceive, RowMixing) and _sees_labels(config, game):
        options = getattr(game.deceive.function, "keywords", {})
        if game.deceive.mixes(**options):
            remedy = f"give it the options {game.deceive.remedy}"
            raise InputError(f"deceive {config.deceive}: D sees labels, and samples would change rows without them: {remedy}")
    if config.pack > 1 and (config.auxiliary or _condition(game.discriminator)):
        raise InputError(f"pack {config.pack}: samples judged at once have no label in common; no auxiliary, no d_condition")
    if (config.augment_target is not None or config.augment_p_final is not None) and not (config.augment or config.deceive):
        raise InputError("augment_target and augment_p_final are for an augment or a deceive: there is none")


def _sees_labels(config: Config, game: Game) -> bool:
    """Whether anything tells D's samples of one label from those of another."""
    conditional = _condition(game.discriminator) or config.auxiliary or isinstance(game.loss, LabelledLoss)
    return game.real_labelled and bool(conditional)


def _condition(network: nn.Module) -> str | None:
    """How a network is told labels, by its own default where the config is silent; None where it is not."""
    condition = getattr(network, "condition", "none")
    return None if condition == "none" else condition
