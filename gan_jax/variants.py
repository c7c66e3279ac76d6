"""Variants: how `--loss hinge`, `--penalty "r1 + 0.3 * lecam"` and `--augment path/mine.py:blur` become functions.

There is no registry. The public functions defined in a module are its variants, the files of `models/` the network families,
and `path/file.py:function` or `package.module:function` reaches anything outside. Options go in brackets: `mmd(kernel="x")`.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import flax.linen as nn
import jax
import numpy as np
import optax

from gan_jax import models, optimizers
from gan_jax.config import Config, load_file
from gan_jax.data import Data
from gan_jax.errors import InputError, unknown
from gan_jax.metrics import extractors
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.specification import bind, parse_call, parse_sum
from gan_jax.types import Array, Shape, map_shapes

# Config's fields that begin with g_ or d_ are the networks' own, but for these.
PLAY = {"g_lr", "g_lr_final", "g_optimizer", "g_penalty", "g_gamma", "g_penalty_every"}
PLAY |= {"d_lr", "d_lr_final", "d_optimizer", "d_steps", "d_clip"}
GIVEN = {"sample_shape", "num_classes"}  # to every network
NOT_FAMILIES = {"attention", "conditioning", "conv", "fir", "layers"}


def public_functions(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """The functions defined in (not imported into) a module, by name: its variants."""
    return {
        name: value
        for name, value in vars(module).items()
        if callable(value)
        and not inspect.isclass(value)
        and getattr(value, "__module__", None) == module.__name__
        and not name.startswith("_")
    }


def find(what: str, text: str, module: ModuleType) -> Callable[..., Any]:
    """The function that `NAME` or `NAME(key=value, ...)` says: one of `module`, or one outside as `path/file.py:function` or
    `package.module:function`. Raises InputError for what is not there."""
    name, options = parse_call(text)
    return bind(what, name, _named(what, name, public_functions(module)), options)


def find_penalty(
    what: str, text: str, module: ModuleType, data: Data | None = None
) -> Callable[..., tuple[Array, dict[str, Array]]]:
    """The weighted sum of regularisers that `text` says, as one that returns (scalar, new memory) always, and whose attribute
    `memory` holds what all of them remember. One with a parameter `data` is given the game's."""
    terms = []
    for weight, name, options in parse_sum(text):
        function = _named(what, name, public_functions(module))
        memory = getattr(function, "memory", {})
        if "data" in inspect.signature(function).parameters:
            function = partial(function, data=data)
        terms.append((weight, bind(what, name, function, options), memory))

    def penalty(subject: Any, *arguments: Any) -> tuple[Array, dict[str, Array]]:
        *arguments, key = arguments
        total, memory = 0.0, {}
        for i, (weight, function, initial) in enumerate(terms):
            # What only calls its critic takes any function of samples.
            own = replace(subject, memory={name: subject.memory[f"{i}.{name}"] for name in initial}) if initial else subject
            value = function(own, *arguments, key if len(terms) == 1 else jax.random.fold_in(key, i))
            value, new = value if initial else (value, {})
            total = total + weight * value
            memory |= {f"{i}.{name}": new[name] for name in initial}
        return total, memory

    penalty.memory = {f"{i}.{name}": value for i, (_, _, initial) in enumerate(terms) for name, value in initial.items()}
    return penalty


def find_extractor(text: str, data: Data) -> Extractor:
    """The extractor that `text` names; a function of one's own is any `f(samples [N, ...]) -> features [N, D]`. What it depends
    on cannot be known, so its features are never cached."""
    found = find("extractor", text, extractors)
    name, _ = parse_call(text)
    if name in public_functions(extractors):
        return found(data)

    def features(samples: np.ndarray) -> tuple[np.ndarray, None]:
        return np.asarray(found(samples), np.float32), None

    return Extractor(features, text, "", "its own")


def find_augment(text: str, module: ModuleType) -> Callable[[Array, Array, Array], Array]:
    """The augmentations that `text` sums up, one after the other."""
    steps = []
    for weight, name, options in parse_sum(text):
        if weight != 1:
            raise InputError(f"augment {text!r}: an augmentation has no weight, its strength is augment_p")
        steps.append(bind("augment", name, _named("augment", name, public_functions(module)), options))
    if len(steps) == 1:
        return steps[0]

    def augment(key: Array, x: Array, p: Array) -> Array:
        for i, step in enumerate(steps):
            x = step(jax.random.fold_in(key, i), x, p)
        return x

    return augment


def find_optimizer(what: str, text: str, lr: Callable, b1: float, b2: float | Callable) -> optax.GradientTransformation:
    """The optimiser that `NAME` or `NAME(key=value, ...)` says, of `optimizers.py` or of optax, at the learning rate `lr`.
    `b1` and `b2` are for those that have such; a scheduled `b2` (a function of the update) too."""

    def has_rate(function: Any) -> bool:
        return inspect.isfunction(function) and "learning_rate" in inspect.signature(function).parameters

    name, options = parse_call(text)
    known = {name: f for name, f in vars(optax).items() if not name.startswith("_")} | public_functions(optimizers)
    factory = _named(what, name, {name: f for name, f in known.items() if has_rate(f)})
    parameters = set(inspect.signature(factory).parameters) - {"learning_rate"}
    for option in options:
        if option not in parameters:
            raise unknown(f"option of {what} {name}", option, parameters)
    given = {"learning_rate": lr} | {k: v for k, v in (("b1", b1), ("b2", b2)) if k in parameters} | options
    try:
        # Only where a moment's decay is scheduled: an injected number is traced, and rounds differently from a constant.
        if callable(given.get("b2")):
            factory = optax.inject_hyperparams(factory, static_args=parameters - {"b2"})
        return factory(**given)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} {text}: {error}") from error


def find_networks(config: Config, shape: Shape, num_classes: int) -> tuple[nn.Module, nn.Module]:
    """The Generator and Discriminator of a family for samples of `shape`, given those of Config's `g_` and `d_` fields that are
    theirs, and the options of `NAME(key=value)` that either has. D sees packs of samples."""
    name, options = parse_call(config.model)
    families = {m.name for m in pkgutil.iter_modules(models.__path__)} - NOT_FAMILIES
    if name in families:
        module = importlib.import_module(f"gan_jax.models.{name}")
    elif name.endswith(".py") or "." in name:
        module = _load("model", name)
    else:
        raise unknown("model", name, [*families, "path/file.py"])
    classes = [_class(config.model, module, player) for player in ("Generator", "Discriminator")]
    for option in options:
        known = {field.name for cls in classes for field in fields(cls)} - GIVEN - {"parent", "name"}
        if option not in known:
            raise unknown(f"option of model {name}", option, known)
    shapes = (shape, packed_shape(shape, config.pack))
    return tuple(_network(config, cls, options, of, num_classes) for cls, of in zip(classes, shapes, strict=True))


def packed_shape(shape: Shape, count: int) -> Shape:
    """Of `count` samples side by side in the last axis."""
    return map_shapes(lambda s: (*s[:-1], s[-1] * count) if count > 1 else s, shape)


def _class(model: str, module: ModuleType, name: str) -> type[nn.Module]:
    network = getattr(module, name, None)
    if not (isinstance(network, type) and issubclass(network, nn.Module)):
        raise InputError(f"model {model} must define a flax.linen module named {name}")
    if missing := GIVEN - {field.name for field in fields(network)}:
        raise InputError(f"model {model}'s {name} must have the fields {', '.join(sorted(missing))}")
    return network


def _network(config: Config, cls: type[nn.Module], options: dict[str, Any], shape: Shape, num_classes: int) -> nn.Module:
    prefix = f"{cls.__name__[0].lower()}_"
    names = {field.name for field in fields(cls)}
    own = {prefix + name for name in names - GIVEN - {"parent", "name"}}
    options = {name: value for name, value in options.items() if name in names}
    for field in fields(Config):
        value = getattr(config, field.name)
        if field.name.startswith(prefix) and field.name not in PLAY and value is not None:
            if field.name not in own:
                raise unknown(f"option of {config.model}'s {cls.__name__}", field.name, own)
            options[field.name.removeprefix(prefix)] = value
    return cls(sample_shape=shape, num_classes=num_classes, **options)


def _named(what: str, name: str, known: dict[str, Callable[..., Any]]) -> Callable[..., Any]:
    if name in known:
        return known[name]
    if ":" not in name:
        raise unknown(what, name, [*known, "path/file.py:function"])
    source, function = name.rsplit(":", 1)
    outside = _load(what, source)
    if not callable(getattr(outside, function, None)):
        raise unknown(f"{what} in {source}", function, public_functions(outside))
    return getattr(outside, function)


def _load(what: str, source: str) -> ModuleType:
    if source.endswith(".py"):
        return load_file(Path(source))
    try:
        return importlib.import_module(source)
    except ImportError as error:
        raise InputError(f"{what} module {source!r} cannot be imported: {error}") from error
