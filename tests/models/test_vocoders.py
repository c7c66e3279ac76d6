"""Vocoders: the parts of the networks by hand, losses and penalties, data and metrics."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import g_penalties, losses, spectrogram
from gan_jax.data.dataset import Protocol
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.models import hifigan, vocos
from gan_jax.types import Critic, Synthesis

Z = jnp.ones((2, 1))
SMALL = {"periods": (3,), "resolutions": ((64, 24, 48),)}


def shapes(network, x, label=None):
    """Return the shapes of the output and of the parameters."""
    out, variables = jax.eval_shape(lambda x: network.init_with_output(jax.random.key(0), x, label, train=True), x)
    return out, variables["params"]


def test_shapes_of_the_discriminators():
    (logits, features), _ = shapes(hifigan.Discriminator((8_192, 1), outputs=8 * 32), jnp.ones((2, 8_192, 1)))
    assert logits.shape == (2, 8 * 32) and features.shape[0] == 2


def test_dilated_convolution():
    """Against XLA's dilated convolution, for lengths that the dilation divides and does not divide."""
    x = jnp.asarray(np.random.RandomState(0).randn(2, 31, 4), jnp.float32)
    for length, dilation in ((31, 5), (30, 3)):
        module = Dilated(dilation)
        kernel = jnp.sin(jnp.arange(7.0 * 16)).reshape(7, 1, 4, 4)
        variables = {"params": {"Conv_0": {"kernel": kernel, "bias": jnp.zeros(4)}}}
        layout = ("NWC", "WIO", "NWC")
        expected = jax.lax.conv_general_dilated(
            x[:, :length], kernel[:, 0], (1,), "SAME", rhs_dilation=(dilation,), dimension_numbers=layout
        )
        np.testing.assert_allclose(jax.jit(module.apply)(variables, x[:, :length]), expected, atol=1e-5)


class Dilated(hifigan.nn.Module):
    dilation: int

    @hifigan.nn.compact
    def __call__(self, x):
        return hifigan._dilated(x, 7, self.dilation)


def test_means_of_parts():
    """Parts of one and a half positions, and positions of two parts."""
    x = jnp.array([[[1.0, 2.0, 4.0]]])
    np.testing.assert_allclose(hifigan._means_of_parts(x, 1), [[7 / 3]], rtol=1e-6)
    np.testing.assert_allclose(hifigan._means_of_parts(x, 2), [[(1 + 2 / 2) / 1.5, (2 / 2 + 4) / 1.5]], rtol=1e-6)
    np.testing.assert_allclose(hifigan._means_of_parts(x, 6), [[1, 1, 2, 2, 4, 4]], rtol=1e-6)


def test_vocos_generates_a_tone():
    """A tone of amplitude 1 in bin 32 has 1/2 in that bin and, by the Hann window, -1/4 in its neighbours, in every frame."""
    generator = vocos.Generator((1_024, 1), width=4, depth=1, bands=3, fft=256)
    label = jnp.ones((1, 8 * 3))
    params = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), shapes(generator, Z[:1], label)[1])
    magnitude, phase = np.full(129, -30.0), np.zeros(129)
    magnitude[31:34] = np.log(128 * np.array([0.25, 0.5, 0.25]))
    phase[[31, 33]] = np.pi
    params["Dense_0"]["bias"] = jnp.float32(np.concatenate([magnitude, phase]))
    wave = jax.jit(lambda params: generator.apply({"params": params}, Z[:1], label, True))(params)
    np.testing.assert_allclose(wave[0, :, 0], np.cos(2 * np.pi * 32 * np.arange(1_024) / 256), atol=1e-4)


def test_several_logits_per_clip():
    x = jnp.ones((2, 240, 1))
    for outputs, shape in ((6, (2, 6)), (1, (2,))):
        (logits, features), _ = shapes(hifigan.Discriminator((240, 1), width=1, outputs=outputs, **SMALL), x)
        assert logits.shape == shape and features.ndim == 2


def test_losses():
    real, fake = jnp.array([[0.5, 2.0], [1.0, 1.0]]), jnp.array([[0.0, 0.5], [-2.0, 1.5]])
    d_loss, g_loss = losses.vocoder_least_squares(real, fake)
    np.testing.assert_allclose([d_loss, g_loss], [1.25 / 4 + 6.5 / 4, (1 + 0.25 + 9 + 0.25) / 4])
    d_loss, g_loss = losses.vocoder_hinge(real, fake)
    np.testing.assert_allclose([d_loss, g_loss], [0.5 / 4 + (1 + 1.5 + 0 + 2.5) / 4, (1 + 0.5 + 3 + 0) / 4])


def test_penalties_compare_each_waveform_with_its_target():
    """A waveform twice as loud is ln 2 nepers off, and its features of D differ; exchanged waveforms do not match."""
    real = jnp.asarray(0.1 * np.random.RandomState(0).randn(2, 1_024, 1), jnp.float32)
    features = Critic(lambda x: x.sum(axis=(1, 2)), lambda x: jnp.concatenate([x[:, :3, 0], 2 * x[:, 3:5, 0]], axis=1))
    fakes = {"equal": real, "louder": 2 * real, "exchanged": real[::-1]}

    @jax.jit
    def penalties(fake):
        arguments = (Synthesis(lambda z: fake, Z), features, real, None)
        return g_penalties.mel_l1(*arguments), g_penalties.layer_feature_matching(*arguments)

    values = {name: penalties(fake) for name, fake in fakes.items()}
    assert values["equal"] == (0, 0)
    weights = np.array([1, 1, 1, 2, 2]) * np.abs(real[:, :5, 0])
    np.testing.assert_allclose(values["louder"], (math.log(2), weights.sum(axis=1).mean()), rtol=1e-4)
    assert values["exchanged"][0] > 0.1 and values["exchanged"][1] > 0.1
    with pytest.raises(ValueError, match="returns logits only"):
        g_penalties.layer_feature_matching(Synthesis(lambda z: real, Z), Critic(lambda x: x), real, None)


def test_label_spectrogram():
    """F * bands numbers per clip, frame after frame."""
    mel = np.random.RandomState(0).randn(2, 8, 5)
    np.testing.assert_array_equal(hifigan.label_spectrogram(mel.reshape(2, -1), (1_024, 1), 5), mel)


def test_batches_of_vocoder_data():
    """Each row of a batch has a waveform and its spectrogram."""
    data = load('audio(form="vocoder", length=1024)', 0, 4)
    batch = data.batch_at(0)
    mel = spectrogram.log_mel(batch.real[..., 0], 8_000, 64)
    np.testing.assert_allclose(hifigan.label_spectrogram(batch.label, data.sample_shape, 64), mel, atol=1e-4)
    with pytest.raises(InputError, match="is evaluated clip by clip: leave off --extractor and --metrics"):
        data.evaluator(data, Protocol(metrics=("frechet",)))


@pytest.mark.slow
def test_metrics_of_vocoders():
    """Real waveforms have distance 0 from themselves, but not from Griffin-Lim reconstructions or from one another."""
    data = load('audio(form="vocoder", length=1024)', 0, 4)
    measure = data.evaluator(data, Protocol())
    real, label = np.asarray(data.to_float(data.test.samples[:8])), data.test.labels[:8]
    result = measure(real, label)
    assert all(result[name] < 1e-5 < 0.01 < result[f"{name}_griffin_lim"] for name in ("mel_l1", "mstft", "mcd"))
    assert measure(real[::-1], label)["mel_l1"] > 0.1
    with pytest.raises(InputError, match="only if a vocoder generated them from held-out spectrograms"):
        measure(real, label + 1)


@pytest.mark.parametrize("label", [None, jnp.array([1, 2]), jnp.ones((2, 31)), jnp.ones((2, 35))])
def test_invalid_spectrograms(label):
    with pytest.raises(ValueError, match=r'a vocoder with bands=5 needs data audio\(form="vocoder", bands=5\): got labels'):
        hifigan.label_spectrogram(label, (1_024, 1), 5)


def test_invalid_arguments():
    label = jnp.ones((2, 8 * 5))
    with pytest.raises(ValueError, match=r"must multiply to the 128 samples of a frame, got \(8, 8\)"):
        shapes(hifigan.Generator((1_024, 1), bands=5, strides=(8, 8)), Z, label)
    with pytest.raises(ValueError, match="2 discriminators have 1 output or a multiple of 2: set d_outputs"):
        shapes(hifigan.Discriminator((480, 1), outputs=3, **SMALL), jnp.ones((2, 480, 1)))
    with pytest.raises(ValueError, match=r"needs waveforms \(T, 1\)"):
        shapes(hifigan.Discriminator((480, 2), **SMALL), jnp.ones((2, 480, 2)))
