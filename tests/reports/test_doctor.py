"""The doctor: each alarm on logs with one fault, and the diagnosis of a run."""

import json
import re
from dataclasses import replace

import pytest

from gan_jax.errors import InputError
from gan_jax.evaluation.evaluate import diagnose_run
from gan_jax.reports.doctor import ALARMS, diagnose
from gan_jax.training.train import train

HEALTHY = {
    "d/grad_norm": 1.0, "g/grad_norm": 0.5, "d/real_logit": 0.3, "d/fake_logit": 0.1, "d/loss": 0.6, "g/loss": 0.7,
    "doctor/separation": 0.1, "doctor/duplicates": 0.0, "doctor/spread": 1.0, "doctor/rank": 1.0, "doctor/rotation": 0.2,
}  # fmt: skip
FAULTS = {
    "not finite": {"g/loss": float("nan")},
    "exploding gradients": {"g/grad_norm": 1e3},
    "vanishing gradients": {"g/grad_norm": 1e-6},
    "runaway logits": {"d/real_logit": 50.0},
    "D saturates": {"doctor/separation": 0.99},
    "duplicates": {"doctor/duplicates": 0.9},
    "narrow samples": {"doctor/spread": 0.1},
    "low rank": {"doctor/rank": 0.2},
    "cycling": {"doctor/rotation": 0.8},
}


def log(*changes):
    return [{"step": 100 * (i + 1), **HEALTHY, **change} for i, change in enumerate(changes)]


def test_every_alarm_has_a_case_and_none_is_raised_without_a_fault():
    assert [alarm.name for alarm in ALARMS] == list(FAULTS)
    assert diagnose(log(*[{}] * 5)) == []
    assert diagnose([]) == []


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_raises_its_own_alarm_only(name):
    (diagnosis,) = diagnose(log({}, *[FAULTS[name]] * 3))
    assert (diagnosis.name, diagnosis.step) == (name, 200)
    assert name in str(diagnosis) and diagnosis.remedy in str(diagnosis) and "\n" not in str(diagnosis)


def test_only_lasting_faults_raise_alarms():
    fault = FAULTS["D saturates"]
    assert diagnose(log(fault, fault, fault, {})) == []
    assert diagnose(log({}, fault, fault)) == []  # too short
    assert diagnose(log({}, {}, FAULTS["not finite"])) != []  # needs a single line
    lines = log(fault, fault, fault, fault)
    del lines[1]["doctor/separation"]  # lines between evaluations have no vital signs
    assert [diagnosis.name for diagnosis in diagnose(lines)] == ["D saturates"]


def test_diagnosis_of_a_run(tiny, tmp_path):
    """The samples of an untrained generator cover a small part of the grid, which reaches from -4 to 4."""
    config = replace(tiny, data="grid", doctor=True, eval_every=6, g_lr=0.0, d_lr=0.0, loss="wasserstein", penalty=None)
    train(config, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    evaluated = [line for line in lines if "eval/modes" in line]
    assert len(evaluated) == 4
    for line in evaluated:
        assert {"doctor/separation", "doctor/duplicates", "doctor/spread", "doctor/rank", "doctor/rotation"} <= set(line)
    # At a learning rate of 0 the players do not change, and the vital signs are always measured with the same noise.
    assert len({line["doctor/rotation"] for line in evaluated}) == 1
    diagnoses = diagnose(lines)
    assert "narrow samples" in [diagnosis.name for diagnosis in diagnoses]
    assert diagnose_run(tmp_path / "run") == "\n".join(map(str, diagnoses))
    page = re.sub("<[^>]*>", "", (tmp_path / "run" / "report.html").read_text())
    for diagnosis in diagnoses:
        for text in (diagnosis.name, diagnosis.sentence, diagnosis.remedy):
            assert text.capitalize()[0] + text[1:] in page.replace("&#x27;", "'")


def test_diagnosis_without_alarms_or_without_a_log(tmp_path):
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in log(*[{}] * 3)))
    assert diagnose_run(tmp_path) == "no alarms at step 300"
    (tmp_path / "metrics.jsonl").write_text('{"step": 100, "d/loss": 0.5}\n')
    assert diagnose_run(tmp_path) == "no alarms at step 100; train with --doctor for more checks"
    (tmp_path / "metrics.jsonl").write_text('{"step": 100, "seed": 1, "d/loss": 0.5}\n')
    with pytest.raises(InputError, match="holds several seeds"):
        diagnose_run(tmp_path)
    (tmp_path / "metrics.jsonl").unlink()
    with pytest.raises(InputError, match=r"metrics\.jsonl is missing or empty"):
        diagnose_run(tmp_path)
