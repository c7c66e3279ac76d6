"""Decode sound files, and change their sample rate."""

import io
import math
import wave
from typing import NamedTuple

import numpy as np

from gan_jax.errors import needs

# wav of 16 bits is read by Python itself; everything else by libsndfile.
SUFFIXES = (
    *(".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".aif", ".aiff", ".aifc"),
    *(".au", ".caf", ".rf64", ".sph", ".w64"),
)
OTHER_SUFFIXES = (".m4a", ".aac", ".wma", ".mp4", ".webm", ".amr", ".ape", ".wv")  # sounds that libsndfile does not decode
_UNKNOWN_SIZE = 0x7FFF_0000  # sizes from here on stand for "to the end", in wav files written to a pipe


class Sound(NamedTuple):
    """A recording."""

    channels: np.ndarray  # float or int samples [T, C] of any scale
    rate: int | None  # samples per second; None if unknown


class Damaged(Exception):
    """A recording that cannot be used. The message is the reason as in "3 RECORDINGS ...": "without samples"."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason)
        self.detail = detail  # for a single recording, such as the decoder's message


def decode(content: bytes) -> Sound:
    """Return the sound in the content of a file. Raises Damaged, and InputError if a library is missing."""
    if _is_cut_short(content):
        raise Damaged("cut short")
    try:
        with wave.open(io.BytesIO(content)) as file:
            if file.getsampwidth() == 2:
                samples = np.frombuffer(file.readframes(file.getnframes()), "<i2")
                return Sound(samples.reshape(-1, file.getnchannels()), file.getframerate())
    except (wave.Error, EOFError, ValueError):
        pass  # perhaps another format
    with needs("sounds other than 16-bit wav files need soundfile", "gan_jax[audio]"):
        import soundfile
    try:
        return Sound(*soundfile.read(io.BytesIO(content), always_2d=True))
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise Damaged("unreadable", " ".join(str(error).split())) from error


def _is_cut_short(content: bytes) -> bool:
    """Return whether a wav file ends before its samples do. Decoders then return those that there are, without a word."""
    if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
        return False
    start = 12
    while start + 8 <= len(content):
        size = int.from_bytes(content[start + 4 : start + 8], "little")
        if content[start : start + 4] == b"data":
            return len(content) - start - 8 < size < _UNKNOWN_SIZE
        start += 8 + size + size % 2
    return False


def resample(samples: np.ndarray, rate: int, new_rate: int) -> np.ndarray:
    """Return samples [T] at `rate` as samples [ceil(T new_rate / rate)] at `new_rate`, without frequencies above half of the
    lower rate."""
    from scipy.signal import resample_poly

    divisor = math.gcd(rate, new_rate)
    return resample_poly(np.asarray(samples, np.float64), new_rate // divisor, rate // divisor)
