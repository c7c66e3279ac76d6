"""Power-function averages: a file that was damaged, or saved elsewhere, is never used."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.runs.averages import posthoc_average, read_average, save_averages


def saved(path, config, *steps):
    """A run with averages of `steps`, and its state at the last of them."""
    for step in steps:
        posthoc = tuple({"params": {"w": np.full(3, step + i, np.float32)}} for i in range(2))
        path.mkdir(exist_ok=True)
        save_averages(path, config, SimpleNamespace(step=step, posthoc=posthoc))
    return SimpleNamespace(step=steps[-1], ema=posthoc[0])


def test_an_average_of_another_step_width_or_run_is_refused(tiny, tmp_path):
    config = replace(tiny, posthoc_ema=True, save_every=6)
    state = saved(tmp_path / "run", config, 6, 12)
    saved(tmp_path / "other", replace(config, loss="minimax"), 6, 12)
    whole = posthoc_average(tmp_path / "run", config, state, 0.07)
    assert set(whole["params"]) == {"w"}
    longer = posthoc_average(tmp_path / "run", replace(config, steps=48), state, 0.07)  # a continued run keeps its averages
    np.testing.assert_array_equal(longer["params"]["w"], whole["params"]["w"])
    target = tmp_path / "run" / "averages" / "00000012-0.05.npz"
    intact = target.read_bytes()
    for source, said in (
        (target.with_name("00000006-0.05.npz"), "file: 00000006-0.05.npz -> 00000012-0.05.npz"),
        (target.with_name("00000012-0.10.npz"), "file: 00000012-0.10.npz -> 00000012-0.05.npz"),
        (tmp_path / "other" / "averages" / target.name, "loss: 'minimax' -> "),
    ):
        target.write_bytes(source.read_bytes())
        with pytest.raises(InputError, match=f"00000012-0.05.npz is of another run, step or width \\({said}"):
            posthoc_average(tmp_path / "run", config, state, 0.07)
        with pytest.raises(InputError, match="is of another run"):
            read_average(target, config)
    for damage in (b"", intact[:-30], intact[:200] + b"\0\0\0\0" + intact[204:]):
        target.write_bytes(damage)
        with pytest.raises(InputError, match=r"00000012-0.05.npz: not a readable .npz"):
            posthoc_average(tmp_path / "run", config, state, 0.07)
