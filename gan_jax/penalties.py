"""Regularisers of the discriminator: `f(critic, real, fake, key) -> float32 scalar`; the caller multiplies by `gamma`.

Each public function is a value of `--penalty`, and so is a sum of them: `--penalty "r1 + 0.3 * lecam"`. Keyword-only arguments
are options, as in `gradient_penalty(center=0.0)`. `real` and `fake` are raw samples. `critic` is the whole discriminator, with
augmentation, labels and parameters bound: gradients are taken through all of it, and a sample and its transformed copy are
augmented alike. Norms run over all non-batch axes of all leaves, so a sample may be a point, an image, a sequence or a graph.

If D judges patches, with logits [B, P], gradient penalties take the gradient of their mean over a sample's patches, so that
weights do not depend on P (codes that sum the logits have P times the gradient); the other penalties compare patch by patch.
Gradient penalties and `lecam` raise ValueError for a D with several outputs (`d_outputs`), which are not logits of one kind.
"""

from functools import partial

import jax
import jax.numpy as jnp

from gan_jax import augment
from gan_jax.imaging.resample import translate
from gan_jax.models.layers import non_orthogonality
from gan_jax.types import Array, Critic, Memory, Sample, StatefulPenalty


def r1(critic: Critic, real: Sample, fake: Sample, key: Array) -> Array:
    """Half the squared gradient norm at real samples: E |grad D(x)|^2 / 2. For a linear critic w.x it is |w|^2 / 2.

    Source: Mescheder et al. 2018, arXiv:1801.04406, eq. 9.
    """
    return 0.5 * _squared_gradient_norm("r1", critic, real).mean()


def r2(critic: Critic, real: Sample, fake: Sample, key: Array) -> Array:
    """Half the squared gradient norm at generated samples: E |grad D(G(z))|^2 / 2.

    Source: Mescheder et al. 2018, arXiv:1801.04406, eq. 10.
    """
    return 0.5 * _squared_gradient_norm("r2", critic, fake).mean()


def r1_r2(critic: Critic, real: Sample, fake: Sample, key: Array) -> Array:
    """R1 + R2, with which the relativistic game converges locally.

    Source: Huang et al. 2024 (R3GAN), arXiv:2501.05441, proposition 2.
    """

    def total(pair: tuple[Sample, Sample]) -> Array:
        return sum(map(_total, _pair_logits("r1_r2", critic, *pair)))

    real_norm, fake_norm = map(_squared_norm, jax.grad(total)((real, fake)))
    return 0.5 * real_norm.mean() + 0.5 * fake_norm.mean()


def gradient_penalty(critic: Critic, real: Sample, fake: Sample, key: Array, *, center: float = 1.0) -> Array:
    """Gradient penalty at random points x~ on the segments between paired real and fake samples: E (|grad D(x~)| - center)^2.
    The default is WGAN-GP; `center=0.0` is 0-GP, which makes D flat between real and fake samples instead of giving it a slope.
    Raises ValueError if real and fake differ in shape, or if the center is negative.

    Source: Gulrajani et al. 2017 (WGAN-GP), arXiv:1704.00028, eq. 3; Thanh-Tung et al. 2019 (0-GP), arXiv:1902.03984.
    """
    return _centred_penalty("gradient_penalty", critic, _interpolate("gradient_penalty", real, fake, key), center)


def dragan(critic: Critic, real: Sample, fake: Sample, key: Array, *, spread: float = 0.5, center: float = 1.0) -> Array:
    """Gradient penalty around the real samples: E (|grad D(x + d)| - center)^2, so that D has no sharp peaks at the data.

    d = u * spread * std * v, where std is the standard deviation of all values in the batch (for each leaf), u is uniform on
    [0, 1) per sample and v per value. Raises ValueError if the spread or the center is negative.

    Source: Kodali et al. 2017, arXiv:1705.07215. We follow the authors' code, whose perturbations are never negative; their
    formula has d ~ N(0, c I).
    """
    if spread < 0:
        raise ValueError(f"dragan's spread is a fraction of the batch's standard deviation, at least 0; got {spread}")
    scale_key, noise_key = jax.random.split(key)
    scale = jax.random.uniform(scale_key, (jax.tree.leaves(real)[0].shape[0],))

    def perturb(key: Array, x: Array) -> Array:
        noise = _expand_to(scale, x) * jax.random.uniform(key, x.shape)
        return x + (spread * x.astype(jnp.float32).std() * noise).astype(x.dtype)

    return _centred_penalty("dragan", critic, jax.tree.map(perturb, _leaf_keys(noise_key, real), real), center)


def max_gradient_penalty(critic: Critic, real: Sample, fake: Sample, key: Array) -> Array:
    """The largest squared gradient norm in the batch, max |grad D(x~)|^2, at points drawn as in `gradient_penalty`: a lower
    estimate of D's squared Lipschitz constant. Raises ValueError if real and fake differ in shape.

    Source: Zhou et al. 2019 (LGAN's MaxGP), arXiv:1902.05687. Their code can keep the worst points for the next batch; we draw
    all points afresh.
    """
    points = _interpolate("max_gradient_penalty", real, fake, key)
    return _squared_gradient_norm("max_gradient_penalty", critic, points).max()


def consistency(
    critic: Critic,
    real: Sample,
    fake: Sample,
    key: Array,
    *,
    flip: bool = True,
    reach: float = 0.125,
    noise: float = 0.05,
) -> Array:
    """Consistency regularisation: D's output should not change under a transformation T of real samples. The penalty is
    E |D(x) - D(T(x))|^2, summed over D's outputs.

    For images [B, H, W, C], T mirrors half of them (set `flip=False` if mirroring changes the content, as for digits) and
    shifts each along each axis by up to int(size * reach) pixels, reflecting it at its borders. For other samples T adds
    normal noise to each leaf, `noise` times the leaf's standard deviation over the batch. Raises ValueError for a reach outside
    (0, 1].

    Source: Zhang et al. 2020 (CR-GAN), arXiv:1910.12027, algorithm 1, weight 10; the reach of 1/8 (their 4 of 32 pixels) and
    the reflection are those of StudioGAN's code. They consider images only; the noise is ours.
    """
    return _inconsistency(critic, real, _transform(key, real, flip, reach, noise))


def balanced_consistency(
    critic: Critic,
    real: Sample,
    fake: Sample,
    key: Array,
    *,
    flip: bool = True,
    reach: float = 0.125,
    noise: float = 0.05,
) -> Array:
    """bCR: `consistency` on real and generated samples, so that G does not learn to generate transformed ones.

    Source: Zhao et al. 2021, arXiv:2002.04724, algorithm 1, both weights 10.
    """
    real_key, fake_key = jax.random.split(key)
    real_term = _inconsistency(critic, real, _transform(real_key, real, flip, reach, noise))
    return real_term + _inconsistency(critic, fake, _transform(fake_key, fake, flip, reach, noise))


def latent_consistency(critic: Critic, real: Sample, fake: Sample, key: Array, *, sigma: float = 0.03) -> Array:
    """zCR, the discriminator's part: D's output should be the same for nearby latents. The penalty is
    E |D(G(z)) - D(G(z + n))|^2 with n ~ N(0, sigma^2 I). The generator's part, `--g_penalty latent_consistency`, keeps those
    samples apart.

    Raises ValueError for a critic without the generator and its latents, and if D receives packs of samples.

    Source: Zhao et al. 2021, arXiv:2002.04724, algorithm 2, weight 5 together with a weight of 0.5 for G.
    """
    synthesis = getattr(critic, "synthesis", None)
    if synthesis is None or synthesis.z is None:
        raise ValueError("latent_consistency needs the generator: critic.synthesis with its latents z")
    nearby = synthesis.z + sigma * jax.random.normal(key, synthesis.z.shape, synthesis.z.dtype)
    samples = synthesis(synthesis.z)
    g_shapes, d_shapes = jax.tree.map(jnp.shape, samples), jax.tree.map(jnp.shape, fake)
    if g_shapes != d_shapes:
        raise ValueError(f"latent_consistency: G generates samples {g_shapes}, but D receives {d_shapes}: set pack to 1")
    return _inconsistency(critic, samples, synthesis(nearby))


def improved_consistency(
    critic: Critic,
    real: Sample,
    fake: Sample,
    key: Array,
    *,
    real_weight: float = 10.0,
    fake_weight: float = 10.0,
    latent_weight: float = 5.0,
    sigma: float = 0.03,
    flip: bool = True,
    reach: float = 0.125,
    noise: float = 0.05,
) -> Array:
    """ICR, the discriminator's part: bCR with separate weights for real and fake samples, plus zCR. The weights are included:
    use a gamma of 1. The generator's part is `--g_penalty latent_consistency --g_gamma 0.5`. Options and errors are those of
    `consistency` and `latent_consistency`.

    Source: Zhao et al. 2021, arXiv:2002.04724, algorithms 1 and 2.
    """
    real_key, fake_key, latent_key = jax.random.split(key, 3)
    real_term = _inconsistency(critic, real, _transform(real_key, real, flip, reach, noise))
    fake_term = _inconsistency(critic, fake, _transform(fake_key, fake, flip, reach, noise))
    latent_term = latent_consistency(critic, real, fake, latent_key, sigma=sigma)
    return real_weight * real_term + fake_weight * fake_term + latent_weight * latent_term


@partial(StatefulPenalty, memory={"real_logit": 0.0, "fake_logit": 0.0, "weight": 0.0, "count": 0.0})
def lecam(
    critic: Critic,
    real: Sample,
    fake: Sample,
    key: Array,
    *,
    decay: float = 0.99,
    one_sided: bool = True,
    start: int = 0,
) -> tuple[Array, Memory]:
    """LeCam regularisation, for limited data: pull D's logits of real samples down to the running mean a_fake of its fake
    logits, and those of fake samples up to a_real: E max(0, D(x) - a_fake)^2 + E max(0, a_real - D(G(z)))^2. Returns (scalar,
    new memory). Without `one_sided` the differences are squared without the maximum, as in the paper's formula.

    The means are updated before they are used, debiased (divided by the weights that they have received), and constants in
    the gradient. Up to D's update number `start` the penalty is 0, and the means are those of the latest batch. Raises
    ValueError for a decay outside [0, 1).

    Source: Tseng et al. 2021, arXiv:2104.03310, R_LC, and the authors' code, which is one-sided. For StyleGAN2 it debiases, for
    BigGAN it starts after 1,000 of G's updates. Weights are around 0.3.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"lecam's decay is the weight of the past in a running mean, 0 <= decay < 1; got {decay}")
    real_logits, fake_logits = _pair_logits("lecam", critic, real, fake)
    count = jnp.minimum(critic.memory["count"] + 1, start + 1)
    past = jnp.where(count < start, 0, decay)
    new = {"real_logit": real_logits.mean(), "fake_logit": fake_logits.mean(), "weight": 1.0}
    memory = {name: jax.lax.stop_gradient(past * critic.memory[name] + (1 - past) * value) for name, value in new.items()}
    real_gap = real_logits - memory["fake_logit"] / memory["weight"]
    fake_gap = memory["real_logit"] / memory["weight"] - fake_logits
    if one_sided:
        real_gap, fake_gap = jax.nn.relu(real_gap), jax.nn.relu(fake_gap)
    value = jnp.square(real_gap).mean() + jnp.square(fake_gap).mean()
    return jnp.where(count > start, value, 0), memory | {"count": count}


def orthogonal(critic: Critic, real: Sample, fake: Sample, key: Array) -> Array:
    """Orthogonal regularisation, without a constraint on the norms of the filters: |W^T W * (1 - I)|_F^2, summed over D's
    kernels. A kernel [..., C] is reshaped to a matrix W [-1, C]; every parameter with at least two axes counts as a kernel.
    Raises ValueError for a network without such parameters.

    Source: Brock et al. 2019 (BigGAN), arXiv:1809.11096, eq. 3, weight 1e-4, excluding class embeddings. The author's PyTorch
    code adds half of this function's gradient to that of the loss: a weight of 5e-5 here is its 1e-4.
    """
    return non_orthogonality(getattr(critic, "params", None))


def _centred_penalty(name: str, critic: Critic, x: Sample, center: float) -> Array:
    """E (|grad D(x)| - center)^2"""
    if center < 0:
        raise ValueError(f"{name}'s center is a gradient norm, at least 0; got {center}")
    squared_norm = _squared_gradient_norm(name, critic, x)
    # sqrt has no derivative at 0, the gradient norm of a constant critic; the floor makes it 0 there instead of NaN.
    norm = jnp.sqrt(jnp.maximum(squared_norm, 1e-12))
    return jnp.square(norm - center).mean()


def _squared_gradient_norm(name: str, critic: Critic, x: Sample) -> Array:
    """Return |grad_x critic(x)|^2 for each sample, float32 [B]."""
    return _squared_norm(jax.grad(lambda x: _total(_single_output(name, critic(x), critic)))(x))


def _total(logits: Array) -> Array:
    """Sum logits [B], or the means of logits [B, P] over patches, over the samples."""
    return logits.reshape(len(logits), -1).mean(axis=1).sum()


def _squared_norm(x: Sample) -> Array:
    """Return the squared norm of each sample, float32 [B]."""
    return sum(jnp.square(leaf.astype(jnp.float32)).sum(axis=tuple(range(1, leaf.ndim))) for leaf in jax.tree.leaves(x))


def _pair_logits(name: str, critic: Critic, real: Sample, fake: Sample) -> tuple[Array, Array]:
    """Return the logits of real and of fake samples, from one pass if the critic has a `pair`."""
    pair = getattr(critic, "pair", None)
    logits = (critic(real), critic(fake)) if pair is None else pair(real, fake)
    return tuple(_single_output(name, x, critic) for x in logits)


def _single_output(name: str, logits: Array, critic: Critic) -> Array:
    """Return logits in float32, [B] or [B, P]; raise ValueError for a D with several outputs."""
    if getattr(critic, "outputs", 1) > 1:
        raise ValueError(
            f"{name} needs one logit per sample, D returns {logits.shape}: set d_outputs to 1 or use spectral norm"
        )
    return logits.astype(jnp.float32)


def _interpolate(name: str, real: Sample, fake: Sample, key: Array) -> Sample:
    """Draw a uniformly random point on the segment between fake sample i and real sample i, for each i."""
    real_shapes, fake_shapes = jax.tree.map(jnp.shape, real), jax.tree.map(jnp.shape, fake)
    if real_shapes != fake_shapes:
        raise ValueError(f"{name} pairs real with fake samples: shapes {real_shapes} and {fake_shapes} differ")
    fraction = jax.random.uniform(key, (jax.tree.leaves(real)[0].shape[0],))

    def interpolate_leaf(real: Array, fake: Array) -> Array:
        weight = _expand_to(fraction, real).astype(real.dtype)
        return weight * real + (1 - weight) * fake

    return jax.tree.map(interpolate_leaf, real, fake)


def _inconsistency(critic: Critic, x: Sample, transformed: Sample) -> Array:
    """E |D(x) - D(transformed)|^2"""
    difference = critic(x).astype(jnp.float32) - critic(transformed).astype(jnp.float32)
    return jnp.square(difference).reshape(difference.shape[0], -1).sum(axis=1).mean()


def _transform(key: Array, x: Sample, flip: bool, reach: float, noise: float) -> Sample:
    """Return T(x) of `consistency`."""
    if getattr(x, "ndim", None) == 4:
        if not 0 < reach <= 1:
            raise ValueError(f"consistency's reach is a fraction of the image in (0, 1], got {reach}")
        flip_key, rows_key, columns_key = jax.random.split(key, 3)
        mirrored = augment.flip(flip_key, x, 1.0) if flip else x

        def offset(key: Array, size: int) -> Array:
            max_offset = int(size * reach)
            return jax.random.randint(key, (x.shape[0],), -max_offset, max_offset + 1)

        return translate(mirrored, offset(rows_key, x.shape[1]), offset(columns_key, x.shape[2]))

    def add_noise(key: Array, x: Array) -> Array:
        return x + (noise * x.astype(jnp.float32).std() * jax.random.normal(key, x.shape)).astype(x.dtype)

    return jax.tree.map(add_noise, _leaf_keys(key, x), x)


def _leaf_keys(key: Array, tree: Sample) -> Sample:
    """Split `key` into one key for each leaf of `tree`."""
    leaves, structure = jax.tree.flatten(tree)
    return structure.unflatten(list(jax.random.split(key, len(leaves))))


def _expand_to(values: Array, x: Array) -> Array:
    """Reshape one value per sample, [B], to broadcast against x [B, ...]."""
    return values.reshape(-1, *(1,) * (x.ndim - 1))
