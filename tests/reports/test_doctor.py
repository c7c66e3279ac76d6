"""The doctor: what it sees against closed forms, each alarm on lines that ail of one thing, and a run that it looks at."""

import json
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.errors import InputError
from gan_jax.evaluation.evaluate import diagnose_run
from gan_jax.evaluation.vitals import duplicates, effective_rank, rotation
from gan_jax.reports.doctor import ALARMS, diagnose
from gan_jax.training.train import train

HEALTHY = {
    "d/grad_norm": 1.0, "g/grad_norm": 0.5, "d/real_logit": 0.3, "d/fake_logit": 0.1, "d/loss": 0.6, "g/loss": 0.7,
    "doctor/separation": 0.1, "doctor/duplicates": 0.0, "doctor/spread": 1.0, "doctor/rank": 1.0, "doctor/rotation": 0.2,
}  # fmt: skip
ILLS = {
    "not finite": {"g/loss": float("nan")},
    "exploding gradients": {"g/grad_norm": 1e3},
    "vanishing gradients": {"g/grad_norm": 1e-6},
    "runaway logits": {"d/real_logit": 50.0},
    "D saturates": {"doctor/separation": 0.99},
    "duplicates": {"doctor/duplicates": 0.9},
    "narrow samples": {"doctor/spread": 0.1},
    "low rank": {"doctor/rank": 0.2},
    "circling": {"doctor/rotation": 0.8},
}


def log(*changes):
    return [{"step": 100 * (i + 1), **HEALTHY, **change} for i, change in enumerate(changes)]


def test_each_alarm_has_its_case():
    assert [alarm.name for alarm in ALARMS] == list(ILLS)
    assert diagnose(log(*[{}] * 5)) == []
    assert diagnose([]) == []


@pytest.mark.parametrize("name", ILLS)
def test_an_alarm_rings_for_what_it_is_there_for_and_no_other(name):
    (found,) = diagnose(log({}, *[ILLS[name]] * 3))
    assert (found.name, found.step) == (name, 200)
    assert name in str(found) and found.remedy in str(found) and "\n" not in str(found)


def test_what_passes_rings_no_more():
    ill = ILLS["D saturates"]
    assert diagnose(log(ill, ill, ill, {})) == []
    assert diagnose(log({}, ill, ill)) == []  # not long enough
    assert diagnose(log({}, {}, ILLS["not finite"])) != []  # this one does not wait
    lines = log(ill, ill, ill, ill)
    del lines[1]["doctor/separation"]  # lines between evaluations tell nothing of it
    assert [found.name for found in diagnose(lines)] == ["D saturates"]


@pytest.mark.parametrize(
    ("jacobian", "share"),
    [
        ([[0.0, 1.0], [-1.0, 0.0]], 1.0),  # bilinear: players circle for ever
        ([[2.0, 1.0], [1.0, 3.0]], 0.0),  # both descend one function
        ([[1.0, 1.0], [-1.0, 1.0]], 0.5),
    ],
)
def test_rotation_of_a_linear_game(jacobian, share):
    matrix = jnp.array(jacobian)
    found = rotation(lambda w: matrix @ w, jnp.array([0.3, -0.7]), jnp.array([1.0, 2.0]))
    np.testing.assert_allclose(found, share, atol=1e-6)


def test_effective_rank_of_known_spectra():
    rng = np.random.RandomState(0)
    basis, _ = np.linalg.qr(rng.normal(size=(64, 5)) - 0)
    basis -= basis.mean(axis=0)
    basis, _ = np.linalg.qr(basis)  # centred, orthonormal columns
    for widths, rank in (([1, 1, 1, 1, 0], 4.0), ([1, 0, 0, 0, 0], 1.0), ([np.sqrt(3), 1, 0, 0, 0], 4 / 3**0.75)):
        np.testing.assert_allclose(effective_rank(jnp.float32(basis * widths)), rank, rtol=1e-4)


def test_duplicates_are_counted():
    real = jax.random.normal(jax.random.key(0), (64, 2))
    assert duplicates(real, real) < 0.1
    half = jnp.concatenate([real[:32], jnp.broadcast_to(real[0] + 9, (32, 2))])
    np.testing.assert_allclose(duplicates(half, real), 0.5, atol=0.05)


def test_a_run_is_looked_at(tiny, tmp_path):
    config = replace(tiny, doctor=True, eval_every=6, g_lr=0.0, d_lr=0.0, loss="wasserstein", penalty=None)
    train(config, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    seen = [line for line in lines if "eval/modes" in line]
    assert len(seen) == 4
    for line in seen:
        assert {"doctor/separation", "doctor/duplicates", "doctor/spread", "doctor/rank", "doctor/rotation"} <= set(line)
    # Nothing moves at a learning rate of 0, and the doctor looks with the same noise every time.
    assert len({line["doctor/rotation"] for line in seen}) == 1
    found = diagnose(lines)
    assert diagnose_run(tmp_path / "run") == "\n".join(map(str, found)) or "no alarm rings" in diagnose_run(tmp_path / "run")
    page = (tmp_path / "run" / "report.html").read_text()
    assert all(alarm.sentence in page for alarm in found)
    with pytest.raises(InputError, match=r"has no metrics\.jsonl with anything in it"):
        diagnose_run(tmp_path)
