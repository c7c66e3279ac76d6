"""Parameters of log-mel spectrograms, and conversions of many clips."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import numpy as np

from gan_jax import spectrogram
from gan_jax.data.audio.recordings import INT16_MAX


class Mel(NamedTuple):
    """Parameters of the spectrograms."""

    rate: int
    bands: int
    fft: int
    hop: int

    def spectrograms(self, waves: np.ndarray) -> np.ndarray:
        """Convert waves [N, T], floats or stored integers, to log-mel spectrograms [N, F, bands]."""
        log_mel = jax.jit(partial(spectrogram.log_mel, rate=self.rate, bands=self.bands, fft=self.fft, hop=self.hop))
        return _in_blocks(lambda x: log_mel(as_wave(x) if x.dtype == np.int16 else x), waves)

    def waves(self, spectrograms: np.ndarray) -> np.ndarray:
        """Convert log-mel spectrograms [N, F, bands] to waves [N, T], by Griffin-Lim."""
        return _in_blocks(lambda x: spectrogram.from_log_mel(x, self.rate, fft=self.fft, hop=self.hop), spectrograms)


def as_wave(stored):
    """Convert stored integers to floats in [-1, 1]."""
    return stored.astype(np.float32) / INT16_MAX


def _in_blocks(function: Callable, x: np.ndarray, rows: int = 250) -> np.ndarray:
    return np.concatenate([np.asarray(function(x[i : i + rows])) for i in range(0, len(x), rows)])
