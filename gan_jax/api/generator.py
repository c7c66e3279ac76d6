"""Generator: a trained generator as a function of a key, without its data."""

import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.api.picture import Picture
from gan_jax.config import Config
from gan_jax.errors import InputError
from gan_jax.evaluation.export import is_export, load_export
from gan_jax.evaluation.generator import LoadedGenerator
from gan_jax.evaluation.load import Choice, load_generator
from gan_jax.evaluation.sample import SAMPLING, check_samples, chosen_label, labels
from gan_jax.evaluation.sample_run import satisfying
from gan_jax.storage.compiled import cache_programs
from gan_jax.types import Array, Sample

Label = str | int | Sequence[Any] | np.ndarray


class Generator:
    """A trained generator. `load` returns it.

    `G(key, n)` is n samples as a user of their domain works with them: images uint8 [n, H, W, C], points [n, 2], sounds
    float32 [n, T], a list of texts or of SMILES ("" for an invalid molecule), or the columns of a table by name, as
    `pandas.DataFrame` takes them. `key` is a key of `jax.random`, or a seed; equal keys mean equal samples, more samples only
    append to fewer, and `G(0, n)` are those of `gan_jax sample --seed 0`."""

    def __init__(self, directory: Path, step: int | None, loaded: LoadedGenerator):
        self.directory, self.step, self._loaded = directory, step, loaded

    @property
    def config(self) -> Config:
        """The Config of its run."""
        return self._loaded.config

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; () if they have none."""
        return tuple(self._loaded.data.classes)

    def __call__(self, key: int | Array, n: int, label: Label | None = None) -> Any:
        """Return n samples, decoded. `label` is a class by name or number, or a label for each sample; for tables it is what
        the rows must satisfy, as in "tier=pro, income>50000"; None draws labels as in training.

        Raises InputError for a label that the generator does not have."""
        return self.decode(self.generate(key, n, label))

    def generate(self, key: int | Array, n: int, label: Label | None = None) -> Sample:
        """Return n samples as the network generates them, float32 [n, ...] or a tree of such arrays."""
        check_count("n", n)
        check_samples(self._loaded.game, n)
        keyed = self._keyed(key)
        if isinstance(label, str) and keyed.data.condition is not None:
            return satisfying(replace(keyed, label=label), n, keyed.data.condition(label)).samples
        return self.sample(keyed.z(n), self._labels(keyed, n, label))

    def sample(self, z: np.ndarray, label: np.ndarray | None = None) -> Sample:
        """Return the samples of latents z [N, Z] and labels [N, ...], as the network generates them."""
        return self._loaded.sample(z, label)

    def latents(self, key: int | Array, n: int) -> np.ndarray:
        """Return the latents [n, Z] of `G(key, n)`."""
        check_count("n", n)
        return self._keyed(key).z(n)

    def decode(self, samples: Sample) -> Any:
        """Convert what the network generates to what `G(key, n)` returns."""
        return self._loaded.data.decode(samples)

    def interpolate(
        self, key: int | Array, n: int = 8, steps: int = 8, label: Label | None = None, space: str | None = None
    ) -> list[Any]:
        """Return n paths of `steps` samples each, decoded, from one latent to another: along a line in w if the generator has a
        mapping network, otherwise along an arc in z. `space` ("z" or "w") overrides the choice; each path has one label."""
        check_count("n", n)
        check_count("steps", steps)
        keyed = self._keyed(key)
        samples = keyed.interpolate(keyed.z(2 * n), self._labels(keyed, n, label), steps, space)
        return [self.decode(jax.tree.map(lambda x, i=i: x[i : i + steps], samples)) for i in range(0, n * steps, steps)]

    def show(self, key: int | Array = 0, n: int | None = None, label: Label | None = None) -> Picture:
        """Return a picture of n samples (by default as many as reports show), or sounds or text, which a notebook displays."""
        return Picture(self._loaded.data.show(self.generate(key, n or self._loaded.data.num_shown, label)))

    def _keyed(self, key: int | Array) -> LoadedGenerator:
        if isinstance(key, int | np.integer):
            check_seed(int(key))
            key = jax.random.key(int(key))
        z_key, label_key, _ = jax.random.split(jax.random.fold_in(key, SAMPLING), 3)  # as `sample_keys` does
        keyed = replace(self._loaded, z_key=z_key, label_key=label_key)
        compiled = ("sample", "styles", "synthesize") if self._loaded.has_w else ("sample",)
        vars(keyed).update({name: getattr(self._loaded, name) for name in compiled})  # so that each is compiled once
        return keyed

    def _labels(self, keyed: LoadedGenerator, n: int, label: Label | None) -> np.ndarray | None:
        """The labels of n samples, [n, ...]."""
        game, data = keyed.game, keyed.data
        if label is None:
            return labels(game, data, keyed.label_key, n)
        if isinstance(label, str | int | np.integer):
            return chosen_label(game, data, str(label), n)
        if game.label is None or data.condition is not None:
            return chosen_label(game, data, str(label), n)  # raises InputError
        if game.label.shape == ():
            by_text = {text: chosen_label(game, data, text, 1) for text in sorted(set(map(str, label)))}
            array = np.concatenate([by_text[str(x)] for x in label])
        else:
            array = np.broadcast_to(np.asarray(label, game.label.dtype), (n, *np.shape(label)[-1:]))
        if array.shape != (n, *game.label.shape):
            raise InputError(f"label must be one label, or {n} of them, each {game.label.shape}; got {np.shape(label)}")
        return array

    def __repr__(self) -> str:
        step = "" if self.step is None else f", step {self.step}"
        return f"Generator({str(self.directory)!r}{step}: {self.config.model}, {self._loaded.data.name})"


def load(
    directory: str | Path,
    *,
    step: int | None = None,
    generator: str = "average",
    ema: float | None = None,
    seed: int | None = None,
    sweep: dict[str, float] | None = None,
    data_dir: str | None = None,
    trust: bool = False,
) -> Generator:
    """Load the generator of a run directory, or of a folder that `export` wrote. Its data is not needed, except by runs of
    versions that did not describe it (found in `data_dir`, or $GAN_JAX_DATA).

    `step` chooses a checkpoint, by default the newest; `generator` the "average" one or the "raw" one, and `ema` an average of
    that relative width from a run with `posthoc_ema`. Of a run of several seeds, `seed` chooses one, and `sweep` the values of
    a sweep, as in {"g_lr": 1e-4}. `trust` runs the code that the config names (`--model mine.py`) although you have not trained
    with it on this machine.

    Raises InputError if there is no such run, checkpoint, average or member."""
    path, choice = Path(directory).expanduser(), Choice(step, generator, ema, seed, sweep)
    warn_about(cache_programs())
    if is_export(path):
        if choice != Choice():
            raise InputError(
                f"{path} is an exported generator: step, generator, ema, seed and sweep choose from a run directory"
            )
        return Generator(path, None, load_export(path, trust))
    return Generator(path, *load_generator(path, choice, warn_about, trust, data_dir))


def warn_about(text: str | None) -> None:
    """Warn of something that a command prints."""
    if text:
        warnings.warn(text.removeprefix("warning: "), stacklevel=3)


def check_count(name: str, n: int) -> None:
    """Raise InputError unless n is a number of samples."""
    if not isinstance(n, int | np.integer) or n < 1:
        raise InputError(f"{name} must be a whole number of at least 1, got {n!r}")


def check_seed(seed: int) -> None:
    """Raise InputError for a seed out of range."""
    if not 0 <= seed < 2**32:
        raise InputError(f"a seed must be from 0 to 2**32 - 1, got {seed}")
