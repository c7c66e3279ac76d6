"""Write a view of a run's averaged generator, one of those in `views.py`, to files."""

import sys
from pathlib import Path

from gan_jax.errors import InputError
from gan_jax.evaluation import views
from gan_jax.evaluation.generator import LoadedGenerator
from gan_jax.evaluation.sample import sample_keys
from gan_jax.evaluation.sample_run import write_files
from gan_jax.runs.averages import posthoc_average
from gan_jax.runs.load import load_run
from gan_jax.spec.lookup import calling, find


def view_run(
    run: Path, view: str, seed: int, out: Path, data_dir: str | None = None, label: str | None = None, ema: float | None = None
) -> list[Path]:
    """Write a view, `NAME` or `NAME(key=value)`, of a run's averaged generator into the directory `out`; return the files'
    paths. `seed`, `label` and `ema` are those of `sample_run`.

    Raises InputError if the run or the view does not exist, or if the run does not support the view."""
    function = find("view", view, views)
    config, data, game, state = load_run(run, lambda text: print(text, file=sys.stderr), data_dir)
    variables = state.ema if ema is None else posthoc_average(run, config, state, ema)
    z_key, label_key, _ = sample_keys(seed)
    generator = LoadedGenerator(
        config, data, game, variables, {"params": state.d.params, **state.d.stats}, z_key, label_key, label
    )
    stem = f"{view.partition('(')[0].rpartition(':')[2].strip()}-seed{seed}"
    stem += ("" if label is None else f"-label{label}") + ("" if ema is None else f"-ema{ema:g}")
    with calling("view", view):
        files = function(generator)
    if not isinstance(files, dict) or not all(isinstance(x, str) and isinstance(y, bytes) for x, y in files.items()):
        raise InputError(f"view {view} must return files as {{suffix: bytes}}, got {type(files).__name__}")
    return write_files(out, {f"{stem}{suffix}": content for suffix, content in files.items()})
