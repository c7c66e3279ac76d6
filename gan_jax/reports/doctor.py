"""The doctor: what ails a training, from its log.

`vitals` looks at both players in the middle of the game and yields numbers, `doctor/...` in metrics.jsonl. `diagnose` reads the
lines of a log, whether or not the run has ended or broken, and says which of the ALARMS ring. Thresholds are from planted
illnesses and healthy runs (tests/test_doctor_cases.py).
"""

import math
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

Line = dict[str, Any]  # of metrics.jsonl


class Diagnosis(NamedTuple):
    """An alarm that rings."""

    name: str
    step: int  # since when without a break
    value: float  # now
    threshold: float
    sentence: str
    remedy: str

    def __str__(self) -> str:
        return (
            f"{self.name} since step {self.step:,} ({self.value:.3g}, limit {self.threshold:g}): {self.sentence}; {self.remedy}"
        )


class Alarm(NamedTuple):
    """Rings where `reading` is beyond `threshold` in each of the last `hold` lines that tell it; a line that lacks what it
    reads (KeyError) tells nothing. What passes, as the first steps of a training do, rings no more."""

    name: str
    reading: Callable[[Line], float]
    beyond: str  # ">" or "<"
    threshold: float
    sentence: str
    remedy: str
    hold: int = 3


ALARMS = (
    Alarm("not finite", lambda line: _not_finite(line), ">", 0, "the run has broken",
          "lower g_lr and d_lr, or add a penalty, in a new --run_dir", hold=1),
    Alarm("exploding gradients", lambda line: max(line["d/grad_norm"], line["g/grad_norm"]), ">", 100,
          "a player's gradient is too long, NaN may be ahead",
          "add --penalty r1_r2 or raise gamma, or lower g_lr and d_lr"),
    Alarm("vanishing gradients", lambda line: min(line["d/grad_norm"], line["g/grad_norm"]), "<", 1e-4,
          "a player has nothing to learn from any more",
          "take a loss that does not saturate (relativistic, hinge, non_saturating), raise gamma, or lower d_lr"),
    Alarm("runaway logits", lambda line: abs(line["d/real_logit"] - line["d/fake_logit"]), ">", 20,
          "D drives the logits of real and generated samples apart without bound",
          "add --penalty r1_r2 or raise gamma, take --d_norm spectral, or lower d_lr"),
    Alarm("D saturates", lambda line: line["doctor/separation"], ">", 0.9,
          "D tells nearly every real sample from every generated one",
          "raise gamma or add augmentation, lower d_lr or d_steps, or give G more width"),
    Alarm("duplicates", lambda line: line["doctor/duplicates"], ">", 0.5,
          "most samples have a twin, G makes little of its latents",
          "lower g_lr, add --penalty r1_r2, or give G more width"),
    Alarm("narrow samples", lambda line: line["doctor/spread"], "<", 0.5,
          "samples spread over less than half the width of the data, modes are lost",
          "take --loss relativistic with --penalty r1_r2, --pack 2, or give D more width"),
    Alarm("low rank", lambda line: line["doctor/rank"], "<", 0.6,
          "samples vary in fewer ways than the data, modes are lost",
          "take --loss relativistic with --penalty r1_r2, or --pack 2"),
    Alarm("circling", lambda line: line["doctor/rotation"], ">", 0.5,
          "the players chase each other around and come no closer",
          "add --penalty r1_r2 or raise gamma, lower g_lr and d_lr, or take --update extragradient"),
)  # fmt: skip


def diagnose(lines: Iterable[Line]) -> list[Diagnosis]:
    """The alarms that ring at the end of `lines`, the log of one run of one seed, in the order of ALARMS."""
    lines, found = list(lines), []
    for alarm in ALARMS:
        told = list(_told(alarm, lines))
        streak = 0
        while streak < len(told) and _beyond(alarm, told[-1 - streak][1]):
            streak += 1
        if streak >= alarm.hold:
            since, now = told[-streak][0], told[-1][1]
            found.append(Diagnosis(alarm.name, since, now, alarm.threshold, alarm.sentence, alarm.remedy))
    return found


def _told(alarm: Alarm, lines: list[Line]) -> Iterable[tuple[int, float]]:
    """(step, reading) of the lines that tell it."""
    for line in lines:
        try:
            yield line["step"], alarm.reading(line)
        except KeyError:
            continue


def _beyond(alarm: Alarm, value: float) -> bool:
    return value > alarm.threshold if alarm.beyond == ">" else value < alarm.threshold


def _not_finite(line: Line) -> int:
    """How many of a line's numbers are not finite; 1 where it says that the run is broken."""
    values = (value for name, value in line.items() if name.startswith(("d/", "g/")))
    return sum(not math.isfinite(value) for value in values) + ("broken" in line)
