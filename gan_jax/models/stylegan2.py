"""StyleGAN2's networks, for images of any size 2^k * m, written from the papers.

Everything random in the generator but z (the noise at each pixel, which latents are mixed) is drawn from a key that z itself
gives: the same z is the same picture, and a network stays a function of its arguments.

Source: Karras et al. 2020, arXiv:1912.04958, section 2 and figure 2 and 7; Karras et al. 2019 (StyleGAN), arXiv:1812.04948, for
mapping, noise, mixing and truncation; Karras et al. 2020 (ADA), arXiv:2006.06676, appendix D, for the form for CIFAR-10:
`stylegan2(mapping=2, mixing=0.0, residual=False)`.
"""

import math
from typing import ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from gan_jax.models.conditioning import check_condition, label_vector, stddev
from gan_jax.models.dcgan import halvings
from gan_jax.models.fir import convolve, double
from gan_jax.types import Array, Shape

W_SIZE = 512  # numbers of w
MAPPING_RATE = 0.01  # of the mapping's learning, over that of all else
W_DECAY = 0.998  # decay a step of the average w


class Generator(nn.Module):
    """z [B, Z] -> w by `mapping` dense layers -> a learned grid, styled, doubled and styled on -> images [B, H, W, C].

    Pictures of all sizes are added up (the skip form of figure 7). `condition` "norm": the label, embedded, is mapped with z.
    In training a share `mixing` of samples takes the finer layers' w from another latent, and otherwise w is drawn towards its
    average by `truncation`, which is psi. `width` is the channels at most: there are `base` / side of them, `base` being 16,384
    as for 256 pixels, or 32,768 as for 1,024 and for CIFAR-10. With `noise` False there is none; with "constant" it is the
    same for all samples but in training. `w` [B, layers, LATENT] replaces those computed from z
    (`mapping.py`), and is not truncated. Raises ValueError for Z < 2.
    """

    takes_w: ClassVar[bool] = True  # see mapping.py

    sample_shape: Shape
    num_classes: int = 0
    width: int = 512
    norm: str = "none"
    condition: str = "none"
    base: int = 16_384
    mapping: int = 8
    mixing: float = 0.9
    noise: bool | str = True
    truncation: float = 1.0

    @nn.compact
    def __call__(self, z: Array, label: Array | None, train: bool, w: Array | None = None) -> Array:
        check_condition(self.condition, ("none", "norm"), label, self.num_classes)
        if self.noise not in (True, False, "constant"):
            raise ValueError(f"noise must be True, False or 'constant', got {self.noise!r}")
        if z.shape[-1] < 2:
            raise ValueError(f"stylegan2 needs a z_dim of at least 2, got {z.shape[-1]}")
        keys = jax.vmap(_key)(z)
        if w is not None:
            return self._synthesis(w, keys, train)
        vector = label_vector(label, self.num_classes) if self.condition == "norm" else None
        mapping = Mapping(self.mapping)
        w = mapping(z, vector)
        average = self.variable("average", "w", jnp.zeros, W_SIZE)
        layers = 2 * halvings(self.sample_shape) + 2  # of which the last makes the last picture
        if train:
            if self.is_mutable_collection("average") and not self.is_initializing():
                average.value = W_DECAY * average.value + (1 - W_DECAY) * w.mean(axis=0)
            w = jnp.repeat(w[:, None], layers, axis=1)
            if self.mixing > 0:
                other = jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, 0), z.shape[1:], z.dtype))(keys)
                from_layer = jax.vmap(lambda key: _cut(jax.random.fold_in(key, 1), layers, self.mixing))(keys)
                finer = jnp.arange(layers) >= from_layer[:, None]
                w = jnp.where(finer[..., None], mapping(other, vector)[:, None], w)
            self.sow("intermediates", "w", w)
        else:
            w = jnp.repeat(w[:, None], layers, axis=1)
            self.sow("intermediates", "w", w)
            w = average.value + self.truncation * (w - average.value)
        return self._synthesis(w, keys, train)

    def _synthesis(self, w: Array, keys: Array, train: bool) -> Array:
        stages = halvings(self.sample_shape)
        height, width, planes = self.sample_shape
        grid = (height >> stages, width >> stages)
        start = self.param("start", nn.initializers.normal(1.0), (*grid, self._channels(grid)))
        x = jnp.broadcast_to(start, (len(w), *start.shape))

        def styled(x: Array, count: int, layer: int, doubling: bool = False) -> Array:
            drawn = jax.vmap(lambda key: jax.random.fold_in(key, 2 + layer))(keys) if self.noise else None
            constant = self.noise == "constant"
            return Styled(count, doubling=doubling, constant=constant)(x, w[:, layer], drawn, train)

        x = styled(x, start.shape[-1], 0)
        picture = Styled(planes, window=1, plain=True)(x, w[:, 1])
        for stage in range(1, stages + 1):
            count = self._channels((height >> (stages - stage), width >> (stages - stage)))
            x = styled(x, count, 2 * stage - 1, doubling=True)
            x = styled(x, count, 2 * stage)
            # The layer that makes a picture shares its w with the next one that styles.
            picture = double(picture) + Styled(planes, window=1, plain=True)(x, w[:, 2 * stage + 1])
        return picture

    def _channels(self, sides: tuple[int, int]) -> int:
        return max(1, min(self.width, self.base // max(sides)))


class Discriminator(nn.Module):
    """images [B, H, W, C] -> halved to a small grid, by residual blocks or, with `residual` False, plain ones -> minibatch
    standard deviation -> logits and the features [B, F] they are made of. `condition` "projection": the label is mapped as in
    the generator, and the logit is the features' product with it. `group` is how many samples the deviation is over."""

    sample_shape: Shape
    num_classes: int = 0
    width: int = 512
    norm: str = "none"
    condition: str = "none"
    outputs: int = 1
    base: int = 16_384
    mapping: int = 8
    residual: bool = True
    group: int = 4

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_condition(self.condition, ("none", "projection"), label, self.num_classes)
        stages = halvings(self.sample_shape)

        def channels(x: Array, halved: int = 0) -> int:
            return max(1, min(self.width, self.base // (max(x.shape[1:3]) >> halved)))

        x = Equal(channels(x), window=1)(x)
        for _ in range(stages):
            now, then = channels(x), channels(x, halved=1)
            h = Equal(then, halving=True)(Equal(now)(x))
            if self.residual:
                h = (h + Equal(then, window=1, halving=True, use_bias=False, linear=True)(x)) * math.sqrt(0.5)
            x = h
        x = Equal(x.shape[-1])(stddev(x, self.group))
        features = EqualDense(x.shape[-1], rectified=True)(x.reshape(x.shape[0], -1))
        if self.condition == "projection":
            vector = label_vector(label, self.num_classes)
            mapped = Mapping(self.mapping)(None, vector)
            logits = EqualDense(self.outputs * W_SIZE)(features).reshape(-1, self.outputs, W_SIZE)
            logits = jnp.einsum("bof,bf->bo", logits, mapped) / math.sqrt(W_SIZE)
        else:
            logits = EqualDense(self.outputs)(features)
        return logits[:, 0] if self.outputs == 1 else logits, features


class Mapping(nn.Module):
    """z [B, Z] and a label vector [B, K], either None -> w [B, LATENT]: both brought to unit length a number, then dense layers
    that learn slowly."""

    depth: int

    @nn.compact
    def __call__(self, z: Array | None, vector: Array | None) -> Array:
        given = [] if z is None else [_unit(z)]
        if vector is not None:
            given.append(_unit(EqualDense(W_SIZE, name="label")(vector)))
        x = jnp.concatenate(given, axis=-1)
        for number in range(self.depth):
            x = EqualDense(W_SIZE, rectified=True, rate=MAPPING_RATE, name=f"layer{number}")(x)
        return x


class Styled(nn.Module):
    """A convolution of x [B, H, W, C] whose kernel's inputs are scaled by a style, linear in w [B, LATENT], and whose outputs
    are brought back to unit variance; noise, drawn from a key for each sample where there are `keys`, bias and a leaky ReLU
    after it. `constant`: outside of training the noise is what the collection "noise" keeps. `plain`: only the bias, as where
    it makes a picture. The scales are applied to inputs and outputs, so that all samples share one kernel.

    Source: Karras et al. 2020, arXiv:1912.04958, eq. 1 to 3.
    """

    features: int
    window: int = 3
    doubling: bool = False
    plain: bool = False
    constant: bool = False

    @nn.compact
    def __call__(self, x: Array, w: Array, keys: Array | None = None, train: bool = True) -> Array:
        style = EqualDense(x.shape[-1], bias_init=1.0, name="style")(w).astype(x.dtype)
        kernel = self.param("kernel", nn.initializers.normal(1.0), (self.window, self.window, x.shape[-1], self.features))
        kernel = kernel / math.sqrt(math.prod(kernel.shape[:3]))
        y = checkpoint_name(convolve(x * style[:, None, None], kernel.astype(x.dtype), doubling=self.doubling), "layer")
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(x.dtype)
        if self.plain:
            return y + bias
        power = jnp.einsum("bi,io->bo", style.astype(jnp.float32) ** 2, (kernel**2).sum(axis=(0, 1)))
        y = y * jax.lax.rsqrt(power + 1e-8).astype(x.dtype)[:, None, None]
        if keys is not None:
            strength = self.param("noise", nn.initializers.zeros, ())
            drawn = jax.vmap(lambda key: jax.random.normal(key, y.shape[1:3]))(keys)
            if self.constant:
                kept = self.variable("noise", "constant", lambda: jax.random.normal(self.make_rng("params"), y.shape[1:3]))
                drawn = drawn if train else kept.value[None]
            y = y + (strength * drawn[..., None]).astype(y.dtype)
        return _rectified(y + bias)


class Equal(nn.Module):
    """A convolution with an equalised learning rate, a bias and, unless `linear`, a leaky ReLU. `halving` blurs first.

    Source: Karras et al. 2018 (PGGAN), arXiv:1710.10196, section 4.1.
    """

    features: int
    window: int = 3
    halving: bool = False
    use_bias: bool = True
    linear: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param("kernel", nn.initializers.normal(1.0), (self.window, self.window, x.shape[-1], self.features))
        kernel = kernel / math.sqrt(math.prod(kernel.shape[:3]))
        y = checkpoint_name(convolve(x, kernel.astype(x.dtype), halving=self.halving), "layer")
        if self.use_bias:
            y = y + self.param("bias", nn.initializers.zeros, (self.features,)).astype(x.dtype)
        return y if self.linear else _rectified(y)


class EqualDense(nn.Module):
    """x [B, C] -> [B, features], with an equalised learning rate that is `rate` times that of all else."""

    features: int
    rectified: bool = False
    rate: float = 1.0
    bias_init: float = 0.0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param("kernel", nn.initializers.normal(1 / self.rate), (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.constant(self.bias_init / self.rate), (self.features,))
        y = x @ (kernel * (self.rate / math.sqrt(x.shape[-1]))).astype(x.dtype) + (bias * self.rate).astype(x.dtype)
        return _rectified(y) if self.rectified else y


def _rectified(x: Array) -> Array:
    return nn.leaky_relu(x, 0.2) * math.sqrt(2)


def _unit(x: Array) -> Array:
    """x [B, C] with a mean square of one."""
    return x * jax.lax.rsqrt((x**2).mean(axis=-1, keepdims=True) + 1e-8)


def _key(z: Array) -> Array:
    """A key made of the bits of a latent [Z]."""
    bits = jax.lax.bitcast_convert_type(z.astype(jnp.float32), jnp.uint32)
    return jax.random.fold_in(jax.random.wrap_key_data(bits[:2], impl="threefry2x32"), bits[-1])


def _cut(key: Array, layers: int, share: float) -> Array:
    """The layer from which on another latent is mixed in: any but the first, for a share of samples; else none."""
    mixed_key, layer_key = jax.random.split(key)
    mixed = jax.random.uniform(mixed_key) < share
    return jnp.where(mixed, jax.random.randint(layer_key, (), 1, layers), layers)
