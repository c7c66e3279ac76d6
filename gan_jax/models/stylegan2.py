"""StyleGAN2, for images of any size 2^k * m, written from the papers.

All randomness of the generator other than z (the noise at each pixel, which latents are mixed) is drawn from a key derived from
the bits of z: the same z gives the same image, and the network stays a deterministic function of its arguments.

Source: Karras et al. 2020, arXiv:1912.04958, section 2 and figures 2 and 7; Karras et al. 2019 (StyleGAN), arXiv:1812.04948,
for mapping, noise, mixing and truncation; Karras et al. 2020 (ADA), arXiv:2006.06676, appendix D, for the CIFAR-10 networks:
`stylegan2(mapping=2, mixing=0.0, residual=False)`.
"""

import math
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.ad_checkpoint import checkpoint_name

from gan_jax.models.conditioning import check_condition, label_vector, stddev
from gan_jax.models.dcgan import halvings
from gan_jax.models.fir import convolve, double
from gan_jax.models.layers import latent_key
from gan_jax.types import Array, Shape

W_SIZE = 512  # length of w
MAPPING_RATE = 0.01  # learning rate of the mapping network, relative to all other layers
# Of the running average of w, per step of G. The authors' average has this decay too but also moves in D's steps, with new w.
W_DECAY = 0.995


class Generator(nn.Module):
    """z [B, Z] -> w by `mapping` dense layers -> a learned grid, doubled and convolved under styles -> images [B, H, W, C].

    The image is the sum of the images at all sizes (the skip architecture of figure 7). With `condition` "norm" the embedded
    label is mapped together with z. In training, a fraction `mixing` of samples use another latent's w in the finer layers;
    outside training, w is moved towards its average by `truncation`, the psi of the paper. There are `base` / size channels,
    at most `width`: a `base` of 16,384 as published for 256 pixels, 32,768 as for 1,024 and for CIFAR-10. With `noise` False
    there is no noise; with "constant" it is the same for all samples outside training. An argument `w` [B, layers, W_SIZE]
    replaces the one computed from z (see `mapping.py`) and is not truncated. Raises ValueError for z_dim below 2 and for an
    unknown `noise`.
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
        keys = jax.vmap(latent_key)(z)
        if w is not None:
            return self._synthesis(w, keys, train)
        vector = label_vector(label, self.num_classes) if self.condition == "norm" else None
        mapping = Mapping(self.mapping)
        w = mapping(z, vector)
        average = self.variable("average", "w", jnp.zeros, W_SIZE)
        layers = 2 * halvings(self.sample_shape) + 2  # including the last layer to an image
        if train:
            if self.is_mutable_collection("average") and not self.is_initializing():
                average.value = W_DECAY * average.value + (1 - W_DECAY) * w.mean(axis=0, dtype=average.value.dtype)
            w = jnp.repeat(w[:, None], layers, axis=1)
            if self.mixing > 0:
                other_z = jax.vmap(lambda key: jax.random.normal(jax.random.fold_in(key, 0), z.shape[1:], z.dtype))(keys)
                first_mixed = jax.vmap(lambda key: _first_mixed_layer(jax.random.fold_in(key, 1), layers, self.mixing))(keys)
                mixed = jnp.arange(layers)[None] >= first_mixed[:, None]
                w = jnp.where(mixed[..., None], mapping(other_z, vector)[:, None], w)
            self.sow("intermediates", "w", w)
        else:
            w = jnp.repeat(w[:, None], layers, axis=1)
            self.sow("intermediates", "w", w)
            middle = average.value[None, None]
            w = middle + self.truncation * (w - middle)
        return self._synthesis(w, keys, train)

    def affine_weights(self, params: Any) -> Array:
        """Return the linear maps of w to the styles of all convolutions and of the last layer to an image, side by side,
        [W_SIZE, sum of their channels]. See `mapping.py`."""
        layers = [params[f"Styled_{i}"] for i in range(sum(name.startswith("Styled_") for name in params))]
        # As in SeFa's code; the layers to smaller images share their w with the next convolution.
        used = [layer for layer in layers[:-1] if layer["kernel"].shape[0] > 1] + layers[-1:]
        return jnp.concatenate([layer["style"]["kernel"] for layer in used], axis=1)

    def _synthesis(self, w: Array, keys: Array, train: bool) -> Array:
        stages = halvings(self.sample_shape)
        height, width, image_channels = self.sample_shape
        grid = (height >> stages, width >> stages)
        start = self.param("start", nn.initializers.normal(1.0), (*grid, self._channels(grid)))
        x = jnp.broadcast_to(start, (w.shape[0], *start.shape))

        def styled(x: Array, channels: int, layer: int, doubling: bool = False) -> Array:
            noise_keys = jax.vmap(lambda key: jax.random.fold_in(key, 2 + layer))(keys) if self.noise else None
            constant = self.noise == "constant"
            return Styled(channels, doubling=doubling, constant=constant)(x, w[:, layer], noise_keys, train)

        x = styled(x, start.shape[-1], 0)
        image = Styled(image_channels, window=1, plain=True)(x, w[:, 1])
        for stage in range(1, stages + 1):
            channels = self._channels((height >> (stages - stage), width >> (stages - stage)))
            x = styled(x, channels, 2 * stage - 1, doubling=True)
            x = styled(x, channels, 2 * stage)
            # A layer to an image shares its w with the first convolution of the next stage.
            image = double(image) + Styled(image_channels, window=1, plain=True)(x, w[:, 2 * stage + 1])
        return image

    def _channels(self, size: tuple[int, int]) -> int:
        return max(1, min(self.width, self.base // max(size)))


class Discriminator(nn.Module):
    """images [B, H, W, C] -> halved to a small grid, by residual blocks or, with `residual` False, plain ones -> minibatch
    standard deviation over groups of `group` samples -> features [B, F] and logits computed from them. With `condition`
    "projection" the label is mapped by `label_mapping` dense layers (8 in all of the authors' configurations, whatever G's
    `mapping`), and the logit is the inner product of a linear map of the features with it."""

    sample_shape: Shape
    num_classes: int = 0
    width: int = 512
    norm: str = "none"
    condition: str = "none"
    outputs: int = 1
    base: int = 16_384
    label_mapping: int = 8
    residual: bool = True
    group: int = 4

    @nn.compact
    def __call__(self, x: Array, label: Array | None, train: bool) -> tuple[Array, Array]:
        check_condition(self.condition, ("none", "projection"), label, self.num_classes)
        stages = halvings(self.sample_shape)

        def channels(x: Array, halvings: int = 0) -> int:
            return max(1, min(self.width, self.base // (max(x.shape[1:3]) >> halvings)))

        x = Equal(channels(x), window=1)(x)
        for _ in range(stages):
            inner, out = channels(x), channels(x, halvings=1)
            h = Equal(out, halving=True)(Equal(inner)(x))
            if self.residual:
                h = (h + Equal(out, window=1, halving=True, use_bias=False, linear=True)(x)) * math.sqrt(0.5)
            x = h
        x = Equal(x.shape[-1])(stddev(x, self.group))
        features = EqualDense(x.shape[-1], rectified=True)(x.reshape(x.shape[0], -1))
        if self.condition == "projection":
            vector = label_vector(label, self.num_classes)
            embedded = Mapping(self.label_mapping)(None, vector).astype(features.dtype)
            logits = EqualDense(self.outputs * W_SIZE)(features).reshape(-1, self.outputs, W_SIZE)
            logits = jnp.einsum("bof,bf->bo", logits, embedded) / math.sqrt(W_SIZE)
        else:
            logits = EqualDense(self.outputs)(features)
        return logits[:, 0] if self.outputs == 1 else logits, features


class Mapping(nn.Module):
    """z [B, Z] and a label vector [B, K], either of them optional -> w [B, W_SIZE]: both normalised to a mean square of one,
    then `depth` dense layers with a low learning rate."""

    depth: int

    @nn.compact
    def __call__(self, z: Array | None, vector: Array | None) -> Array:
        inputs = [] if z is None else [_unit(z)]
        if vector is not None:
            embedded = _unit(EqualDense(W_SIZE, name="label")(vector))
            inputs.append(embedded if z is None else embedded.astype(z.dtype))
        x = jnp.concatenate(inputs, axis=-1)
        for number in range(self.depth):
            x = EqualDense(W_SIZE, rectified=True, rate=MAPPING_RATE, name=f"layer{number}")(x)
        return x


class Styled(nn.Module):
    """Modulated convolution of x [B, H, W, C]: the input channels of the kernel are scaled by a style, linear in w [B,
    W_SIZE], and its outputs are rescaled to unit variance (demodulation); then noise, a bias and a leaky ReLU.

    The noise is drawn from `keys`, one per sample; there is none if `keys` is None. With `constant` the noise outside
    training is the array stored in the collection "noise". With `plain`, as in the layers to an image, there is only
    modulation and a bias. The scales are applied to inputs and outputs, so that all samples share one kernel.

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
        bias = self.param("bias", nn.initializers.zeros, (self.features,)).astype(x.dtype)[None, None, None]
        if self.plain:
            return y + bias
        squares = (kernel.astype(jnp.float32) ** 2).sum(axis=(0, 1))
        power = jnp.einsum("bi,io->bo", style.astype(jnp.float32) ** 2, squares)
        y = y * jax.lax.rsqrt(power + 1e-8).astype(x.dtype)[:, None, None]
        if keys is not None:
            strength = self.param("noise", nn.initializers.zeros, ())
            noise = jax.vmap(lambda key: jax.random.normal(key, y.shape[1:3]))(keys)
            if self.constant:
                stored = self.variable("noise", "constant", lambda: jax.random.normal(self.make_rng("params"), y.shape[1:3]))
                noise = noise if train else stored.value[None]
            y = y + (strength.astype(noise.dtype) * noise[..., None]).astype(y.dtype)
        return _rectified(y + bias)


class Equal(nn.Module):
    """A convolution with equalised learning rate, a bias and, unless `linear`, a leaky ReLU. With `halving`, a blur and
    stride 2.

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
            y = y + self.param("bias", nn.initializers.zeros, (self.features,)).astype(x.dtype)[None, None, None]
        return y if self.linear else _rectified(y)


class EqualDense(nn.Module):
    """x [B, C] -> [B, features], with an equalised learning rate, which is `rate` times that of the other layers."""

    features: int
    rectified: bool = False
    rate: float = 1.0
    bias_init: float = 0.0

    @nn.compact
    def __call__(self, x: Array) -> Array:
        kernel = self.param("kernel", nn.initializers.normal(1 / self.rate), (x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.constant(self.bias_init / self.rate), (self.features,))
        y = x @ (kernel * (self.rate / math.sqrt(x.shape[-1]))).astype(x.dtype) + (bias * self.rate).astype(x.dtype)[None]
        return _rectified(y) if self.rectified else y


def _rectified(x: Array) -> Array:
    return nn.leaky_relu(x, 0.2) * math.sqrt(2)


def _unit(x: Array) -> Array:
    """Normalise x [B, C] to a mean square of one."""
    return x * jax.lax.rsqrt((x**2).mean(axis=-1, keepdims=True) + 1e-8)


def _first_mixed_layer(key: Array, layers: int, fraction: float) -> Array:
    """Draw the first layer that uses another latent: any layer but the first, for a fraction of samples; `layers` (no mixing)
    for the others."""
    mixed_key, layer_key = jax.random.split(key)
    mixed = jax.random.uniform(mixed_key) < fraction
    return jnp.where(mixed, jax.random.randint(layer_key, (), 1, layers), layers)
