"""The speed that is shown is that of training alone; an estimate; why a first step breaks; signals."""

import signal
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.data.load import load
from gan_jax.errors import RunError
from gan_jax.evaluation.first_batch import _range, explain_first_step
from gan_jax.game.build import build
from gan_jax.game.state import init_state
from gan_jax.metrics.features.classifier import num_steps
from gan_jax.training import estimate
from gan_jax.training.experiment import describe, prepare
from gan_jax.training.progress import Interrupt, Pace, format_seconds
from gan_jax.training.train import train


def test_the_rate_is_that_of_the_last_interval_without_pauses():
    pace = Pace(0, 0.0)
    assert pace.rate == 0.0
    pace.paused(5.0)
    pace.reach(100, 15.0, queued=False)
    assert pace.rate == 10.0
    pace.paused(20.0)
    pace.reach(200, 40.0, queued=False)  # 100 steps in 25 s, of which 20 are a pause
    assert pace.rate == 20.0
    pace.reach(200, 99.0, queued=False)
    assert pace.rate == 20.0
    # 100 steps at 20 a second, and 25 s of pauses for every 200 steps
    assert pace.seconds_left(300) == 5.0 + 12.5


def test_the_rate_does_not_depend_on_how_many_steps_are_queued():
    """Of devices that make 10 steps a second, read when they are 70 steps further, except at every fifth reading."""
    pace = Pace(0, 0.0)
    for step in range(100, 2_100, 100):
        queued = step % 500 != 0
        pace.reach(step, (step + 70 * queued) / 10, queued)
        assert pace.rate == (pytest.approx(10) if step > 100 else pytest.approx(100 / 17))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (0.034, "0.034 s"), (45, "45 s"), (720, "12 min"), (12_240, "3.4 h"), (181_440, "2.1 days")],
)
def test_durations(seconds, text):
    assert format_seconds(seconds) == text


def test_signals_have_their_usual_effect_while_nothing_can_be_lost():
    with Interrupt() as interrupt:
        with pytest.raises(KeyboardInterrupt), interrupt.released():
            signal.raise_signal(signal.SIGINT)
        assert interrupt.name is None
        signal.raise_signal(signal.SIGINT)
        assert interrupt.name == "SIGINT"


def test_a_page_is_written_whole_although_a_signal_arrives(tiny, tmp_path, monkeypatch):
    def write(run_dir):
        signal.raise_signal(signal.SIGINT)
        (run_dir / "report.html").write_text("whole")
        return run_dir / "report.html"

    monkeypatch.setattr("gan_jax.training.experiment.write_report", write)
    page = train(replace(tiny, steps=2), tmp_path / "run")
    assert page.read_text() == "whole"


def test_the_time_is_estimated_by_steps_and_nothing_written(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(estimate, "SECONDS", 0.0)
    experiment = prepare(tiny, tmp_path / "run")
    assert describe(experiment, replace(tiny, loss="hinge", steps=9)).startswith(
        "changed          loss: 'hinge' -> 'relativistic'\nchanged          steps: 9 -> 24\nname "
    )
    assert describe(experiment, tiny).startswith("changed          nothing\n")
    text = estimate.estimate(experiment)
    assert text.startswith("time             about ") and " 24 steps of " in text and "measured now over 50 steps" in text
    assert "2 evaluations" in text
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_breaks_on_the_first_batch_is_named_with_the_logits(tiny, tmp_path):
    (tmp_path / "mine.py").write_text(
        "import jax.numpy as jnp\ndef bad(real, fake):\n    return jnp.log(-1 - real**2).mean(), fake.mean()\n"
    )
    message = (
        r"training broke at step 1: .*d/loss is nan.*; the loss gives nan for D on the first batch, before any update: "
        r"logits of real samples from \S+ to \S+, of generated ones from"
    )
    with pytest.raises(RunError, match=message):
        train(replace(tiny, loss=f"{tmp_path}/mine.py:bad"), tmp_path / "run")


def test_the_range_of_logits_before_any_update(tiny):
    """D(x) = 2 for every x if its last layer has no weights and the bias 2; D(x) is infinite if the bias is."""
    data = load("ring", 0, tiny.batch)
    game, key = build(tiny, data), jax.random.key(0)
    state = init_state(game, key)

    def with_bias(value):
        last = sorted(state.d.params)[-1]
        layer = {"kernel": 0 * state.d.params[last]["kernel"], "bias": jnp.full_like(state.d.params[last]["bias"], value)}
        return state.replace(d=state.d.replace(params=state.d.params | {last: layer}))

    batch = data.batch_at(0)
    ranges = "logits of real samples from 2 to 2, of generated ones from 2 to 2"
    finite = explain_first_step(game, with_bias(2.0), batch, key)
    assert finite == f"the loss is finite on the first batch, but a penalty, a gradient or the first update is not: {ranges}"
    assert "give logits that are not finite" in explain_first_step(game, with_bias(jnp.inf), batch, key)
    assert _range(np.array([1.0, np.nan, -3.5])) == "from -3.5 to 1, 1 of 3 not finite"
    assert _range(np.array([np.inf])) == "all inf"


@pytest.mark.parametrize(("images", "steps"), [(20, 100), (200, 200), (898, 800), (60_000, 800)])
def test_few_images_need_fewer_steps_of_the_classifier(images, steps):
    """128 epochs in batches of 128, within bounds; 898 are the digits."""
    assert num_steps(images) == steps
