"""One of the views in `views.py`, of a run's averaged generator, written to files."""

import sys
from pathlib import Path

import jax

from gan_jax.evaluation import views
from gan_jax.evaluation.generator import Seen
from gan_jax.evaluation.sample import write_files
from gan_jax.runs.run_dir import load_run, posthoc_average
from gan_jax.spec.lookup import find


def view_run(
    run: Path, view: str, seed: int, out: Path, data_dir: str | None = None, label: str | None = None, ema: float | None = None
) -> list[Path]:
    """Writes a view of `views.py`, `NAME` or `NAME(key=value)`, of a run's averaged generator into the directory `out`; returns
    the files' paths. `seed`, `label` and `ema` as in `sample_run`.

    Raises InputError where there is no such run or view, or it cannot be had of this one."""
    function = find("view", view, views)
    config, data, game, state = load_run(run, lambda text: print(text, file=sys.stderr), data_dir)
    variables = state.ema if ema is None else posthoc_average(run, state, ema)
    seen = Seen(config, data, game, variables, {"params": state.d.params, **state.d.stats}, jax.random.key(seed), label)
    stem = f"{view.partition('(')[0].rpartition(':')[2].strip()}-seed{seed}"
    stem += ("" if label is None else f"-label{label}") + ("" if ema is None else f"-ema{ema:g}")
    return write_files(out, {f"{stem}{suffix}": content for suffix, content in function(seen).items()})
