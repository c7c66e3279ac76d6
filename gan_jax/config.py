"""Config: everything that determines a run's numbers, in one flat frozen dataclass; how it is read and written.

Imports neither JAX nor any data library, so that `--help` and a mistyped flag answer immediately.
"""

import json
import re
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from gan_jax.errors import InputError, reading, unknown
from gan_jax.spec.expressions import calls_in_sum, listed_names, names_between_commas, single_call
from gan_jax.spec.fields import (
    COUNT,
    DECAY,
    LARGEST,
    NOT_NEGATIVE,
    POSITIVE,
    PROBABILITY,
    SIZE,
    Bounds,
    bounded,
    check_type,
    names,
    network,
    optional,
)
from gan_jax.spec.lookup import load_file
from gan_jax.spec.recipes import find_recipe
from gan_jax.spec.stop import Rule, parse_stop

# Names in the config.json of runs of earlier versions -> their current names.
RENAMED = {
    "gan_jax.sequences:": "",
    "gan_jax.vocoder:feature_matching": "layer_feature_matching",
    "gan_jax.vocoder:mel_l1": "mel_l1",
    "gan_jax.vocoder:": "vocoder_",
    "gan_jax.reward:desired": "molecular_property",
}


@dataclass(frozen=True)
class Config:
    """One experiment. Runs with equal Configs on equal machines are equal bit for bit."""

    name: str = bounded(
        "",
        Bounds(
            "at most 100 letters, digits, '.', '_' and '-'", lambda value: re.fullmatch(r"[\w.-]{0,100}", value) is not None
        ),
    )
    """name of the run; the recipe's file name unless set"""
    seed: int = bounded(0, Bounds("a whole number from 0 to 2^32 - 1", lambda value: 0 <= value < 2**32))
    """seed of the weights, the noise and the order of the data"""

    data: str = "digits"
    """images: digits, stacked:NAME, mirrored:NAME, tfds:NAME, PATH.npz, PATH/ or PATH.zip, folder(path=...); toys: ring, grid,
    spiral, two_moons; text(path=...), audio(path=...), molecules(path=...), table(path=...), which generate small data sets
    without a path; blank(...) for pretrained generators"""
    batch: int = bounded(128, Bounds("a whole number of at least 1 and at most 2^24", lambda value: 1 <= value <= 2**24))
    """real samples in a discriminator step, and fake samples in every step"""
    stream: Literal["auto", "always", "never"] = "auto"
    """whether tfds:NAME and folders are read during training; auto streams data that would take a quarter of the memory"""

    model: str = names("mlp", single_call)
    """network family: a file of gan_jax/models, or path/file.py, that defines Generator and Discriminator"""
    z_dim: int = bounded(64, COUNT)
    """size of the latent vector z"""
    latent: str = names("normal", single_call)
    """distribution of z: a function of gan_jax/latents.py or your own; ctgan, molgan, relgan, stylegan2's mixing and
    mode_seeking assume normal"""
    code_classes: int = bounded(
        0, Bounds("0, or at least 2: one class carries no information", lambda value: value in range(LARGEST) and value != 1)
    )
    """classes of a latent code that replaces labels (InfoGAN); 0 for none"""
    code_dims: int = bounded(0, Bounds("a whole number of at least 0 and below 2^31", lambda value: 0 <= value <= LARGEST))
    """uniform numbers of the latent code, after its classes"""
    g_width: int | None = bounded(None, SIZE, network=True)
    """width of the generator; this and the following fields are options of the networks, null for the network's default"""
    g_depth: int | None = bounded(None, SIZE, network=True)
    """depth of the generator"""
    g_norm: str | None = network()
    """none, batch, layer or instance"""
    g_condition: str | None = network()
    """how the generator receives labels: none, concat, norm (conditional batch norm if g_norm is batch, AdaIN if instance)"""
    d_width: int | None = bounded(None, SIZE, network=True)
    """width of the discriminator"""
    d_depth: int | None = bounded(None, SIZE, network=True)
    """depth of the discriminator"""
    d_norm: str | None = network()
    """none, batch, layer or spectral"""
    g_window: int | None = bounded(None, SIZE, network=True)
    """kernel size of the generator's convolutions"""
    d_window: int | None = bounded(None, SIZE, network=True)
    """kernel size of the discriminator's convolutions"""
    d_condition: str | None = network()
    """how the discriminator receives labels: none, concat, projection"""
    d_minibatch: str | None = network()
    """statistics of the batch that the discriminator sees with each sample: none, stddev, discrimination"""
    d_outputs: int | None = bounded(None, SIZE, network=True)
    """logits per sample, for losses that need more than one (mmd, multi_hinge)"""
    pack: int = bounded(1, COUNT)
    """samples that the discriminator judges together (PacGAN)"""

    loss: str = names("hinge", single_call)
    """a function of gan_jax/losses.py, path/file.py:function or package.module:function; NAME(key=value) sets its options"""
    auxiliary: str | None = optional(calls=single_call)
    """a function of gan_jax/auxiliary.py or your own, on labels or codes; null for none"""
    auxiliary_weight: float = bounded(1.0, NOT_NEGATIVE, tunable=True, weighs="auxiliary")
    """weight of the auxiliary loss of both players"""
    penalty: str | None = optional(calls=calls_in_sum)
    """a function of gan_jax/penalties.py or your own, or a sum: r1 + 0.3 * lecam; null for none"""
    gamma: float = bounded(1.0, NOT_NEGATIVE, tunable=True, weighs="penalty")
    """weight of the penalty at the start"""
    gamma_final: float | None = bounded(None, NOT_NEGATIVE, tunable=True, weighs="penalty")
    """weight of the penalty at the end, along `schedule`; null keeps gamma"""
    penalty_every: int = bounded(1, COUNT)
    """evaluate the penalty on every k-th discriminator step only, k times as strong"""
    g_penalty: str | None = optional(calls=calls_in_sum)
    """a function of gan_jax/g_penalties.py or your own, or a sum, on the generator; molecular_property for molecules; null for
    none"""
    g_gamma: float = bounded(1.0, NOT_NEGATIVE, tunable=True, weighs="g_penalty")
    """weight of the generator's penalty"""
    g_penalty_every: int = bounded(1, COUNT)
    """evaluate the generator's penalty on every k-th generator step only, k times as strong"""
    d_clip: float | None = bounded(None, POSITIVE, tunable=True)
    """clip the discriminator's weights to [-d_clip, d_clip] (WGAN); null for no clipping"""
    augment: str | None = optional(calls=calls_in_sum)
    """a function of gan_jax/augment.py or your own, or a sum, applied in order; null for none"""
    augment_shared: bool = False
    """augment real sample i and fake sample i by the same random draws, instead of independent ones"""
    deceive: str | None = optional(calls=single_call)
    """a function of gan_jax/deceive.py or your own that replaces what the discriminator receives as real; null for none"""
    augment_p: float = bounded(1.0, PROBABILITY, tunable=True)
    """probability of augmentation and deception at the start"""
    augment_p_final: float | None = bounded(None, PROBABILITY, tunable=True)
    """the same at the end, along `schedule`; null keeps augment_p"""
    augment_target: float | None = bounded(None, Bounds("between -1 and 1", lambda value: -1 < value < 1), tunable=True)
    """adapt that probability instead: raise it while E sign(D(real)) is above this (ADA and APA: 0.6), else lower it, from 0"""
    augment_kimg: float = bounded(500.0, POSITIVE, tunable=True)
    """thousands of real samples in which an adaptive probability can go from 0 to 1"""

    update: str | None = names(None, single_call)
    """a function of gan_jax/game/update_rules.py or your own; null for alternating steps (gan_jax/game/update.py)"""
    steps: int = bounded(10_000, COUNT)
    """generator steps"""
    schedule: Literal["cosine", "linear"] = "cosine"
    """the curve of every scheduled value, from its start to its final value"""
    schedule_steps: int | None = bounded(None, SIZE)
    """steps after which every scheduled value has its final value; null for all steps"""
    d_steps: int = bounded(1, COUNT)
    """discriminator steps before each generator step"""
    g_lr: float = bounded(2e-4, NOT_NEGATIVE, tunable=True)
    """the generator's learning rate; a different d_lr makes it TTUR"""
    g_lr_final: float | None = bounded(None, NOT_NEGATIVE, tunable=True)
    """the same at the end, along `schedule`; null keeps g_lr"""
    d_lr: float = bounded(2e-4, NOT_NEGATIVE, tunable=True)
    """the discriminator's learning rate"""
    d_lr_final: float | None = bounded(None, NOT_NEGATIVE, tunable=True)
    """the same at the end, along `schedule`; null keeps d_lr"""
    g_optimizer: str = names("adam", single_call)
    """an optimiser of optax or of gan_jax/optimizers.py, or your own; NAME(key=value) sets its options"""
    d_optimizer: str = names("adam", single_call)
    """the same for the discriminator"""
    b1: float = bounded(0.0, DECAY, tunable=True)
    """Adam's decay of the first moment, both players"""
    b2: float = bounded(0.99, DECAY, tunable=True)
    """Adam's decay of the second moment, both players"""
    b2_final: float | None = bounded(None, DECAY, tunable=True)
    """the same at the end, along `schedule`; null keeps b2"""
    ema: float = bounded(0.999, DECAY, tunable=True)
    """decay per step of the generator's moving average, which is evaluated and sampled; 0 for none"""
    ema_half_life: float | None = bounded(None, NOT_NEGATIVE, tunable=True)
    """real samples in which an old generator loses half its weight in the average, instead of ema; null for ema"""
    ema_half_life_final: float | None = bounded(None, NOT_NEGATIVE, tunable=True)
    """the same at the end, along `schedule`; null keeps ema_half_life"""
    ema_ramp: float | None = bounded(None, POSITIVE, tunable=True)
    """limit the half-life to this fraction of the samples trained on so far (StyleGAN2-ADA: 0.05); null for no ramp"""
    ema_start: int | None = bounded(None, Bounds("at least 0 and below 2^31, or null", lambda value: 0 <= value <= LARGEST))
    """steps during which the average is a copy of the generator (BigGAN: 1,000); null limits ema to (1 + t) / (10 + t) at step
    t instead, so that the first averages are short"""
    posthoc_ema: bool = False
    """save two power-function averages with every checkpoint, from which others can be made later (sample.py --ema)"""

    log_every: int = bounded(100, COUNT)
    """steps between lines of metrics.jsonl"""
    eval_every: int = bounded(1_000, COUNT)
    """steps between evaluations and sample grids"""
    save_every: int = bounded(1_000, COUNT)
    """steps between checkpoints"""
    eval_samples: int = bounded(10_000, Bounds("at least 2 and below 2^31", lambda value: 2 <= value <= LARGEST))
    """generated samples in an evaluation"""
    extractor: str | None = names(None, single_call)
    """features in which images are compared: classifier, random, inception, dinov2, resnet50, swav, clip, vgg16,
    path.py:function; null chooses classifier for images with classes, else random"""
    metrics: str = names("", listed_names)
    """names between commas of metrics of gan_jax/data/images/suite.py, or all, and of published protocols of
    gan_jax/metrics/protocols.py, such as fid10k_test; empty for the metrics that take seconds"""
    validation: float = bounded(0.0, Bounds("at least 0 and below 1", lambda value: 0 <= value < 1))
    """fraction of the training samples set aside: evaluations during training use them instead of the held-out samples"""
    duality_gap: int = bounded(0, Bounds("at least 5 and below 2^31, or 0", lambda value: value == 0 or 5 <= value <= LARGEST))
    """steps of training the best response of either player at each evaluation; 0 measures no duality gap"""
    doctor: bool = False
    """measure vital signs of both players at each evaluation too (gan_jax/evaluation/vitals.py)"""
    stop: str | None = optional()
    """end the run early: "eval/fd plateau(patience=5)", "duality_gap < 0.05", or several joined by or; null for steps alone"""
    dispatch: Literal["auto", "scan", "loop"] = "auto"
    """how steps are sent to the device: many in one compiled loop, or one by one; auto chooses the faster one"""
    devices: int | None = bounded(None, SIZE)
    """how many devices to use, from the first one on; null for all"""
    parallel: Literal["jit", "pmap"] = "jit"
    """how devices are used: jit splits the rows of each batch across them, pmap runs a replica on each"""
    fsdp: bool = False
    """shard large parameters, averages and optimiser states across the devices"""
    microbatches: int = bounded(1, COUNT)
    """compute each gradient in this many parts, one after another, in the memory of one"""
    remat: bool = False
    """keep only the layers' outputs for the gradient, and recompute norms and activations"""
    compute: Literal["float32", "bfloat16"] = "float32"
    """type in which networks compute in training; parameters, statistics and losses are float32"""

    def __post_init__(self) -> None:
        for item in fields(self):
            if item.metadata.get("none_is_null") and getattr(self, item.name) == "none":
                object.__setattr__(self, item.name, None)
            value, bounds = getattr(self, item.name), item.metadata.get("bounds")
            check_type(item.name, item.type, value)  # a dataclass checks no types, and recipes and JSON may hold anything
            self._check(item.name, value is None or bounds is None or bounds.holds(value), bounds and bounds.allowed)
        rows = self.pack * self.microbatches
        self._check("batch", self.batch % rows == 0, f"a multiple of pack times microbatches, which is {rows}")
        self._check("fsdp", not self.fsdp or self.parallel == "jit", "off with parallel pmap")
        _ = self.stop_rules

    @cached_property
    def stop_rules(self) -> tuple[Rule, ...]:
        """`stop`, parsed."""
        return () if self.stop is None else parse_stop(self.stop)

    @cached_property
    def metric_names(self) -> tuple[str, ...]:
        """`metrics`, parsed."""
        return names_between_commas(self.metrics)

    @classmethod
    def with_property(cls, name: str) -> dict[str, Any]:
        """The fields that have a property (see `bounded`), with its value."""
        return {item.name: item.metadata[name] for item in fields(cls) if item.metadata.get(name)}

    def _check(self, name: str, holds: bool, allowed: str | None) -> None:
        if not holds:
            raise InputError(f"{name} must be {allowed}, got {getattr(self, name)!r}")


def load_recipe(recipe: str | Path) -> Config:
    """The Config of a recipe: of one that comes with the package, by name (see `find_recipe`), of any Python file that defines
    CONFIG, or of a run's config.json. Raises InputError, which suggests a recipe, if there is no such file."""
    path = find_recipe(recipe)
    if path.suffix == ".json":
        return load_config(path)
    if path.suffix != ".py":
        raise InputError(f"a recipe is a .py file with a CONFIG, or a run's config.json; got {path}")
    config = getattr(load_file(path), "CONFIG", None)
    if not isinstance(config, Config):
        raise InputError(f"recipe {path} must define CONFIG = Config(...)")
    return config if config.name else replace(config, name=path.stem)


def load_config(path: str | Path) -> Config:
    """The Config in a file written by `config_json`. Raises InputError for unknown fields, wrong types and bad values."""
    with reading(f"the config {path}"):
        values = json.loads(Path(path).read_text())
    if not isinstance(values, dict):
        raise InputError(f"the config {path} must be a JSON object of fields")
    if values.get("ema_half_life") is None:
        values.pop("ema_ramp", None)  # without effect, and set in every file of earlier versions
    try:
        for name in values:
            if name not in (known := [field.name for field in fields(Config)]):
                raise unknown("field", name, known)
        return Config(**{name: renamed(value) for name, value in values.items()})
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def renamed(value: Any) -> Any:
    """The value of a field with the names of earlier versions replaced by the present ones."""
    if isinstance(value, str):
        for old, new in RENAMED.items():
            value = value.replace(old, new)
    return value


def config_json(config: Config) -> str:
    """The Config as JSON, one field per line, which `load_config` reads."""
    return json.dumps(asdict(config), indent=2) + "\n"
