"""train: what the command does, from Python; and Run, a run directory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from html import escape
from pathlib import Path
from typing import Any

import gan_jax.training.train as training
from gan_jax.api.generator import Generator, Label, load, warn_about
from gan_jax.api.picture import Picture
from gan_jax.config import Config, load_config
from gan_jax.data.names import short_name
from gan_jax.errors import InputError
from gan_jax.game.sweep import Sweep
from gan_jax.reports.html import read_lines
from gan_jax.runs.names import default_directory
from gan_jax.storage.compiled import cache_programs


@dataclass(frozen=True)
class Run:
    """A run in its directory. `train` returns it, and `Run(directory)` opens an earlier one. In a notebook, its report is
    displayed."""

    directory: Path

    def __post_init__(self) -> None:
        object.__setattr__(self, "directory", Path(self.directory).expanduser())
        if not (self.directory / "config.json").is_file():
            raise InputError(f"{self.directory} is not a run directory: it has no config.json")

    @cached_property
    def config(self) -> Config:
        """Its Config."""
        return load_config(self.directory / "config.json")

    @cached_property
    def generator(self) -> Generator:
        """Its averaged generator, at the newest checkpoint. `gan_jax.load` chooses others, and the seed of several."""
        return load(self.directory)

    def samples(self, n: int, label: Label | None = None, key: Any = 0) -> Any:
        """Return n samples of the averaged generator, decoded: `generator(key, n, label)`."""
        return self.generator(key, n, label)

    def show(self, n: int | None = None, label: Label | None = None, key: Any = 0) -> Picture:
        """Return a picture of n samples, which a notebook displays."""
        return self.generator.show(key, n, label)

    def metrics(self) -> list[dict[str, Any]]:
        """Return the lines of metrics.jsonl, in order: `step`, `seed` if there are several, and values, NaN where one was not
        finite; `broken` says why a run ended. A `pandas.DataFrame` takes them as they are: `step` is an int, all numbers are
        floats."""
        file = self.directory / "metrics.jsonl"
        lines, damage = read_lines(file) if file.exists() else ([], "")
        warn_about(damage)
        return lines

    @property
    def report(self) -> Path:
        """The page with its samples and curves."""
        return self.directory / "report.html"

    def _repr_html_(self) -> str | None:
        if not self.report.is_file():
            return None
        page = escape(self.report.read_text(encoding="utf-8", errors="replace"), quote=True)
        style = "width: 100%; height: 40em; border: 1px solid #8884"
        return f'<iframe title="report" sandbox="allow-scripts" style="{style}" srcdoc="{page}"></iframe>'

    def __repr__(self) -> str:
        return f"Run({str(self.directory)!r})"


def train(
    config: Config,
    run_dir: str | Path | None = None,
    *,
    data_dir: str | None = None,
    seeds: Sequence[int] | None = None,
    sweep: Sweep | None = None,
    fork_from: str | Path | None = None,
    accept_changes: bool = False,
    log: Sequence[str] = (),
    profile: int = 0,
) -> Run:
    """Train to `config.steps` in the directory `run_dir`, by default runs/NAME-seedSEED; the same call again resumes. The
    arguments are those of the command `gan_jax train`: with `seeds` or a `sweep`, {"g_lr": [1e-4, 2e-4]}, several runs are
    trained in one program.

    Raises InputError, before anything is written, if the run cannot start, and RunError if it diverged or was stopped."""
    config = config if config.name else replace(config, name=short_name(config.data))
    warn_about(cache_programs())
    fork = None if fork_from is None else Path(fork_from).expanduser()
    directory = default_directory(config, seeds, sweep or {}, fork is not None) if run_dir is None else Path(run_dir)
    training.train(config, directory.expanduser(), data_dir, seeds, fork, sweep, accept_changes, log, profile)
    return Run(directory)
