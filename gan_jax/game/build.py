"""From a Config and Data to a Game. This is the ONE place where names become functions; nothing below it sees a Config or a
name.
"""

from collections.abc import Callable
from dataclasses import asdict, replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import optax

from gan_jax import augment, auxiliary, deceive, g_penalties, latents, losses, optimizers, penalties
from gan_jax.config import Config
from gan_jax.data.dataset import Data
from gan_jax.data.description import DataDescription
from gan_jax.data.molecules import g_penalties as molecule_penalties
from gan_jax.game import update, update_rules
from gan_jax.game.adaptive_augmentation import adapt
from gan_jax.game.game import Game, Head, Schedule
from gan_jax.game.preflight import check_combination, check_functions, check_step
from gan_jax.game.resolve import find_augment, find_networks, find_optimizer, find_penalty
from gan_jax.spec.lookup import find
from gan_jax.types import Array, Batch, ComparativeLoss, LabelledLoss, Loss


def build(config: Config, data: Data) -> Game:
    """Build the game that `config` describes, for samples like those of `data`.

    Raises InputError for parts that do not fit together: each function is first traced on abstract arrays (`preflight.py`), so
    that a mistake is found before anything is written."""
    game = assemble(config, data)
    check_combination(config, game)
    check_functions(config, game)
    check_step(config, game)
    return game


def assemble(config: Config, data: Data | DataDescription) -> Game:
    """Build the game without any check. A game assembled from a description of data can be sampled; it can be played unless a
    penalty needs the data. Raises InputError for an unknown name."""
    code = (config.code_classes, config.code_dims)
    num_classes = sum(code) or data.num_classes
    generator, discriminator = find_networks(config, data.sample_shape, num_classes)
    penalty = g_penalty = None
    if config.penalty:
        penalty = find_penalty("penalty", config.penalty, penalties)
    if config.g_penalty:
        g_penalty = find_penalty("g_penalty", config.g_penalty, g_penalties, molecule_penalties, data=data)
    loss = find("loss", config.loss, losses)
    return Game(
        **tunable_parts(config),
        update=find("update", config.update, update_rules) if config.update else update.update,
        generator=generator,
        discriminator=discriminator,
        auxiliary=Head(find("auxiliary", config.auxiliary, auxiliary), num_classes) if config.auxiliary else None,
        loss=_with_label(loss),
        fresh_real=isinstance(loss, ComparativeLoss),
        penalty=penalty,
        g_penalty=g_penalty,
        augment=find_augment(config.augment, augment) if config.augment else None,
        augment_shared=config.augment_shared,
        # Real and fake samples are augmented by separate random draws.
        joint=getattr(discriminator, "joint", False) and not config.augment,
        deceive=find("deceive", config.deceive, deceive) if config.deceive else None,
        latent=_latent(find("latent", config.latent, latents)),
        fake_label=partial(draw_code, *code) if any(code) else lambda key, batch: batch.label,
        penalty_every=config.penalty_every,
        g_penalty_every=config.g_penalty_every,
        d_steps=config.d_steps,
        fast_in_loops=_fast_in_loops(generator, discriminator),
        pack=config.pack,
        posthoc_ema=config.posthoc_ema,
        microbatches=config.microbatches,
        remat=config.remat,
        compute=config.compute,
        z_dim=config.z_dim,
        sample_shape=data.sample_shape,
        label=_label(code, data),
        real_labelled=not any(code) and data.label is not None,
    )


def tunable_parts(config: Any) -> dict[str, Any]:
    """The parts of a Game that depend on the tunable fields of `config`, each of which may be traced (see `sweep.py`)."""
    steps, curve = config.schedule_steps or config.steps, {"cosine": cosine, "linear": linear}[config.schedule]
    # An optimiser counts its own updates, and the discriminator makes d_steps times as many.
    d_count = steps * config.d_steps
    d_tx = _optimizer(config, "d", curve(config.d_lr, config.d_lr_final, d_count), d_count, curve)
    adapts = config.augment_target is not None
    return {
        "g_tx": _optimizer(config, "g", curve(config.g_lr, config.g_lr_final, steps), steps, curve),
        "d_tx": d_tx if config.d_clip is None else optax.chain(d_tx, optimizers.clip_weights(config.d_clip)),
        "adapt": partial(adapt, target=config.augment_target, kimg=config.augment_kimg) if adapts else None,
        "gamma": curve(config.gamma, config.gamma_final, steps),
        "augment_p": curve(config.augment_p, config.augment_p_final, steps),
        "ema_decay": _ema_decay(config, steps, curve),
        "auxiliary_weight": config.auxiliary_weight,
        "g_gamma": config.g_gamma,
    }


def with_tuned_values(game: Game, config: Config, values: dict[str, Array]) -> Game:
    """The game of `config` with other values, possibly traced, of some of its tunable fields."""
    return replace(game, **tunable_parts(SimpleNamespace(**asdict(config) | values))) if values else game


def cosine(value: float, final: float | None, steps: int) -> Schedule:
    """From `value` at step 0 to `final` at `steps` along half a cosine; constant if `final` is None."""
    final = value if final is None else final

    def schedule(step: Array) -> Array:
        progress = jnp.clip(step / steps, 0.0, 1.0)
        return final + (value - final) * 0.5 * (1 + jnp.cos(jnp.pi * progress))

    return schedule


def linear(value: float, final: float | None, steps: int) -> Schedule:
    """From `value` at step 0 to `final` at `steps` along a line; constant if `final` is None."""
    final = value if final is None else final
    return lambda step: value + (final - value) * jnp.clip(step / steps, 0.0, 1.0)


def draw_code(classes: int, dims: int, key: Array, batch: Batch) -> Array:
    """Latent codes for a batch: classes [B] int32; with numbers in [-1, 1], [B, classes + dims] with one-hot classes first.

    Source: Chen et al. 2016 (InfoGAN), arXiv:1606.03657, section 7.2."""
    class_key, number_key = jax.random.split(key)
    drawn_class = jax.random.randint(class_key, (batch.size,), 0, max(classes, 1))
    if not dims:
        return drawn_class
    numbers = jax.random.uniform(number_key, (batch.size, dims), minval=-1.0)
    return jnp.concatenate([jax.nn.one_hot(drawn_class, classes), numbers], axis=1)


def _fast_in_loops(*networks: Any) -> bool:
    """Whether compiled loops are as fast as unrolled ones. A CPU computes gradients of stock convolutions slowly inside loops
    (see `models/conv.py`), and networks from outside this package may contain such convolutions."""
    ours = all(type(network).__module__.startswith("gan_jax.models.") for network in networks)
    return ours or jax.default_backend() != "cpu"


def _label(code: tuple[int, int], data: Data | DataDescription) -> jax.ShapeDtypeStruct | None:
    if code[1]:
        return jax.ShapeDtypeStruct((sum(code),), jnp.float32)
    if code[0]:
        return jax.ShapeDtypeStruct((), jnp.int32)
    return data.label


def _with_label(loss: Loss | LabelledLoss) -> Callable[[Array, Array, Array | None], tuple[Array, Array]]:
    return loss if isinstance(loss, LabelledLoss) else lambda real_logits, fake_logits, _: loss(real_logits, fake_logits)


def _optimizer(
    config: Config, player: str, lr: Schedule, count: int, curve: Callable[..., Schedule]
) -> optax.GradientTransformation:
    b2 = config.b2 if config.b2_final is None else curve(config.b2, config.b2_final, count)
    name = f"{player}_optimizer"
    return find_optimizer(name, getattr(config, name), lr, config.b1, b2)


def _as_float(step: Array) -> Array:
    return jax.lax.convert_element_type(step, float)


def _latent(draw: Callable[[Array, tuple[int, int]], Array]) -> Callable[..., Array]:
    return lambda key, synthesis, critic, shape: draw(key, shape)


def _ema_decay(config: Config, steps: int, curve: Callable[..., Schedule]) -> Schedule:
    if config.ema_half_life is None and config.ema_start is None:
        # The first averages are short: otherwise the random initial weights would persist for 1 / (1 - ema) steps.
        return lambda step: jnp.minimum(config.ema, (1.0 + _as_float(step)) / (10.0 + _as_float(step)))

    def decay(step: Array) -> Array:
        if config.ema_half_life is None:
            return config.ema
        samples = curve(config.ema_half_life, config.ema_half_life_final, steps)(step)
        if config.ema_ramp is not None:
            samples = jnp.minimum(samples, config.ema_ramp * config.batch * _as_float(step))
        return 0.5 ** (config.batch / jnp.maximum(samples, 1e-8))

    # A decay of 0 copies the generator.
    return decay if config.ema_start is None else lambda step: jnp.where(step < config.ema_start, 0.0, decay(step))
