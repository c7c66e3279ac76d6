"""From the names in a configuration to functions: `--loss hinge`, `--penalty "r1 + 0.3 * lecam"`, `--augment
path/mine.py:blur`.

There is no registry. The public functions defined in a module are its variants, the files of `models/` the network families,
and `path/file.py:function` or `package.module:function` reaches anything outside. Options go in brackets: `mmd(kernel="x")`.
"""

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import fields, replace
from functools import partial
from types import ModuleType
from typing import Any, get_args, get_origin

import flax.linen as nn
import jax
import jax.numpy as jnp
import optax

from gan_jax import models, optimizers
from gan_jax.config import Config
from gan_jax.data.dataset import Data
from gan_jax.errors import InputError, unknown
from gan_jax.models.nnx_bridge import as_linen, is_nnx, option_names
from gan_jax.spec.elsewhere import unknown_name
from gan_jax.spec.expressions import bind, parse_call, parse_sum
from gan_jax.spec.lookup import find_function, load_module, public_functions, variants
from gan_jax.types import Array, DataPenalty, Memory, Shape, StatefulPenalty, packed_shape

COMMON_FIELDS = {"sample_shape", "num_classes"}  # of every network, set by `build`


def find_penalty(what: str, text: str, *modules: ModuleType, data: Data | None = None) -> StatefulPenalty:
    """The weighted sum of penalties that `text` names, which keeps the memories of all of them.

    The value of each is checked as it is computed: ValueError for one that is not a scalar."""
    terms = []
    for weight, name, options in parse_sum(text):
        function = bind(what, name, find_function(what, name, variants(*modules)), options)
        if isinstance(function, DataPenalty):
            function = partial(function, data=data)
        terms.append((weight, name, function, function.memory if isinstance(function, StatefulPenalty) else {}))

    def penalty(subject: Any, *arguments: Any) -> tuple[Array, Memory]:
        *arguments, key = arguments
        keys = [key] if len(terms) == 1 else jax.random.split(key, len(terms))
        total, memory = 0.0, {}
        for i, (weight, name, function, initial) in enumerate(terms):
            # A penalty that only calls its critic accepts any function of samples.
            critic = replace(subject, memory={k: subject.memory[f"{i}.{k}"] for k in initial}) if initial else subject
            value = function(critic, *arguments, keys[i])
            value, new = value if initial else (value, {})
            if jnp.shape(value) != ():
                shapes = ", ".join(str(jnp.shape(x)) for x in jax.tree.leaves(arguments))
                raise ValueError(
                    f"{what} {name} must return a scalar; called with {shapes} it returned {jax.tree.map(jnp.shape, value)}"
                )
            total = total + weight * value
            memory |= {f"{i}.{k}": new[k] for k in initial}
        return total, memory

    return StatefulPenalty(
        penalty, {f"{i}.{k}": value for i, (*_, initial) in enumerate(terms) for k, value in initial.items()}
    )


def find_augment(text: str, module: ModuleType) -> Callable[[Array, Array, Array], Array]:
    """The augmentations in the sum `text`, applied one after another."""
    steps = []
    for weight, name, options in parse_sum(text):
        if weight != 1:
            raise InputError(f"augment {text!r}: an augmentation has no weight, its strength is augment_p")
        steps.append(bind("augment", name, find_function("augment", name, public_functions(module)), options))
    if len(steps) == 1:
        return steps[0]

    def augment(key: Array, x: Array, p: Array) -> Array:
        for step_key, step in zip(jax.random.split(key, len(steps)), steps, strict=True):
            x = step(step_key, x, p)
        return x

    return augment


def find_optimizer(what: str, text: str, lr: Callable, b1: float, b2: float | Callable) -> optax.GradientTransformation:
    """The optimiser that `NAME` or `NAME(key=value, ...)` names, from `optimizers.py` or optax, with the learning rate `lr`,
    and with `b1` and `b2` if it has them. `b2` may be a schedule (a function of the update count)."""

    def is_optimizer(function: Any) -> bool:
        return inspect.isfunction(function) and "learning_rate" in inspect.signature(function).parameters

    name, options = parse_call(text)
    known = {name: f for name, f in vars(optax).items() if not name.startswith("_")} | public_functions(optimizers)
    factory = find_function(what, name, {name: f for name, f in known.items() if is_optimizer(f)})
    parameters = set(inspect.signature(factory).parameters) - {"learning_rate"}
    for option in options:
        if option not in parameters:
            raise unknown(f"option of {what} {name}", option, parameters)
    arguments = {"learning_rate": lr} | {k: v for k, v in (("b1", b1), ("b2", b2)) if k in parameters} | options
    try:
        # Only for a scheduled decay: an injected number is traced, and rounds differently from a constant.
        if callable(arguments.get("b2")):
            factory = optax.inject_hyperparams(factory, static_args=parameters - {"b2"})
        return factory(**arguments)
    except (TypeError, ValueError) as error:
        raise InputError(f"{what} {text}: {error}") from error


def find_networks(config: Config, shape: Shape, num_classes: int) -> tuple[nn.Module, nn.Module]:
    """The Generator and Discriminator of a family for samples of `shape`, with the network options of `config` and those of
    `NAME(key=value)`, which may belong to either. D receives packs of samples."""
    name, options = parse_call(config.model)
    module = load_module("model", name) if name.endswith(".py") or "." in name else _family(name)
    classes = [_class(config.model, module, player) for player in ("Generator", "Discriminator")]
    for option in options:
        allowed = {name for cls in classes for name in _option_names(cls)} - COMMON_FIELDS
        if option not in allowed:
            raise unknown(f"option of model {name}", option, allowed)
    shapes = (shape, packed_shape(shape, config.pack))
    return tuple(_network(config, cls, options, s, num_classes) for cls, s in zip(classes, shapes, strict=True))


def families() -> list[str]:
    """The network families: the files of `models/` that define a Generator."""
    names = sorted(module.name for module in pkgutil.iter_modules(models.__path__))
    return [name for name in names if hasattr(importlib.import_module(f"gan_jax.models.{name}"), "Generator")]


def _family(name: str) -> ModuleType:
    if name in {module.name for module in pkgutil.iter_modules(models.__path__)}:
        module = importlib.import_module(f"gan_jax.models.{name}")
        if hasattr(module, "Generator"):
            return module
    raise unknown_name("model", name, [*families(), "path/file.py"])


def _class(model: str, module: ModuleType, name: str) -> type:
    """A network's class, of flax.linen or of flax.nnx."""
    network = getattr(module, name, None)
    if not (isinstance(network, type) and (issubclass(network, nn.Module) or is_nnx(network))):
        raise InputError(f"model {model} must define a flax.linen or flax.nnx module named {name}")
    if missing := COMMON_FIELDS - _option_names(network):
        kind = "parameters of __init__" if is_nnx(network) else "fields"
        raise InputError(f"model {model}'s {name} must have the {kind} {', '.join(sorted(missing))}")
    return network


def _option_names(cls: type) -> set[str]:
    return option_names(cls) if is_nnx(cls) else {field.name for field in fields(cls)} - {"parent", "name"}


def _network(config: Config, cls: type, options: dict[str, Any], shape: Shape, num_classes: int) -> nn.Module:
    prefix = f"{cls.__name__[0].lower()}_"
    names = _option_names(cls)
    allowed = {prefix + name for name in names - COMMON_FIELDS}
    options = {name: value for name, value in options.items() if name in names}
    for name in Config.with_property("network"):
        value = getattr(config, name)
        if name.startswith(prefix) and value is not None:
            if name not in allowed:
                raise unknown(f"option of {config.model}'s {cls.__name__}", name, allowed)
            options[name.removeprefix(prefix)] = value
    if is_nnx(cls):
        return as_linen(cls, options | {"sample_shape": shape, "num_classes": num_classes})
    for field in fields(cls):  # users set a field that holds a function by the function's name
        if isinstance(options.get(field.name), str) and _holds_function(field.type):
            options[field.name] = find_function(f"{field.name} of model {config.model}", options[field.name], {})
    return cls(sample_shape=shape, num_classes=num_classes, **options)


def _holds_function(annotation: Any) -> bool:
    return any(get_origin(kind) is Callable for kind in (annotation, *get_args(annotation)))
