"""Samples of a generator for eyes and metrics: in evaluation mode, in batches of one compiled shape."""

import io
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.errors import InputError
from gan_jax.game import Game
from gan_jax.run_dir import load_run, write_atomically
from gan_jax.state import apply
from gan_jax.types import Array

BATCH = 500  # samples a call: every count is made of calls of one shape, so that one program serves all

Sampler = Callable[[Any, np.ndarray], np.ndarray]  # (generator variables, z [N, Z]) -> samples [N, ...]


def sampler(game: Game) -> Sampler:
    """The function from a generator's variables and latents to samples on the host. Running statistics, not the batch's:
    a sample does not depend on its neighbours."""

    @jax.jit
    def generate(variables: Any, z: Array) -> Any:
        return apply(game.generator, variables, z, None, train=False)[0]

    def sample(variables: Any, z: np.ndarray) -> np.ndarray:
        count = len(z)
        padded = np.concatenate([z, np.zeros((-count % BATCH, *z.shape[1:]), z.dtype)])
        batches = [generate(variables, padded[i : i + BATCH]) for i in range(0, len(padded), BATCH)]
        return jax.tree.map(lambda *parts: np.concatenate(parts)[:count], *jax.device_get(batches))

    return sample


def latents(game: Game, key: Array, count: int) -> np.ndarray:
    """`count` latents z ~ N(0, 1), [count, Z]; the first ones are the same whatever the count."""
    blocks = range(math.ceil(count / BATCH))
    z = [jax.random.normal(jax.random.fold_in(key, block), (BATCH, game.z_dim)) for block in blocks]
    return np.concatenate(z)[:count]


def interpolation(z: np.ndarray, count: int) -> np.ndarray:
    """`count` latents in a square, row after row: each row leads in equal steps from z[2i] to z[2i + 1].

    Spherical: a straight line would pass through lengths that N(0, 1) hardly ever has. Source: White 2016,
    arXiv:1609.04468, section 2.1."""
    side = math.isqrt(count)
    start, end = z[: 2 * side : 2, None], z[1 : 2 * side : 2, None]
    share = jnp.linspace(0, 1, side)[None, :, None]
    norms = jnp.linalg.norm(start, axis=-1, keepdims=True) * jnp.linalg.norm(end, axis=-1, keepdims=True)
    angle = jnp.arccos(jnp.clip((start * end).sum(axis=-1, keepdims=True) / norms, -0.9999, 0.9999))
    path = (jnp.sin((1 - share) * angle) * start + jnp.sin(share * angle) * end) / jnp.sin(angle)
    return np.asarray(path.reshape(-1, z.shape[-1]))


def sample_run(run: Path, count: int, seed: int, out: Path, data_dir: str | None = None) -> list[Path]:
    """Writes a grid, an interpolation and an .npz of `count` samples of a run's averaged generator into the directory `out`;
    returns the files' paths. Raises InputError where there is no such run or nothing can be written."""
    if count < 1:
        raise InputError(f"--samples must be at least 1, got {count}")
    _, data, game, state = load_run(run, lambda text: print(text, file=sys.stderr), data_dir)
    sample = sampler(game)
    z = latents(game, jax.random.key(seed), max(count, 2 * data.shown))
    samples = sample(state.ema, z)
    files = {f"grid-seed{seed}{suffix}": content for suffix, content in data.show(samples[: data.shown]).items()}
    path = sample(state.ema, interpolation(z, data.shown))
    files |= {f"interpolation-seed{seed}{suffix}": content for suffix, content in data.show(path).items()}
    archive = io.BytesIO()
    np.savez_compressed(archive, **data.pack(samples[:count]), z=z[:count])
    files[f"samples-seed{seed}.npz"] = archive.getvalue()
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_atomically(out / name, content)
    except OSError as error:
        raise InputError(f"cannot write in {out}: {error.strerror}; choose another --out") from error
    return [out / name for name in files]
