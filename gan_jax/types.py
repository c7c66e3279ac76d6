"""The types and function signatures shared by the whole package, documented once.

Shapes: B is the batch size. A sample is an array or a pytree of arrays, each leaf of shape [B, ...]; images are [B, H, W, C]
in [-1, 1], points are [B, D]. Logits are real numbers, large for real samples; no sigmoid is applied. A label is a class
(int32 [B]), a multi-hot vector (int32 [B, K]) or a vector of real numbers (float32 [B, K]); it is None for unlabelled data.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax

Array = jax.Array
Sample = Any  # an array or a pytree of arrays, each [B, ...]
Shape = Any  # shape of a single sample: a tuple of integers, or a pytree of such tuples with the sample's structure
Memory = dict[str, Array]  # float32 scalars that a penalty keeps from one step to the next


@dataclass(frozen=True)
class Synthesis:
    """The generator as a function of its latents, with parameters and labels bound: `synthesis(synthesis.z)` returns the fake
    samples of this step."""

    samples: Callable[[Array], Sample]  # z [B, Z] -> samples [B, ...]
    z: Array | None = None  # the latents of this step's fake samples, [B, Z]
    params: Any = None
    memory: Memory = field(default_factory=dict)
    # Only for a generator with a mapping network: z -> w [B, layers, W], and (z, w) -> samples computed from w instead of from
    # the mapped z.
    styles: Callable[[Array], Array] | None = None
    from_styles: Callable[[Array, Array], Sample] | None = None

    def __call__(self, z: Array) -> Sample:
        return self.samples(z)


@dataclass(frozen=True)
class Critic:
    """The discriminator as a function of samples, with parameters, labels and augmentation bound. A penalty that only calls its
    critic accepts any function of samples."""

    logits: Callable[[Sample], Array]  # samples [B, ...] -> logits [B], or [B, P] for a D that judges P patches of a sample
    features: Callable[[Sample], Array | None] | None = None  # samples -> features [B, F] from which the logits are computed
    params: Any = None
    synthesis: Synthesis | None = None  # the generator, frozen
    memory: Memory = field(default_factory=dict)
    outputs: int = 1  # D's `d_outputs`: above 1, the logits are [B, outputs], which are not patches
    # (real, fake) -> (real_logits, fake_logits) in one pass; real sample i and fake sample i have the same label. None for a D
    # that must not receive real and fake samples in one batch.
    pair: Callable[[Sample, Sample], tuple[Array, Array]] | None = None

    def __call__(self, x: Sample) -> Array:
        return self.logits(x)


# (real_logits [B], fake_logits [B]) -> (d_loss, g_loss), float32 scalars, both to be minimised. The logits are [B, P] if D
# judges P patches of each sample, and [B, K] if `d_outputs` is K > 1; a loss that cannot use them raises ValueError.
# G's real logits are those of the samples with which D was just updated, unless the loss is a `ComparativeLoss`.
Loss = Callable[[Array, Array], tuple[Array, Array]]
# (critic, real, fake, key) -> float32 scalar, for D. Samples are raw (not augmented); the caller applies the weight.
Penalty = Callable[[Critic, Sample, Sample, Array], Array]
# (synthesis, critic, real, key) -> float32 scalar, for G.
GPenalty = Callable[[Synthesis, Critic, Sample, Array], Array]
# (key, x, p) -> x of the same shape. The identity at p = 0; p in [0, 1] is traced, never static.
Augment = Callable[[Array, Array, Array], Array]
# (key, real, fake, p) -> (real, fake), of the same shapes: the samples D receives as real and as fake. p as for `Augment`.
Deceive = Callable[[Array, Sample, Sample, Array], tuple[Sample, Sample]]
# (real_features [B, F], fake_features [B, F], label, num_classes) -> (d_loss, g_loss). Real and fake sample i have label i.
# Runs inside a flax.linen module, so it may create layers; D's optimiser trains them.
Auxiliary = Callable[[Array, Array, Array, int], tuple[Array, Array]]


@dataclass(frozen=True, eq=False)
class AnnotatedFunction:
    """A function with requirements beyond the signatures above. The subclasses below declare one requirement each and are
    applied as decorators. Calling the record calls the function; it has the function's name, docstring and signature."""

    function: Callable[..., Any]

    def __post_init__(self) -> None:
        # Not functools.update_wrapper, which assigns attributes: the record is frozen.
        vars(self).update(__doc__=self.function.__doc__, __wrapped__=self.function)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.function(*arguments, **options)

    @property
    def __name__(self) -> str:
        return self.function.__name__


@dataclass(frozen=True, eq=False)
class LabelledLoss(AnnotatedFunction):
    """A loss that requires labels: (real_logits, fake_logits, label) -> (d_loss, g_loss). `label` is None for unlabelled
    data."""

    outputs: Callable[[int], int] = lambda num_classes: 1  # number of classes -> number of logits required per sample


@dataclass(frozen=True, eq=False)
class ComparativeLoss(AnnotatedFunction):
    """A `Loss` whose term for G compares fake with real logits: the generator's step receives real samples of its own, instead
    of those with which D was just updated."""


@dataclass(frozen=True, eq=False)
class StatefulPenalty(AnnotatedFunction):
    """A penalty that keeps scalars from one step to the next. It reads their current values from `critic.memory` (for G,
    `synthesis.memory`) and returns (scalar, new memory)."""

    memory: Mapping[str, float]  # initial values by name


@dataclass(frozen=True, eq=False)
class DataPenalty(AnnotatedFunction):
    """A penalty that needs the whole data set: it also receives the keyword argument `data`, the game's `Data`."""


@dataclass(frozen=True, eq=False)
class RowMixing(AnnotatedFunction):
    """A `Deceive` function that may move a sample to another row of the batch. Labels stay in their rows, so a conditional D
    requires options for which `mixes(**options)` is False."""

    mixes: Callable[..., bool]
    remedy: str  # the options that keep samples in their rows, as the user types them


class Batch(NamedTuple):
    """Real samples [B, ...] in float32 and their labels (None for unlabelled data)."""

    real: Sample
    label: Array | None

    @property
    def size(self) -> int:
        """The batch size B."""
        return jax.tree.leaves(self.real)[0].shape[0]


class DiscriminatorOutput(NamedTuple):
    """A discriminator's logits [B] (or [B, P] or [B, K], see `Loss`), and the features [B, F] from which they are computed, if
    it returns them."""

    logits: Array
    features: Array | None


class Graph(NamedTuple):
    """Molecular graphs with N nodes: one-hot or soft atom types [B, N, T], and bond types [B, N, N, BONDS], symmetric in the
    nodes. The first type of either means "none"."""

    nodes: Any
    bonds: Any


def map_shapes(function: Callable[[tuple[int, ...]], Any], shape: Shape) -> Any:
    """Apply `function` to each tuple in a sample's shape. Returns a pytree with the sample's structure."""
    return jax.tree.map(function, shape, is_leaf=lambda x: type(x) is tuple)  # a named tuple is a tuple too


def packed_shape(shape: Shape, count: int) -> Shape:
    """Return the shape of `count` samples concatenated along the last axis."""
    return map_shapes(lambda s: (*s[:-1], s[-1] * count) if count > 1 else s, shape)
