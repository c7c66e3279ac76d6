"""The signatures that everything else agrees on, documented once.

Shapes: B is the batch size. A sample is an array or a pytree of arrays, each leaf with B in front ([B, ...]); images are
[B, H, W, C] in [-1, 1], points are [B, D]. Logits are real numbers, large for real samples; no sigmoid is applied. A label is
a class (int32 [B]), a multi-hot vector (int32 [B, K]) or real numbers (float32 [B, K]); None where there is none.
"""

from collections.abc import Callable
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


# (real_logits [B], fake_logits [B]) -> (d_loss, g_loss), float32 scalars, both to be minimised. One with a parameter `label`
# is given the labels too; one that says so takes logits [B, K] (`d_outputs`).
Loss = Callable[..., tuple[Array, Array]]
# (critic, real, fake, key) -> float32 scalar, for D. Raw samples; the weight multiplies outside. One that remembers has an
# attribute `memory`, {name: initial value}; it finds the present values in `critic.memory` and returns (scalar, new memory).
Penalty = Callable[[Critic, Sample, Sample, Array], Any]
# (synthesis, critic, real, key) -> the same, for G; memory in `synthesis.memory`.
GPenalty = Callable[[Synthesis, Critic, Sample, Array], Any]
# (key, x, p) -> x of the same shape. Identity at p = 0; p in [0, 1] is traced, never static.
Augment = Callable[[Array, Array, Array], Array]
# (key, real, fake, p) -> (real, fake): what D is told is real and fake, of the same shapes. p as above.
Deceive = Callable[[Array, Sample, Sample, Array], tuple[Sample, Sample]]
# (real_features [B, F], fake_features [B, F], label, num_classes) -> (d_loss, g_loss): fake i was made for the label of real i.
# Runs inside a flax.linen module, so that it may make layers of its own; D's optimiser trains them.
Auxiliary = Callable[[Array, Array, Array, int], tuple[Array, Array]]


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
