"""Regularisers of the discriminator: `f(critic, real, fake, key) -> float32 scalar`, weighted by `gamma` outside.

Each public function here is a value of `--penalty`, and so is a sum of them: `--penalty "r1 + 0.3 * lecam"`; its keyword-only
arguments are options, as in `gradient_penalty(center=0.0)`. `real` and `fake` are raw samples; whatever augmentation, labels
and parameters belong to the discriminator are bound in `critic`, so gradients are those of the whole of it, and a sample and
its changed copy are augmented alike. Norms run over all non-batch axes of all leaves, so that a sample may be a point, an
image, a sequence or a graph.

Gradient penalties need one logit a sample, and so does `lecam`; they raise ValueError for logits [B, K].
"""

from functools import partial

import jax
import jax.numpy as jnp

from gan_jax import augment
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
    """R1 + R2, the regulariser under which the relativistic game converges locally.

    Source: Huang et al. 2024 (R3GAN), arXiv:2501.05441, proposition 2.
    """
    real_norm, fake_norm = (_squared_gradient_norm("r1_r2", critic, x) for x in (real, fake))
    return 0.5 * real_norm.mean() + 0.5 * fake_norm.mean()


def gradient_penalty(critic: Critic, real: Sample, fake: Sample, key: Array, *, center: float = 1.0) -> Array:
    """Gradient penalty on the segments between paired real and fake samples: E (|grad D(x~)| - center)^2. One-centred it is
    WGAN-GP's; with `center=0.0` it is 0-GP, which flattens D between real and fake rather than giving it a slope.
    Raises ValueError where real and fake differ in shape, and for a center below 0.

    Source: Gulrajani et al. 2017 (WGAN-GP), arXiv:1704.00028, eq. 3; Thanh-Tung et al. 2019 (0-GP), arXiv:1902.03984.
    """
    return _distance_from("gradient_penalty", critic, _between("gradient_penalty", real, fake, key), center)


def dragan(critic: Critic, real: Sample, fake: Sample, key: Array, *, spread: float = 0.5, center: float = 1.0) -> Array:
    """Gradient penalty around the real samples: E (|grad D(x + d)| - center)^2, so that D has no sharp peaks at the data.

    d = u * spread * std * v, where std is that of all numbers of the batch (of each leaf), u is uniform on [0, 1) for each
    sample and v for each of its numbers. Raises ValueError for a spread or a center below 0.

    Source: Kodali et al. 2017, arXiv:1705.07215, with the authors' code: their formula has d ~ N(0, c I), their code what is
    here, which moves samples upwards only.
    """
    if spread < 0:
        raise ValueError(f"dragan's spread is a share of the batch's standard deviation, at least 0; got {spread}")
    share_key, noise_key = jax.random.split(key)
    share = jax.random.uniform(share_key, (jax.tree.leaves(real)[0].shape[0],))

    def perturbed(key: Array, x: Array) -> Array:
        noise = _of_each(share, x) * jax.random.uniform(key, x.shape)
        return x + (spread * x.astype(jnp.float32).std() * noise).astype(x.dtype)

    return _distance_from("dragan", critic, jax.tree.map(perturbed, _keys(noise_key, real), real), center)


def max_gradient_penalty(critic: Critic, real: Sample, fake: Sample, key: Array) -> Array:
    """The largest squared gradient norm of the batch, max |grad D(x~)|^2 at points drawn as in `gradient_penalty`: an estimate,
    from below, of D's squared Lipschitz constant. Raises ValueError where real and fake differ in shape.

    Source: Zhou et al. 2019 (LGAN, its MaxGP), arXiv:1902.05687. Their code can keep the worst points for the next batch;
    we draw all anew.
    """
    return _squared_gradient_norm("max_gradient_penalty", critic, _between("max_gradient_penalty", real, fake, key)).max()


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
    """D is to say the same of a real sample and of a changed copy: E |D(x) - D(T(x))|^2, summed over D's outputs.

    T mirrors an image [B, H, W, C] for half the samples (`flip=False` where a mirrored image is another one, as with digits)
    and shifts it by up to `reach` of its sides, a pixel at least. To any other sample, and to each leaf of a tree, it adds
    normal noise of `noise` times the standard deviation of the batch. Raises ValueError for a reach outside (0, 1].

    Source: Zhang et al. 2020 (CR-GAN), arXiv:1910.12027, algorithm 1, weight 10; 1/8 is their 4 of 32 pixels. They know
    images only, noise is ours; what comes in at the edge is -1.
    """
    return _inconsistency(critic, real, _changed(key, real, flip, reach, noise))


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
    """bCR: `consistency` on real and on generated samples, so that G does not learn to make changed ones.

    Source: Zhao et al. 2021, arXiv:2002.04724, algorithm 1, both weights 10.
    """
    real_key, fake_key = jax.random.split(key)
    on_real = _inconsistency(critic, real, _changed(real_key, real, flip, reach, noise))
    return on_real + _inconsistency(critic, fake, _changed(fake_key, fake, flip, reach, noise))


def latent_consistency(critic: Critic, real: Sample, fake: Sample, key: Array, *, sigma: float = 0.03) -> Array:
    """zCR, the discriminator's half: D is to say the same of the samples of near latents, E |D(G(z)) - D(G(z + n))|^2 with
    n ~ N(0, sigma^2 I). The generator's half, `latent_consistency` of `--g_penalty`, keeps those samples apart.
    Raises ValueError for a critic without the generator and its latents, and where D judges packs.

    Source: Zhao et al. 2021, arXiv:2002.04724, algorithm 2, weight 5 beside a G weight of 0.5.
    """
    synthesis = getattr(critic, "synthesis", None)
    if synthesis is None or synthesis.z is None:
        raise ValueError("latent_consistency needs a critic that knows the generator: critic.synthesis with its latents z")
    near = synthesis.z + sigma * jax.random.normal(key, synthesis.z.shape, synthesis.z.dtype)
    made = synthesis(synthesis.z)
    made_shapes, judged_shapes = jax.tree.map(jnp.shape, made), jax.tree.map(jnp.shape, fake)
    if made_shapes != judged_shapes:
        raise ValueError(f"latent_consistency: G makes samples {made_shapes}, D judges {judged_shapes}: set pack to 1")
    return _inconsistency(critic, made, synthesis(near))


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
    """ICR, the discriminator's part: bCR with a weight for each kind of sample, plus zCR. The weights are in here, for a
    gamma of 1; the generator's part is `--g_penalty latent_consistency --g_gamma 0.5`. Options and errors as in `consistency`
    and `latent_consistency`.

    Source: Zhao et al. 2021, arXiv:2002.04724, algorithms 1 and 2.
    """
    real_key, fake_key, latent_key = jax.random.split(key, 3)
    on_real = _inconsistency(critic, real, _changed(real_key, real, flip, reach, noise))
    on_fake = _inconsistency(critic, fake, _changed(fake_key, fake, flip, reach, noise))
    on_latents = latent_consistency(critic, real, fake, latent_key, sigma=sigma)
    return real_weight * on_real + fake_weight * on_fake + latent_weight * on_latents


@partial(StatefulPenalty, memory={"real_logit": 0.0, "fake_logit": 0.0})
def lecam(
    critic: Critic, real: Sample, fake: Sample, key: Array, *, decay: float = 0.99, one_sided: bool = False
) -> tuple[Array, Memory]:
    """Draws D's logits of real samples towards where those of fake ones have been, and the reverse, for training on little
    data: E (D(x) - a_fake)^2 + E (a_real - D(G(z)))^2, with running means a of D's logits -> (scalar, the new means).

    The means begin at 0, move before they are used, and count as constants. With `one_sided` each difference is cut off at 0:
    fake logits above a_real, and real ones below a_fake, are left alone. Raises ValueError for a decay outside [0, 1).

    Source: Tseng et al. 2021, arXiv:2104.03310, R_LC, weights around 0.3; the authors' code is one-sided.
    """
    if not 0 <= decay < 1:
        raise ValueError(f"lecam's decay is the share of the past in a running mean, 0 <= decay < 1; got {decay}")
    real_logits, fake_logits = (_one_logit("lecam", critic(x)) for x in (real, fake))
    now = {"real_logit": real_logits.mean(), "fake_logit": fake_logits.mean()}
    memory = {name: jax.lax.stop_gradient(decay * critic.memory[name] + (1 - decay) * now[name]) for name in now}
    real_gap, fake_gap = real_logits - memory["fake_logit"], memory["real_logit"] - fake_logits
    if one_sided:
        real_gap, fake_gap = jax.nn.relu(real_gap), jax.nn.relu(fake_gap)
    return jnp.square(real_gap).mean() + jnp.square(fake_gap).mean(), memory


def orthogonal(critic: Critic, real: Sample, fake: Sample, key: Array) -> Array:
    """The filters of a layer are to be orthogonal, of whatever length: |W^T W * (1 - I)|_F^2, summed over the kernels. A
    kernel [..., C] is a matrix W [everything else, C]; each parameter with two axes or more counts as one.
    Raises ValueError for a network without such parameters.

    Source: Brock et al. 2019 (BigGAN), arXiv:1809.11096, eq. 3, weight 1e-4. They leave embeddings of classes out.
    """
    return non_orthogonality(getattr(critic, "params", None))


def _distance_from(name: str, critic: Critic, x: Sample, center: float) -> Array:
    """E (|grad D(x)| - center)^2"""
    if center < 0:
        raise ValueError(f"{name}'s center is a norm of gradients, at least 0; got {center}")
    squared_norm = _squared_gradient_norm(name, critic, x)
    # sqrt has no derivative at 0, where a constant critic begins; the floor makes it 0 there instead of NaN.
    norm = jnp.sqrt(jnp.maximum(squared_norm, 1e-12))
    return jnp.square(norm - center).mean()


def _squared_gradient_norm(name: str, critic: Critic, x: Sample) -> Array:
    """|grad_x critic(x)|^2 of each sample, [B] in float32."""
    gradient = jax.grad(lambda x: _one_logit(name, critic(x)).sum())(x)
    return sum(jnp.square(leaf.astype(jnp.float32)).sum(axis=tuple(range(1, leaf.ndim))) for leaf in jax.tree.leaves(gradient))


def _one_logit(name: str, logits: Array) -> Array:
    """Logits [B] in float32."""
    if logits.ndim != 1:
        raise ValueError(f"{name} needs one logit a sample, D gives {logits.shape}: set d_outputs to 1 or use spectral norm")
    return logits.astype(jnp.float32)


def _between(name: str, real: Sample, fake: Sample, key: Array) -> Sample:
    """A point of each segment from a fake sample to the real one beside it."""
    real_shapes, fake_shapes = jax.tree.map(jnp.shape, real), jax.tree.map(jnp.shape, fake)
    if real_shapes != fake_shapes:
        raise ValueError(f"{name} pairs real with fake samples: shapes {real_shapes} and {fake_shapes} differ")
    share = jax.random.uniform(key, (jax.tree.leaves(real)[0].shape[0],))

    def between(a: Array, b: Array) -> Array:
        weight = _of_each(share, a).astype(a.dtype)
        return weight * a + (1 - weight) * b

    return jax.tree.map(between, real, fake)


def _inconsistency(critic: Critic, x: Sample, changed: Sample) -> Array:
    """E |D(x) - D(changed)|^2"""
    change = critic(x).astype(jnp.float32) - critic(changed).astype(jnp.float32)
    return jnp.square(change).reshape(change.shape[0], -1).sum(axis=1).mean()


def _changed(key: Array, x: Sample, flip: bool, reach: float, noise: float) -> Sample:
    """T(x) of `consistency`."""
    if getattr(x, "ndim", None) == 4:
        flip_key, shift_key = jax.random.split(key)
        mirrored = augment.flip(flip_key, x, 1.0) if flip else x
        return augment.translation(shift_key, mirrored, 1.0, reach=reach)

    def noisy(key: Array, x: Array) -> Array:
        return x + (noise * x.astype(jnp.float32).std() * jax.random.normal(key, x.shape)).astype(x.dtype)

    return jax.tree.map(noisy, _keys(key, x), x)


def _keys(key: Array, tree: Sample) -> Sample:
    """A key for each leaf."""
    leaves, structure = jax.tree.flatten(tree)
    return structure.unflatten(list(jax.random.split(key, len(leaves))))


def _of_each(number: Array, x: Array) -> Array:
    """A number of each sample, [B], to be multiplied with x [B, ...]."""
    return number.reshape(-1, *(1,) * (x.ndim - 1))
