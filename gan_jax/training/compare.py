"""Compare: from lists of choices to methods, and each method trained over all seeds in one compiled program."""

from collections.abc import Sequence
from pathlib import Path

from gan_jax.config import Config
from gan_jax.errors import InputError


def train_methods(found: dict[str, Config], seeds: Sequence[int], out: Path, data_dir: str | None) -> list[Path]:
    """Trains each method over all seeds in `out`/NAME, going on where that was stopped; returns their directories.

    Every method is built before the first is trained: a mistake in the last is found at once."""
    # Not earlier: --help and a mistyped flag need not wait for JAX.
    from gan_jax.data.load import load
    from gan_jax.game.build import build
    from gan_jax.runs.run_dir import check_run_dir
    from gan_jax.training.train import train

    for name, config in found.items():
        try:
            data = load(config.data, config.seed, config.batch, data_dir, config.validation, config.stream)
            build(config, data)
            check_run_dir(out / name, config, data, seeds)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
    for number, (name, config) in enumerate(found.items(), 1):
        print(f"method {number} of {len(found)}: {name}", flush=True)
        train(config, out / name, data_dir, seeds)
    return [out / name for name in found]
