"""From sound files to clips: sample values of every encoding, rates, lengths, channels, and what is refused or counted."""

import io
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made_sounds import tone, wav, write

from gan_jax.data.audio.clips import audio
from gan_jax.data.audio.decoding import decode, resample
from gan_jax.errors import InputError

LENGTH = 1_024


def read(path, **options):
    return audio(path=str(path), form="wave", length=LENGTH, **options)


def clip(path, content, **options):
    """Return the clip [LENGTH] of one file among others, which are silent."""
    (path / "others").mkdir(parents=True, exist_ok=True)
    write(path, {f"others/{i}.wav": np.zeros(100) for i in range(11)} | {"others/one.wav": content})
    source = read(path, **options)
    waves = np.concatenate([source.train.samples, source.test.samples])[..., 0]
    return waves[np.abs(waves).max(axis=1) > 0][0]


def is_noted(source, text):
    return any(text in note for note in source.notes)


def encoded(samples, rate=8_000, **options):
    import soundfile

    out = io.BytesIO()
    soundfile.write(out, samples, rate, **options)
    return out.getvalue()


def wav_of(format_code, bits, payload, extensible=False, channels=1):
    """Return a wav file by the definition of RIFF; `extensible` writes WAVE_FORMAT_EXTENSIBLE."""
    block = channels * bits // 8
    header = struct.pack("<HHIIHH", 0xFFFE if extensible else format_code, channels, 8_000, 8_000 * block, block, bits)
    if extensible:
        guid = struct.pack("<H", format_code) + bytes.fromhex("000000001000800000aa00389b71")
        header += struct.pack("<HHI", 22, bits, 0) + guid
    chunks = b"fmt " + struct.pack("<I", len(header)) + header + b"data" + struct.pack("<I", len(payload)) + payload
    return b"RIFF" + struct.pack("<I", 4 + len(chunks)) + b"WAVE" + chunks


@pytest.mark.parametrize("extensible", [False, True])
@pytest.mark.parametrize(
    ("format_code", "bits", "payload"),
    [
        (1, 8, bytes([0, 64, 128, 192, 255])),  # unsigned: 128 is silence
        (1, 16, np.array([-32_768, -16_384, 0, 16_384, 32_512], "<i2").tobytes()),
        (1, 24, b"".join(x.to_bytes(3, "little", signed=True) for x in (-(2**23), -(2**22), 0, 2**22, 127 << 16))),
        (1, 32, np.array([-(2**31), -(2**30), 0, 2**30, 127 << 24], "<i4").tobytes()),
        (3, 32, np.array([-1, -0.5, 0, 0.5, 127 / 128], "<f4").tobytes()),
        (3, 64, np.array([-1, -0.5, 0, 0.5, 127 / 128], "<f8").tobytes()),
    ],
)
def test_every_encoding_of_wav_has_the_same_samples(format_code, bits, payload, extensible):
    sound = decode(wav_of(format_code, bits, payload, extensible))
    assert sound.rate == 8_000 and sound.channels.shape == (5, 1)
    peak = np.abs(np.float64(sound.channels)).max()
    np.testing.assert_allclose(sound.channels[:, 0] / peak, [-1, -0.5, 0, 0.5, 127 / 128], atol=1e-7)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.tuples(*[st.integers(-(2**15), 2**15 - 1)] * 2), min_size=1, max_size=40),
    st.sampled_from(["wav", "flac", "aiff"]),
)
def test_files_without_loss_return_their_samples(samples, kind):
    samples = np.array(samples, np.int16)
    channels = decode(encoded(samples, format=kind.upper(), subtype="PCM_16")).channels
    np.testing.assert_array_equal(np.float64(channels) * (1 if channels.dtype.kind == "i" else 2**15), samples)


@pytest.mark.parametrize(("kind", "subtype"), [("OGG", "VORBIS"), ("MP3", "MPEG_LAYER_III")])
def test_compressed_files_hold_their_tone(tmp_path, kind, subtype):
    samples = encoded(tone(1_000, length=4_000) / 2**15, format=kind, subtype=subtype)
    wave = clip(tmp_path / "a", samples) / 32_767
    # 125 Hz a bin: 1,000 Hz is bin 8 of a period of 64 samples; the encoder may delay the tone.
    spectrum = np.abs(np.fft.rfft(wave[256:512] * np.hanning(256)))
    assert spectrum.argmax() == 32 and np.isclose(np.sqrt(np.mean(wave[256:768] ** 2)), 1 / np.sqrt(2), atol=0.08)


def test_suffixes_may_be_in_capitals(tmp_path):
    source = read(write(tmp_path, {f"{i}.WAV": tone(300) for i in range(12)}))
    assert source.train.count + source.test.count == 12


def test_channels_are_averaged(tmp_path):
    left, right = tone(500, length=LENGTH, peak=16_000), tone(700, length=LENGTH, peak=8_000)
    expected = (np.float64(left) + right) / 2
    wave = clip(tmp_path, wav(np.stack([left, right], 1)))
    np.testing.assert_allclose(wave, expected / np.abs(expected).max() * 32_767, atol=1)
    assert is_noted(read(tmp_path), "1 with several channels: their average is used (one.wav)")


def test_channels_in_opposite_phase_and_silence_are_counted(tmp_path):
    opposite = np.stack([tone(500), -tone(500)], 1)
    source = read(
        write(tmp_path, {f"{i}.wav": tone(300) for i in range(10)} | {"anti.wav": opposite, "zero.wav": np.zeros(50)})
    )
    assert is_noted(source, "1 whose channels cancel each other: their average is nearly silent (anti.wav)")
    assert is_noted(source, "2 silent: they stay silent clips (anti.wav, zero.wav)")
    assert is_noted(source, "each is scaled to a peak of 1")


def test_a_peak_that_16_bits_cannot_hold_is_scaled_too(tmp_path):
    quiet = np.float32(1e-8 * np.sin(np.arange(LENGTH)))
    expected = np.sin(np.arange(LENGTH)) / np.abs(np.sin(np.arange(LENGTH))).max() * 32_767
    np.testing.assert_allclose(clip(tmp_path, wav_of(3, 32, quiet.tobytes())), expected, atol=1)


def test_lengths_are_counted(tmp_path):
    lengths = {"short": 1_000, "far_shorter": 500, "long": 2_000, "far_longer": 2_100, "fits": LENGTH}
    files = {f"{name}{i}.wav": tone(300, length=length) for name, length in lengths.items() for i in range(4)}
    source = read(write(tmp_path, files))
    duration = "recordings last 0.06 to 0.26 s, median 0.13 s; each is scaled to a peak of 1; length=1024 (0.13 s): "
    short = "8 shorter and padded with silence (4 to more than twice their length)"
    assert f"{duration}{short}, 8 longer and truncated (4 to less than half)" in source.notes


def test_damaged_recordings_are_refused_together_or_left_out_on_request(tmp_path):
    nan = wav_of(3, 32, np.array([0, np.nan, 1], "<f4").tobytes())
    infinite = wav_of(3, 64, np.array([0, 1e300], "<f8").tobytes())
    files = {f"{i}.wav": tone(300) for i in range(15)}
    files |= {
        "nan.wav": nan,
        "inf.wav": infinite,
        "empty.wav": wav(np.zeros(0)),
        "cut.wav": wav(tone(300))[:-100],
        "no.flac": b"fLaC",
    }
    write(tmp_path, files)
    with pytest.raises(InputError) as error:
        read(tmp_path)
    message = str(error.value)
    assert "\n" not in message and "5 of 20 recordings" in message and "drop_damaged=True" in message
    for part in ("2 with NaN or infinite samples (inf.wav, nan.wav)", "1 without samples (empty.wav)", "1 cut short (cut.wav)"):
        assert part in message
    assert "1 unreadable (no.flac: " in message
    source = read(tmp_path, drop_damaged=True)
    assert source.train.count + source.test.count == 15
    assert is_noted(source, "15 of 20 recordings are used; dropped: 2 with NaN or infinite samples, ")


def test_a_wav_file_written_to_a_pipe_is_not_cut_short(tmp_path):
    content = bytearray(wav(tone(300, length=LENGTH)))
    content[4:8] = content[40:44] = b"\xff\xff\xff\xff"  # as ffmpeg writes when it cannot go back
    np.testing.assert_allclose(clip(tmp_path, bytes(content)), tone(300, length=LENGTH, peak=32_767), atol=2)


def test_other_rates_are_refused_with_their_counts(tmp_path):
    write(tmp_path, {f"{i}.wav": wav(tone(300), 16_000) for i in range(12)})
    with pytest.raises(
        InputError, match=r"recordings in \S+ have 16000 \(12: .*\) samples per second, not 8000: set rate=16000, or res"
    ):
        read(tmp_path)
    write(tmp_path, {"odd.wav": wav(tone(300), 44_100)})
    problem = r"several rates: 16000 \(12: 0\.wav and 11 more\), 44100 \(1: odd\.wav\) samples per second; resample=True"
    with pytest.raises(InputError, match=problem):
        read(tmp_path)
    assert is_noted(read(tmp_path, resample=True), "resampled to 8000 samples per second: 12 from 16000, 1 from 44100")


@pytest.mark.parametrize(("rate", "new_rate"), [(44_100, 16_000), (16_000, 8_000), (8_000, 16_000), (22_050, 8_000)])
def test_a_resampled_sine_has_the_values_of_the_sine(rate, new_rate):
    resampled = resample(np.sin(2 * np.pi * 440 * np.arange(rate) / rate), rate, new_rate)
    assert len(resampled) == new_rate
    expected = np.sin(2 * np.pi * 440 * np.arange(new_rate) / new_rate)
    np.testing.assert_allclose(resampled[200:-200], expected[200:-200], atol=2e-3)
    if new_rate < rate:  # a tone that the new rate cannot hold disappears instead of becoming another
        above = resample(np.sin(2 * np.pi * 0.7 * new_rate * np.arange(rate) / rate), rate, new_rate)
        assert np.abs(above[300:-300]).max() < 2e-3


def test_resampled_clips(tmp_path):
    wave = clip(tmp_path, wav(tone(500, 16_000, 2 * LENGTH), 16_000), resample=True)
    np.testing.assert_allclose(wave[50:-50], tone(500, length=LENGTH, peak=32_767)[50:-50], atol=300)


def test_what_is_no_sound_that_can_be_read_is_counted(tmp_path):
    files = {f"{i}.wav": tone(300) for i in range(12)} | {
        ".hidden.wav": b"",
        "a.txt": "",
        "b.txt": "",
        "c.m4a": b"",
        "LICENSE": "",
    }
    source = read(write(tmp_path, files))
    assert is_noted(source, "files passed over: 1 .m4a (convert them: ffmpeg -i a.m4a a.wav), 2 .txt, 1 without a suffix")


def test_invalid_options_are_rejected():
    with pytest.raises(InputError, match="resample must be True or False, got 'yes'"):
        audio(resample="yes")
