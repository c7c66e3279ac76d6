"""The doctor: a diagnosis of a training from its log.

`evaluation/vitals.py` measures both players during the game and logs numbers as `doctor/...` in metrics.jsonl. `diagnose` reads
the lines of a log, whether or not the run has finished or broken, and returns the ALARMS raised. Thresholds were set on
runs with deliberate faults and on healthy runs (tests/reports/test_doctor_cases.py).
"""

import math
from collections.abc import Callable, Iterable
from functools import partial
from itertools import takewhile
from typing import Any, NamedTuple

Line = dict[str, Any]  # of metrics.jsonl


class Diagnosis(NamedTuple):
    """An alarm that is raised."""

    name: str
    step: int  # the first step of the unbroken series of alarming values that ends now
    value: float  # the latest
    threshold: float
    sentence: str
    remedy: str

    def __str__(self) -> str:
        numbers = f"{self.value:.3g}, limit {self.threshold:g}"
        return f"{self.name} since step {self.step:,} ({numbers}): {self.sentence}; remedy: {self.remedy}"


class Alarm(NamedTuple):
    """A check that is raised if `reading` is beyond `threshold` in each of the last `hold` lines that contain what it reads; it
    skips the others (KeyError). A value that recovers, as in the first steps of training, ends the alarm."""

    name: str
    reading: Callable[[Line], float]
    beyond: str  # ">" or "<"
    threshold: float
    sentence: str
    remedy: str
    hold: int = 3


ALARMS = (
    Alarm("not finite", lambda line: _count_not_finite(line), ">", 0, "training has broken",
          "lower g_lr and d_lr, or add a penalty, in a new --run_dir", hold=1),
    Alarm("exploding gradients", lambda line: max(line["d/grad_norm"], line["g/grad_norm"]), ">", 100,
          "a player's gradient norm is very large and NaN may follow",
          "add --penalty r1_r2 or raise gamma, or lower g_lr and d_lr"),
    Alarm("vanishing gradients", lambda line: min(line["d/grad_norm"], line["g/grad_norm"]), "<", 1e-4,
          "a player's gradient has vanished and it no longer learns",
          "choose a loss that does not saturate (relativistic, hinge, non_saturating), raise gamma, or lower d_lr"),
    Alarm("runaway logits", lambda line: abs(line["d/real_logit"] - line["d/fake_logit"]), ">", 20,
          "the logits of real and generated samples grow apart without bound",
          "add --penalty r1_r2 or raise gamma, set --d_norm spectral, or lower d_lr"),
    Alarm("D saturates", lambda line: line["doctor/separation"], ">", 0.9,
          "D separates nearly all real samples from generated ones",
          "raise gamma or add augmentation, lower d_lr or d_steps, or increase g_width"),
    Alarm("duplicates", lambda line: line["doctor/duplicates"], ">", 0.5,
          "most samples have a near duplicate, so G ignores much of its latents",
          "lower g_lr, add --penalty r1_r2, or increase g_width"),
    Alarm("narrow samples", lambda line: line["doctor/spread"], "<", 0.5,
          "samples have less than half the standard deviation of the data, so modes are missing",
          "set --loss relativistic with --penalty r1_r2, set --pack 2, or increase d_width"),
    Alarm("low rank", lambda line: line["doctor/rank"], "<", 0.6,
          "samples vary in fewer directions than the data, so modes are missing",
          "set --loss relativistic with --penalty r1_r2, or set --pack 2"),
    # A Jacobian without structure gives 0.5, which healthy trainings on two moons reach; cycles of gradient descent give 0.8.
    Alarm("cycling", lambda line: line["doctor/rotation"], ">", 0.7,
          "the players cycle around each other without converging",
          "add --penalty r1_r2 or raise gamma, lower g_lr and d_lr, or set --update extragradient"),
)  # fmt: skip


def diagnose(lines: Iterable[Line]) -> list[Diagnosis]:
    """Return the alarms that are raised at the end of `lines`, the log of a run of one seed, in the order of ALARMS."""
    lines, diagnoses = list(lines), []
    for alarm in ALARMS:
        # From the end: a log may be long, and a streak that ends now is usually short.
        streak = list(takewhile(partial(_is_beyond, alarm), _readings(alarm, reversed(lines))))
        if len(streak) >= alarm.hold:
            first_step, latest = streak[-1][0], streak[0][1]
            diagnoses.append(Diagnosis(alarm.name, first_step, latest, alarm.threshold, alarm.sentence, alarm.remedy))
    return diagnoses


def _readings(alarm: Alarm, lines: Iterable[Line]) -> Iterable[tuple[int, float]]:
    """(step, reading) of the lines that contain what the alarm reads."""
    for line in lines:
        try:
            yield line["step"], alarm.reading(line)
        except KeyError:
            continue


def _is_beyond(alarm: Alarm, reading: tuple[int, float]) -> bool:
    value = reading[1]
    return value > alarm.threshold if alarm.beyond == ">" else value < alarm.threshold


def _count_not_finite(line: Line) -> int:
    """The number of a line's values that are not finite, plus 1 if it marks the run as broken."""
    values = (value for name, value in line.items() if name.startswith(("d/", "g/")))
    return sum(not math.isfinite(value) for value in values) + ("broken" in line)
