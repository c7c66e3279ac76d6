"""Write samples of a run's averaged generator to files."""

import io
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from gan_jax.data.dataset import Condition, Data
from gan_jax.data.images.pixels import png_files
from gan_jax.errors import InputError
from gan_jax.evaluation import samplers
from gan_jax.evaluation.generator import LoadedGenerator
from gan_jax.evaluation.sample import (
    check_samples,
    conditional,
    interpolation,
    interpolation_labels,
    labels,
    sample_keys,
    sampler_key,
    standing_statistics,
)
from gan_jax.runs.averages import posthoc_average
from gan_jax.runs.load import load_run
from gan_jax.spec.lookup import calling, find
from gan_jax.storage.files import write_atomically
from gan_jax.types import Sample

RARITY, MIN_DRAWS = 100, 100_000  # samples drawn for each that is needed, and at least, before a condition is given up


def sample_run(
    run: Path,
    count: int,
    seed: int,
    out: Path,
    data_dir: str | None = None,
    label: str | None = None,
    ema: float | None = None,
    standing: int | None = None,
    sampler_name: str | None = None,
    png: bool = False,
) -> list[Path]:
    """Write a grid, an interpolation and `count` samples of a run's averaged generator into the directory `out`: as an .npz,
    and as files in the usual format of such data, if there is one (for images only with `png`). Return the files' paths.

    The grid of a conditional generator has one column per class; `label` chooses one class for all samples. `ema` is the
    relative width of an average reconstructed from the run's power-function averages, in place of the run's average;
    `standing` is the number of batches for `standing_statistics`; `sampler_name` names one of `samplers.py`, as `NAME` or
    `NAME(key=value)`, which chooses the latents of the grid and of the .npz; then there is no interpolation.

    Raises InputError if the run, label or average does not exist, or if nothing can be written to `out`."""
    if count < 1:
        raise InputError(f"--samples must be at least 1, got {count}")
    refine = None if sampler_name is None else find("sampler", sampler_name, samplers)
    config, data, game, state = load_run(run, _say, data_dir)
    check_samples(game, count)
    z_key, label_key, statistics_key = sample_keys(seed)
    variables = state.ema if ema is None else posthoc_average(run, config, state, ema)
    if standing is not None:
        variables = standing_statistics(game, data, variables, standing, statistics_key)
    d_variables = {"params": state.d.params, **state.d.stats}
    generator = LoadedGenerator(config, data, game, variables, d_variables, z_key, label_key, label)
    if refine is not None:
        drawn = _refined(generator, count, sampler_name, refine, seed)
    elif label is not None and data.condition is not None:
        drawn = satisfying(generator, count, data.condition(label))
    else:
        drawn = _plain(generator, count)
    suffix = f"seed{seed}" + ("" if label is None else f"-label{re.sub('[^-+=.,<>!A-Za-z0-9_]+', '_', label)}")
    suffix += ("" if ema is None else f"-ema{ema:g}") + ("" if standing is None else f"-standing{standing}")
    suffix += "" if refine is None else f"-{sampler_name.partition('(')[0].rpartition(':')[2].strip()}"
    files = {}
    for name, shown in drawn.pictures.items():
        files |= {f"{name}-{suffix}{extension}": content for extension, content in data.show(shown).items()}
    used_label = {"label": drawn.label} if conditional(game) else {}
    exported = _exported(data, drawn.samples, png, z=drawn.z, **used_label)
    return write_files(out, files | {f"samples-{suffix}{name}": content for name, content in exported.items()})


class Drawn(NamedTuple):
    """Samples with their latents [N, Z] and labels, and the samples of each picture by its name."""

    samples: Sample
    z: np.ndarray
    label: np.ndarray | None
    pictures: dict[str, Sample]


def _plain(generator: LoadedGenerator, count: int) -> Drawn:
    shown = generator.data.num_shown
    z = generator.z(max(count, 2 * shown))
    label = _labels(generator, len(z))
    label = None if label is None else label[:count]
    paths = interpolation(z, shown), _path_labels(generator, shown)
    pictures = {
        "grid": generator.sample(z[:shown], generator.column_labels()),
        "interpolation": generator.sample(*paths),
    }
    return Drawn(generator.sample(z[:count], label), z[:count], label, pictures)


def _refined(generator: LoadedGenerator, count: int, name: str, refine: Callable[..., np.ndarray], seed: int) -> Drawn:
    """Choose the latents of the samples and of the grid by one of `samplers.py`."""
    shown = generator.data.num_shown
    z = generator.z(max(count, 2 * shown))
    label, grid_label = _labels(generator, len(z)), generator.column_labels()
    label = None if label is None else label[:count]
    all_labels = None if label is None else np.concatenate([label, grid_label])
    start = np.concatenate([z[:count], z[:shown]])
    with calling("sampler", name):
        refined = np.asarray(refine(generator, start, all_labels, sampler_key(seed)))
    if (refined.shape, refined.dtype.kind) != (start.shape, "f"):
        raise InputError(f"sampler {name} must return latents {start.shape}, got {refined.dtype} {refined.shape}")
    grid = generator.sample(refined[count:], grid_label)
    return Drawn(generator.sample(refined[:count], label), refined[:count], label, {"grid": grid})


def satisfying(generator: LoadedGenerator, count: int, condition: Condition) -> Drawn:
    """Draw samples until `count` of them satisfy the condition. Raises InputError if fewer than about one in `RARITY` do."""
    by_label = condition.label is not None and conditional(generator.game)
    total, done, parts = count, 0, []
    while sum(len(z) for _, z, _ in parts) < count:
        if done >= max(RARITY * count, MIN_DRAWS):
            number = sum(len(z) for _, z, _ in parts)
            raise InputError(f"--label {generator.label}: only {number} of {done:,} samples satisfy it, {count} are needed")
        z = generator.z(total)[done:]
        if by_label:
            label = np.broadcast_to(condition.label, (len(z), *condition.label.shape))
        else:
            label = labels(generator.game, generator.data, generator.label_key, total)
            label = None if label is None else label[done:]
        samples = generator.sample(z, label)
        rows = condition.accept(samples)
        parts.append(jax.tree.map(lambda x, rows=rows: x[rows], (samples, z, label)))
        done, total = total, 2 * total
    accepted = sum(len(z) for _, z, _ in parts)
    _say(f"{accepted:,} of {done:,} samples satisfy {generator.label}")
    samples, z, label = jax.tree.map(lambda *x: np.concatenate(x)[:count], *parts)
    return Drawn(samples, z, label, {"grid": jax.tree.map(lambda x: x[: generator.data.num_shown], samples)})


def _labels(generator: LoadedGenerator, count: int) -> np.ndarray | None:
    """Return the chosen label `count` times, or labels as in training."""
    if generator.label is not None:
        return generator.labels(count)
    return labels(generator.game, generator.data, generator.label_key, count)


def _path_labels(generator: LoadedGenerator, count: int) -> np.ndarray | None:
    if generator.label is not None:
        return generator.labels(math.isqrt(count) ** 2)
    return interpolation_labels(generator.game, generator.data, generator.label_key, count)


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _exported(data: Data, samples: Sample, png: bool, **arrays: np.ndarray) -> dict[str, bytes]:
    """Return the samples as files by suffix: an .npz, which also holds `arrays`, and those of the data's own format."""
    packed, archive = data.pack(samples), io.BytesIO()
    np.savez_compressed(archive, **packed, **arrays)
    files = {".npz": archive.getvalue()}
    if png:
        if "images" not in packed:
            raise InputError(f"--png is for images: samples of {data.name} are not")
        return files | png_files(packed["images"])
    return files if data.export is None else files | data.export(samples)


def write_files(out: Path, files: dict[str, bytes]) -> list[Path]:
    """Write files by name into the directory `out`; return their paths. Raises InputError if that fails."""
    try:
        for name, content in files.items():
            (out / name).parent.mkdir(parents=True, exist_ok=True)
            write_atomically(out / name, content)
    except OSError as error:
        raise InputError(f"cannot write in {out}: {error.strerror}; choose another --out") from error
    return [out / name for name in files]
