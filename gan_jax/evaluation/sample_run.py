"""Write samples of a run's averaged generator to files."""

import io
import math
import sys
from pathlib import Path

import numpy as np

from gan_jax.data.dataset import Data
from gan_jax.data.images.pixels import png_files
from gan_jax.errors import InputError
from gan_jax.evaluation import samplers
from gan_jax.evaluation.generator import LoadedGenerator
from gan_jax.evaluation.sample import (
    check_samples,
    chosen_label,
    conditional,
    grid_labels,
    interpolation,
    interpolation_labels,
    labels,
    latents,
    sample_keys,
    sampler,
    sampler_key,
    standing_statistics,
)
from gan_jax.runs.run_dir import load_run, posthoc_average
from gan_jax.spec.lookup import calling, find
from gan_jax.storage.files import write_atomically
from gan_jax.types import Sample


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
    config, data, game, state = load_run(run, lambda text: print(text, file=sys.stderr), data_dir)
    check_samples(game, count)
    z_key, label_key, statistics_key = sample_keys(seed)
    variables = state.ema if ema is None else posthoc_average(run, state, ema)
    if standing is not None:
        variables = standing_statistics(game, data, variables, standing, statistics_key)
    z = latents(game, z_key, max(count, 2 * data.num_shown))
    if label is None:
        sample_label = labels(game, data, label_key, len(z))
        grid_label = grid_labels(game, data, label_key, data.num_shown)
        path_label = interpolation_labels(game, data, label_key, data.num_shown)
    else:
        counts = (len(z), data.num_shown, math.isqrt(data.num_shown) ** 2)
        sample_label, grid_label, path_label = (chosen_label(game, data, label, n) for n in counts)
    sample_label = None if sample_label is None else sample_label[:count]
    drawn, grid = z[:count], z[: data.num_shown]
    if refine is not None:
        d_variables = {"params": state.d.params, **state.d.stats}
        generator = LoadedGenerator(config, data, game, variables, d_variables, z_key, label_key, label)
        all_labels = None if sample_label is None else np.concatenate([sample_label, grid_label])
        start = np.concatenate([drawn, grid])
        with calling("sampler", sampler_name):
            refined = np.asarray(refine(generator, start, all_labels, sampler_key(seed)))
        if (refined.shape, refined.dtype.kind) != (start.shape, "f"):
            raise InputError(f"sampler {sampler_name} must return latents {start.shape}, got {refined.dtype} {refined.shape}")
        drawn, grid = refined[:count], refined[count:]
    sample = sampler(game)
    suffix = f"seed{seed}" + ("" if label is None else f"-label{label}") + ("" if ema is None else f"-ema{ema:g}")
    suffix += "" if standing is None else f"-standing{standing}"
    suffix += "" if refine is None else f"-{sampler_name.partition('(')[0].rpartition(':')[2].strip()}"
    pictures = {"grid": (grid, grid_label)}
    if refine is None:
        pictures["interpolation"] = (interpolation(z, data.num_shown), path_label)
    files = {}
    for name, (latent, picture_label) in pictures.items():
        shown = data.show(sample(variables, latent, picture_label))
        files |= {f"{name}-{suffix}{extension}": content for extension, content in shown.items()}
    used_label = {"label": sample_label} if conditional(game) else {}
    exported = _exported(data, sample(variables, drawn, sample_label), png, z=drawn, **used_label)
    return write_files(out, files | {f"samples-{suffix}{name}": content for name, content in exported.items()})


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
