"""Config: everything that decides a run's numbers, in one flat frozen dataclass; how it is read and written.

Imports neither JAX nor any data library, so that `--help` and a mistyped flag answer at once.
"""

import difflib
import json
import re
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from gan_jax.errors import InputError, unknown
from gan_jax.spec.lookup import load_file
from gan_jax.spec.stop import parse_stop

# Names that configs of earlier versions hold, and what they are called now.
RENAMED = {
    "gan_jax.sequences:": "",
    "gan_jax.vocoder:feature_matching": "layer_feature_matching",
    "gan_jax.vocoder:mel_l1": "mel_l1",
    "gan_jax.vocoder:": "vocoder_",
    "gan_jax.reward:desired": "molecular_property",
}
OFF = ("auxiliary", "penalty", "g_penalty", "augment", "deceive", "stop")  # what "none" leaves out, as null does


@dataclass(frozen=True)
class Config:
    """One experiment. Two runs with equal Configs on equal machines have equal bits."""

    name: str = ""
    """what the run is called; a recipe's file name unless set"""
    seed: int = 0
    """seeds the weights, the noise and the order of the data"""

    data: str = "digits"
    """digits, ring, grid, spiral, two_moons, stacked:NAME, mirrored:NAME, tfds:NAME, PATH.npz, a folder"""
    batch: int = 128
    """real samples in a discriminator step, and fake ones in every step"""
    stream: Literal["auto", "always", "never"] = "auto"
    """whether tfds:NAME and folders are read as they are needed; auto is where they would take a quarter of memory"""

    model: str = "mlp"
    """a file of gan_jax/models, or path/file.py, with a Generator and a Discriminator"""
    z_dim: int = 64
    """size of the latent vector, N(0, 1)"""
    code_classes: int = 0
    """classes of a latent code that takes the place of labels (InfoGAN); 0 for none"""
    code_dims: int = 0
    """uniform numbers of the latent code, after its classes"""
    g_width: int | None = None
    """the networks' own options, by player; null is the network's default"""
    g_depth: int | None = None
    g_norm: str | None = None
    """none, batch, layer or instance"""
    g_condition: str | None = None
    """how labels reach the generator: none, concat, norm (with batch norm: conditional batch norm; with instance: AdaIN)"""
    d_width: int | None = None
    d_depth: int | None = None
    d_norm: str | None = None
    """none, batch, layer or spectral"""
    g_window: int | None = None
    """side of the convolutions' windows"""
    d_window: int | None = None
    d_condition: str | None = None
    """how labels reach the discriminator: none, concat, projection"""
    d_minibatch: str | None = None
    """what it sees of the batch around a sample: none, stddev, discrimination"""
    d_outputs: int | None = None
    """numbers a sample, for losses that want more than one logit (mmd, multi_hinge)"""
    pack: int = 1
    """samples that the discriminator judges at once (PacGAN)"""

    loss: str = "hinge"
    """a function of gan_jax/losses.py, path/file.py:function or package.module:function; NAME(key=value) for its options"""
    auxiliary: str | None = None
    """a function of gan_jax/auxiliary.py or of your own, on labels or codes; null for none"""
    auxiliary_weight: float = 1.0
    """weight of the auxiliary loss, both players"""
    penalty: str | None = None
    """a function of gan_jax/penalties.py or of your own, or a sum: r1 + 0.3 * lecam; null for none"""
    gamma: float = 1.0
    """weight of the penalty at the start"""
    gamma_final: float | None = None
    """weight of the penalty at the end, along a cosine; null keeps gamma"""
    penalty_every: int = 1
    """takes the penalty every k-th discriminator step, k times as strong"""
    g_penalty: str | None = None
    """a function of gan_jax/g_penalties.py or of your own, or a sum, on the generator; null for none"""
    g_gamma: float = 1.0
    """weight of the generator's penalty"""
    g_penalty_every: int = 1
    """takes the generator's penalty every k-th generator step, k times as strong"""
    d_clip: float | None = None
    """keeps the discriminator's weights between -d_clip and d_clip (WGAN); null for none"""
    augment: str | None = None
    """a function of gan_jax/augment.py or of your own, or a sum, one after the other; null for none"""
    deceive: str | None = None
    """a function of gan_jax/deceive.py or of your own: what the discriminator is told is real; null for the truth"""
    augment_p: float = 1.0
    """probability of augmentation and deception at the start"""
    augment_p_final: float | None = None
    """the same at the end, along a cosine; null keeps augment_p"""
    augment_target: float | None = None
    """adapts that probability instead: up while E sign(D(real)) is above this (ADA and APA: 0.6), else down, from 0"""
    augment_kimg: float = 500.0
    """thousands of real samples in which an adapted probability can go from 0 to 1"""

    update: str | None = None
    """a function of gan_jax/game/update_rules.py or of your own; null for alternating steps (gan_jax/game/update.py)"""
    steps: int = 10_000
    """generator steps"""
    schedule_steps: int | None = None
    """steps over which all that has a final value goes there; null for all steps"""
    d_steps: int = 1
    """discriminator steps before each generator step"""
    g_lr: float = 2e-4
    """the generator's learning rate; another d_lr makes it TTUR"""
    g_lr_final: float | None = None
    """at the end, along a cosine; null keeps g_lr"""
    d_lr: float = 2e-4
    d_lr_final: float | None = None
    g_optimizer: str = "adam"
    """an optimiser of optax or of gan_jax/optimizers.py, or your own; NAME(key=value) for its options"""
    d_optimizer: str = "adam"
    b1: float = 0.0
    """Adam's decay of the first moment, both players"""
    b2: float = 0.99
    """Adam's decay of the second moment, both players"""
    b2_final: float | None = None
    """the same at the end, along a cosine; null keeps b2"""
    ema: float = 0.999
    """decay a step of the generator's moving average, which is what is evaluated; 0 for none"""
    ema_half_life: float | None = None
    """real samples in which an old generator loses half its weight in the average, instead of ema; null for ema"""
    ema_half_life_final: float | None = None
    """the same at the end, along a cosine; null keeps ema_half_life"""
    ema_ramp: float | None = 0.05
    """a half-life is at most this share of the samples seen; null for no ramp"""
    posthoc_ema: bool = False
    """keeps two power-function averages with every checkpoint, from which any can be made afterwards (sample.py --ema)"""

    log_every: int = 100
    """steps between lines of metrics.jsonl"""
    eval_every: int = 1_000
    """steps between evaluations and sample grids"""
    save_every: int = 1_000
    """steps between checkpoints"""
    eval_samples: int = 10_000
    """generated samples in an evaluation"""
    extractor: str | None = None
    """what images are measured in: classifier, random, inception, dinov2, path.py:function; null is what the data calls for"""
    metrics: str = ""
    """names of gan_jax/data/images/suite.py between commas, or all; empty is those that take seconds"""
    validation: float = 0.0
    """share of the training samples set aside: evaluations during training use them in place of the held-out ones"""
    duality_gap: int = 0
    """steps of training a worst case of either player at each evaluation; 0 measures no duality gap"""
    doctor: bool = False
    """looks at both players at each evaluation too (gan_jax/reports/doctor.py), not only at what is logged anyway"""
    stop: str | None = None
    """ends the run early: "eval/fd plateau(patience=5)", "duality_gap < 0.05", or several joined by or; null for steps alone"""
    dispatch: Literal["auto", "scan", "loop"] = "auto"
    """how steps are sent to the device: many in one compiled loop, or one by one; auto is what is fast"""
    devices: int | None = None
    """how many devices play, the first ones; null for all"""
    parallel: Literal["jit", "pmap"] = "jit"
    """how they play: jit deals out the rows of each batch, pmap runs a replica on each device"""
    fsdp: bool = False
    """cuts up large parameters, averages and optimiser states among the devices"""
    microbatches: int = 1
    """takes each gradient in so many parts, one after the other, in the memory of one"""
    remat: bool = False
    """keeps only what layers put out for the gradient, and computes norms and activations again"""
    compute: Literal["float32", "bfloat16"] = "float32"
    """type in which networks compute in training; parameters, statistics and losses are float32"""

    def __post_init__(self) -> None:
        for field in OFF:
            if getattr(self, field) == "none":
                object.__setattr__(self, field, None)
        for field in fields(self):  # a dataclass checks no types by itself, and recipes and JSON may hold anything
            _check_type(field.name, field.type, getattr(self, field.name))
        for field in ("batch", "z_dim", "pack", "penalty_every", "g_penalty_every", "steps", "d_steps", "microbatches"):
            self._check(field, getattr(self, field) >= 1, "a whole number of at least 1")
        for field in ("log_every", "eval_every", "save_every"):
            self._check(field, getattr(self, field) >= 1, "a whole number of at least 1")
        sizes = ("g_width", "g_depth", "g_window", "d_width", "d_depth", "d_window", "d_outputs")
        for field in (*sizes, "schedule_steps", "devices"):
            self._check(field, getattr(self, field) is None or getattr(self, field) >= 1, "at least 1, or null")
        for field in ("code_classes", "code_dims"):
            self._check(field, getattr(self, field) >= 0, "a whole number of at least 0")
        at_least_0 = ("g_lr", "g_lr_final", "d_lr", "d_lr_final", "gamma", "gamma_final", "g_gamma", "auxiliary_weight")
        for field in (*at_least_0, "ema_half_life", "ema_half_life_final"):
            value = getattr(self, field)
            self._check(field, value is None or 0 <= value < float("inf"), "a finite number of at least 0")
        for field in ("d_clip", "augment_kimg", "ema_ramp"):
            value = getattr(self, field)
            self._check(field, value is None or 0 < value < float("inf"), "a finite number above 0")
        for field in ("b1", "b2", "b2_final", "ema"):
            value = getattr(self, field)
            self._check(field, value is None or 0 <= value < 1, "at least 0 and below 1")
        for field in ("augment_p", "augment_p_final"):
            value = getattr(self, field)
            self._check(field, value is None or 0 <= value <= 1, "between 0 and 1")
        self._check("augment_target", self.augment_target is None or -1 < self.augment_target < 1, "between -1 and 1")
        whole = self.pack * self.microbatches
        self._check("batch", self.batch % whole == 0, f"a multiple of pack times microbatches, which is {whole}")
        self._check("fsdp", not self.fsdp or self.parallel == "jit", "off with parallel pmap")
        self._check("code_classes", self.code_classes != 1, "0, or at least 2: one class tells nothing")
        self._check("eval_samples", self.eval_samples >= 2, "at least 2")
        self._check("validation", 0 <= self.validation < 1, "at least 0 and below 1")
        self._check("duality_gap", self.duality_gap == 0 or self.duality_gap >= 5, "at least 5, or 0")
        if self.stop is not None:
            parse_stop(self.stop)
        self._check("seed", 0 <= self.seed < 2**32, "a whole number from 0 to 2^32 - 1")
        self._check("name", re.fullmatch(r"[\w.-]*", self.name) is not None, "letters, digits, '.', '_' and '-'")

    def _check(self, field: str, ok: bool, allowed: str) -> None:
        if not ok:
            raise InputError(f"{field} must be {allowed}, got {getattr(self, field)!r}")


def load_recipe(path: str | Path) -> Config:
    """The Config of a recipe file (a Python file with a CONFIG) or of a run's config.json.

    Raises InputError where there is none, with the recipes that there are."""
    path = Path(path)
    if not path.is_file():
        known = sorted(str(p) for p in Path("experiments").glob("*/*.py"))
        nearest = difflib.get_close_matches(str(path), known, n=1, cutoff=0.4)
        hint = f"did you mean {nearest[0]}? " if nearest else ""
        raise InputError(f"no recipe {path}: {hint}known: {', '.join(known) or 'none below experiments/'}, or a config.json")
    if path.suffix == ".json":
        return load_config(path)
    if path.suffix != ".py":
        raise InputError(f"a recipe is a .py file with a CONFIG, or a run's config.json; got {path}")
    config = getattr(load_file(path), "CONFIG", None)
    if not isinstance(config, Config):
        raise InputError(f"recipe {path} must define CONFIG = Config(...)")
    return config if config.name else replace(config, name=path.stem)


def load_config(path: str | Path) -> Config:
    """The Config of a file that holds `config_json`. Raises InputError for unknown fields, wrong types, bad values."""
    try:
        values = json.loads(Path(path).read_text())
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read the config {path}: {error}") from error
    if not isinstance(values, dict):
        raise InputError(f"the config {path} must be a JSON object of fields")
    try:
        for name in values:
            if name not in (known := [field.name for field in fields(Config)]):
                raise unknown("field", name, known)
        return Config(**{name: _renamed(value) for name, value in values.items()})
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _renamed(value: Any) -> Any:
    if isinstance(value, str):
        for old, new in RENAMED.items():
            value = value.replace(old, new)
    return value


def smoke(config: Config) -> Config:
    """The same game at a size that shows within a minute whether it runs: two steps of a few samples, networks a few channels
    wide, each step logged, evaluated and saved at the end. Data and methods are those of `config`."""
    small = {"batch": 8 * config.pack * config.microbatches, "g_width": 4, "d_width": 4, "eval_samples": 200}
    return replace(config, name=f"{config.name}-smoke", steps=2, log_every=1, **small)


def config_json(config: Config) -> str:
    """The Config as JSON, one field a line: what `load_config` reads."""
    return json.dumps(asdict(config), indent=2) + "\n"


def differences(old: Config, new: Config) -> list[str]:
    """The fields in which two Configs differ, as `field: old -> new`."""
    old, new = asdict(old), asdict(new)
    return [f"{field}: {old[field]!r} -> {new[field]!r}" for field in old if old[field] != new[field]]


def goes_on(old: Config, new: Config) -> bool:
    """Whether a run of `old` is the beginning of one of `new`: the same, or for more steps, if that stretches no schedule."""

    def end(config: Config) -> int | None:
        scheduled = any(getattr(config, field.name) is not None for field in fields(Config) if field.name.endswith("_final"))
        return (config.schedule_steps or config.steps) if scheduled else None

    same = replace(old, steps=new.steps, schedule_steps=new.schedule_steps) == new
    return same and new.steps >= old.steps and end(old) == end(new)


def _check_type(name: str, annotation: Any, value: Any) -> None:
    allowed = get_args(annotation) or (annotation,)
    fits = value in allowed if get_origin(annotation) is Literal else type(value) in allowed
    fits = fits or (value is None and type(None) in allowed) or (type(value) is int and float in allowed)
    if not fits:
        raise InputError(f"{name}: expected {type_name(annotation)}, got {value!r}")


def type_name(annotation: Any) -> str:
    """A field's type as users read it."""
    if get_origin(annotation) is Literal:
        return " or ".join(get_args(annotation))
    words = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
    return " or ".join(words[kind] for kind in get_args(annotation) or (annotation,))
