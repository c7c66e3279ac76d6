"""The signatures that everything else agrees on, documented once.

Shapes: B is the batch size. A sample is an array or a pytree of arrays, each leaf with B in front ([B, ...]); images are
[B, H, W, C] in [-1, 1], points are [B, D]. Logits are real numbers, large for real samples; no sigmoid is applied. A label is
a class (int32 [B]), a multi-hot vector (int32 [B, K]) or real numbers (float32 [B, K]); None where there is none.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax

Array = jax.Array
Sample = Any  # an array, or a pytree of arrays: [B, ...] each
Shape = Any  # of one sample: a tuple of numbers, or a pytree of such tuples like its samples
Memory = dict[str, Array]  # float32 scalars that a regulariser keeps from one step to the next


@dataclass(frozen=True)
class Synthesis:
    """The generator as a function of its latents: parameters and labels bound. `synthesis(synthesis.z)` are the fakes."""

    samples: Callable[[Array], Sample]  # z [B, Z] -> samples [B, ...]
    z: Array | None = None  # the latents of this step's fake samples, [B, Z]
    params: Any = None
    memory: Memory = field(default_factory=dict)
    # Where G has a mapping network: z -> what it is mapped to, w [B, layers, W], and (z, w) -> the samples that have w in place
    # of what z is mapped to.
    styles: Callable[[Array], Array] | None = None
    of_styles: Callable[[Array, Array], Sample] | None = None

    def __call__(self, z: Array) -> Sample:
        return self.samples(z)


@dataclass(frozen=True)
class Critic:
    """The discriminator as a function of samples: parameters, labels and augmentation bound. A regulariser that only calls it
    takes any function of samples as well."""

    logits: Callable[[Sample], Array]  # samples [B, ...] -> logits [B], or [B, K] where D has several outputs
    features: Callable[[Sample], Array] | None = None  # samples -> the features [B, F] that the logits are made of
    params: Any = None
    synthesis: Synthesis | None = None  # the generator, frozen
    memory: Memory = field(default_factory=dict)

    def __call__(self, x: Sample) -> Array:
        return self.logits(x)


# (real_logits [B], fake_logits [B]) -> (d_loss, g_loss), float32 scalars, both to be minimised. With `d_outputs` logits are
# [B, K]; a loss that cannot use them raises ValueError.
Loss = Callable[[Array, Array], tuple[Array, Array]]
# (critic, real, fake, key) -> float32 scalar, for D. Raw samples; the weight multiplies outside.
Penalty = Callable[[Critic, Sample, Sample, Array], Array]
# (synthesis, critic, real, key) -> float32 scalar, for G.
GPenalty = Callable[[Synthesis, Critic, Sample, Array], Array]
# (key, x, p) -> x of the same shape. Identity at p = 0; p in [0, 1] is traced, never static.
Augment = Callable[[Array, Array, Array], Array]
# (key, real, fake, p) -> (real, fake): what D receives as real and as fake, of the same shapes. p as above.
Deceive = Callable[[Array, Sample, Sample, Array], tuple[Sample, Sample]]
# (real_features [B, F], fake_features [B, F], label, num_classes) -> (d_loss, g_loss): fake i was made for the label of real i.
# Runs inside a flax.linen module, so that it may make layers of its own; D's optimiser trains them.
Auxiliary = Callable[[Array, Array, Array, int], tuple[Array, Array]]


@dataclass(frozen=True)
class Declared:
    """A function that needs more than its axis passes, and declares it by one of the records below, as a decorator. Its options
    stay keyword-only arguments of the function inside; calling the record calls it."""

    function: Callable[..., Any]

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self.function(*arguments, **options)

    @property
    def __name__(self) -> str:
        return self.function.__name__


@dataclass(frozen=True)
class LabelledLoss(Declared):
    """A loss that reads labels: (real_logits, fake_logits, label) -> (d_loss, g_loss); label as above, None if there is none."""

    outputs: Callable[[int], int] = lambda num_classes: 1  # how many logits it needs for each sample


@dataclass(frozen=True)
class StatefulPenalty(Declared):
    """A penalty that keeps scalars from one step to the next: it reads their current values in `critic.memory` (for G,
    `synthesis.memory`) and returns (scalar, new memory)."""

    memory: Mapping[str, float]  # initial values by name


@dataclass(frozen=True)
class DataPenalty(Declared):
    """A penalty that learns from the whole data set: it also receives the keyword argument `data`, the game's `Data`."""


@dataclass(frozen=True)
class RowMixing(Declared):
    """A deception that may put a sample in another one's row. Labels stay in their rows, so a D that sees labels needs options
    with which `mixes(**options)` is false."""

    mixes: Callable[..., bool]
    remedy: str  # which options these are


class Batch(NamedTuple):
    """Real samples [B, ...] as float32, and their labels (None where the data has none)."""

    real: Sample
    label: Array | None

    @property
    def size(self) -> int:
        """B"""
        return jax.tree.leaves(self.real)[0].shape[0]


class Judgement(NamedTuple):
    """What a discriminator says of samples: logits [B] (or [B, K]), and the features [B, F] they are made of, if it tells."""

    logits: Array
    features: Array | None


def map_shapes(function: Callable[[tuple[int, ...]], Any], shape: Shape) -> Any:
    """`function` of each tuple of a sample's shape, in a pytree like the sample's."""
    return jax.tree.map(function, shape, is_leaf=lambda x: type(x) is tuple)  # a named tuple is a tuple too


class Graph(NamedTuple):
    """Graphs of N places: atoms [B, N, T] and bonds [B, N, N, BONDS], which are symmetric; the first of each kind is none."""

    nodes: Any
    bonds: Any


def packed_shape(shape: Shape, count: int) -> Shape:
    """Of `count` samples side by side in the last axis."""
    return map_shapes(lambda s: (*s[:-1], s[-1] * count) if count > 1 else s, shape)
