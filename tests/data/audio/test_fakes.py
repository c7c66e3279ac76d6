"""Recordings that any program wrote, against real ones: `evaluate.py FAKE REAL`."""

import numpy as np
import pytest
from made_sounds import speech_commands, tone, wav, write

from gan_jax.data.audio.clips import audio
from gan_jax.data.dataset import Measure, Protocol
from gan_jax.data.images import pixels
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.evaluation.evaluate import evaluate_samples
from gan_jax.metrics import audio as distances

LENGTH = 1_024


@pytest.fixture
def received(monkeypatch):
    """What the evaluation of images receives."""
    received = {}

    def evaluator(data, protocol):
        received.update(data=data, protocol=protocol)

        def measure(samples, label):
            received.update(samples=np.asarray(samples), label=label)
            return {"frechet": 0.5}

        return Measure(measure, "classifier", {})

    monkeypatch.setattr(pixels, "evaluator", evaluator)
    return received


def real_and_fake(tmp_path, form):
    """Write Speech Commands as the real recordings, and copies of four of them as fakes, quieter and as other formats."""
    files = speech_commands()
    write(tmp_path / "real", files)
    names = [f"{word}/{speaker:08x}_nohash_0.wav" for word in ("yes", "no") for speaker in (1, 7)]
    write(tmp_path / "fake", {name: wav(files[name] // 2) for name in names})
    return f'audio(path="{tmp_path}/real", form="{form}", length={LENGTH})', str(tmp_path / "fake")


@pytest.mark.parametrize("form", ["mel", "wave"])
def test_recordings_are_read_by_the_options_of_the_real_ones(tmp_path, received, form):
    real, fake = real_and_fake(tmp_path, form)
    result = evaluate_samples(fake, real, Protocol())
    assert result["metrics"] == {"valid": 1.0, "frechet": 0.5} and result["facts"]["count"] == 4
    # The folders name classes of the real data; files are read in the order of their names: "no" twice, then "yes".
    assert received["label"].tolist() == [0, 0, 1, 1] and received["samples"].shape == (4, 8, 64, 1)
    # Each fake is one of the real recordings, whatever its loudness; those of "no" have 310 and 370 Hz.
    whole = received["data"]
    stored = np.concatenate([whole.train.samples, whole.test.samples])
    nearest = [np.abs(stored - sample).max(axis=(1, 2, 3)).min() for sample in received["samples"]]
    assert max(nearest) < 0.02


def test_all_of_real_is_the_reference_with_its_validation_split(tmp_path, received):
    real, fake = real_and_fake(tmp_path, "wave")
    evaluate_samples(fake, real, Protocol())
    data = received["data"]
    assert received["protocol"].whole and data.train.count + data.test.count == 48 == len(data.test.labels) + 36
    evaluate = load(real, 0, 1)
    evaluate.evaluator(evaluate, Protocol())
    assert received["data"].test.count == 8 and received["data"].checksum != data.checksum


def test_unreadable_recordings_are_invalid(tmp_path, received):
    real, fake = real_and_fake(tmp_path, "wave")
    write(tmp_path / "fake", {"no/a.wav": b"RIFF", "no/b.wav": wav(np.zeros(0)), "no/c.txt": "no sound"})
    result = evaluate_samples(fake, real, Protocol())
    assert result["metrics"]["valid"] == 4 / 6 and result["facts"]["count"] == 6 and len(received["samples"]) == 4
    notes = result["facts"]["notes"]
    assert any("4 of 6 recordings are used; dropped: 1 unreadable, 1 without samples" in note for note in notes)
    assert "files passed over: 1 .txt" in notes
    write(tmp_path / "bad", {"a.wav": b"RIFF"})
    with pytest.raises(InputError, match=r"1 of 1 recordings in \S+ cannot be used: 1 unreadable \(a.wav: .*\): replace them$"):
        evaluate_samples(str(tmp_path / "bad"), real, Protocol())


def test_other_rates_are_resampled_only_if_the_real_ones_are(tmp_path, received):
    real, _ = real_and_fake(tmp_path, "wave")
    write(tmp_path / "fast", {"a.wav": wav(tone(1_000, 16_000, 2 * LENGTH), 16_000)})
    with pytest.raises(InputError, match=r"recordings in \S+ have 16000 \(1: a\.wav\) samples per second, not 8000"):
        evaluate_samples(str(tmp_path / "fast"), real, Protocol())
    result = evaluate_samples(str(tmp_path / "fast"), real.replace(")", ", resample=True)"), Protocol())
    assert "resampled to 8000 samples per second: 1 from 16000" in result["facts"]["notes"]
    assert received["label"] is None
    tone_at_8000 = audio(
        path=str(write(tmp_path / "slow", {f"{i}.wav": tone(1_000, length=LENGTH) for i in range(2)})), length=LENGTH
    )
    np.testing.assert_allclose(received["samples"][0, 1:-1], tone_at_8000.test.samples[0, 1:-1], atol=0.1)


def test_labels_of_other_classes_are_left_out_and_said(tmp_path, received):
    real, _ = real_and_fake(tmp_path, "wave")
    write(tmp_path / "other", {f"{word}/{i}.wav": tone(300) for word in ("no", "maybe") for i in range(2)})
    result = evaluate_samples(str(tmp_path / "other"), real, Protocol())
    assert received["label"] is None
    assert "no labels: maybe are no classes of the real data, no, yes" in result["facts"]["notes"]


def test_arrays_that_sample_writes(tmp_path, received):
    real, _ = real_and_fake(tmp_path, "wave")
    waves = np.float32([np.sin(2 * np.pi * pitch * np.arange(LENGTH) / 8_000) for pitch in (310, 1_000, 2_000)])
    waves[1, 5] = np.nan
    np.savez(tmp_path / "samples.npz", waves=waves / 3, label=np.array([0, 1, 1]), z=np.zeros((3, 2)))
    result = evaluate_samples(str(tmp_path / "samples.npz"), real, Protocol())
    assert result["metrics"]["valid"] == 2 / 3 and received["label"].tolist() == [0, 1]
    assert received["samples"][:, 4, :, 0].argmax(axis=1).tolist() == [  # the bands in which sines of these pitches are loudest
        audio(path=str(write(tmp_path / str(pitch), {f"{i}.wav": tone(pitch, length=LENGTH) for i in range(2)})), length=LENGTH)
        .train.samples[0, 4, :, 0]
        .argmax()
        for pitch in (310, 2_000)
    ]
    np.savez(tmp_path / "labels.npz", waves=waves[:1], label=np.array([2]))
    with pytest.raises(InputError, match=r"labels of the fakes must be classes 0\.\.1"):
        evaluate_samples(str(tmp_path / "labels.npz"), real, Protocol())
    np.savez(tmp_path / "none.npz", images=waves)
    with pytest.raises(InputError, match=r"none\.npz has no array `waves` \[N, T\], only images"):
        evaluate_samples(str(tmp_path / "none.npz"), real, Protocol())


def test_spectrograms_that_sample_writes_are_measured_as_they_are(tmp_path, received):
    real, _ = real_and_fake(tmp_path, "mel")
    spectrograms = np.random.RandomState(0).uniform(-1, 1, (3, 8, 64, 1)).astype(np.float32)
    np.savez(tmp_path / "samples.npz", log_mel=spectrograms, waves=np.zeros((3, LENGTH)))
    evaluate_samples(str(tmp_path / "samples.npz"), real, Protocol())
    np.testing.assert_array_equal(received["samples"], spectrograms)
    np.savez(tmp_path / "other.npz", log_mel=spectrograms[:, :4])
    with pytest.raises(InputError, match=r"must be \[N, 8, 64, 1\], got \(3, 4, 64, 1\)"):
        evaluate_samples(str(tmp_path / "other.npz"), real, Protocol())


def test_vocoders_are_compared_with_the_recordings_of_the_same_names(tmp_path):
    pitches = {f"wavs/LJ-{i:02}.wav": 300 + 50 * i for i in range(20)}
    write(tmp_path / "real", {name: tone(pitch, length=2 * LENGTH - 100) for name, pitch in pitches.items()})
    real = f'audio(path="{tmp_path}/real", form="vocoder", length={LENGTH})'
    # The same recording, half as loud; one an octave higher, in another format; one without a partner.
    fakes = {"LJ-03.wav": tone(450, length=2 * LENGTH - 100, peak=15_000), "LJ-04.WAV": tone(1_000, length=2 * LENGTH - 100)}
    write(tmp_path / "fake", fakes | {"LJ-99.wav": tone(300), "bad.wav": b""})
    result = evaluate_samples(str(tmp_path / "fake"), real, Protocol())
    metrics, notes = result["metrics"], result["facts"]["notes"]

    def clips(pitch):  # scaled to a peak of 1, padded, cut into two
        whole = np.pad(np.float32(tone(pitch, length=2 * LENGTH - 100)), (0, 100))
        return (whole / np.abs(whole).max()).reshape(2, LENGTH)

    expected = distances.mel_l1(clips(500), clips(1_000), 8_000)
    np.testing.assert_allclose(metrics["mel_l1"], np.mean([0, 0, *expected]), rtol=0.02)
    assert {"mstft", "mcd", "mel_l1_griffin_lim"} <= set(metrics) and metrics["valid"] == 3 / 4
    assert "2 of 20 real recordings are compared with the fakes of the same names, 4 clips" in notes
    assert "fakes without a real recording of that name, not measured: 1 (LJ-99.wav)" in notes
    write(tmp_path / "alone", {"x.wav": tone(300)})
    with pytest.raises(InputError, match=r"no fake has the name of a real recording: x\.wav among the fakes, LJ-00\.wav"):
        evaluate_samples(str(tmp_path / "alone"), real, Protocol())
    write(tmp_path / "twice", {"LJ-03.wav": tone(300), "LJ-03.wave": tone(300)})
    with pytest.raises(InputError, match=r"LJ-03\.wav and LJ-03\.wave both have the name of the real recording LJ-03\.wav"):
        evaluate_samples(str(tmp_path / "twice"), real, Protocol())
