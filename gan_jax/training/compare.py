"""Train several methods, each over all seeds in one compiled program."""

from collections.abc import Sequence
from pathlib import Path

from gan_jax.config import Config
from gan_jax.errors import InputError


def train_methods(methods: dict[str, Config], seeds: Sequence[int], out: Path, data_dir: str | None) -> list[Path]:
    """Train each method over all seeds in `out`/NAME, resuming where it was stopped; return their directories.

    Every method is prepared before the first is trained, so that a mistake in the last one is found immediately."""
    # Imported late, so that --help and a mistyped flag answer without JAX.
    from gan_jax.training.experiment import prepare
    from gan_jax.training.train import train

    for name, config in methods.items():
        try:
            prepare(config, out / name, data_dir, seeds)
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
    for number, (name, config) in enumerate(methods.items(), 1):
        print(f"method {number} of {len(methods)}: {name}", flush=True)
        train(config, out / name, data_dir, seeds)
    return [out / name for name in methods]
