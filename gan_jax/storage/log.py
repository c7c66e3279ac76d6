"""Read the log of a run, metrics.jsonl: one JSON object a line, with the number of the step and values."""

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple


class Log(NamedTuple):
    """A log: its lines, and the numbers (from 1) of those that cannot be read. A last line without a newline that cannot be
    read counts as neither: it is still being written, or the process was killed while writing it."""

    lines: list[dict[str, Any]]
    damaged: list[int]

    @property
    def damage(self) -> str:
        """Which lines cannot be read, as in `lines 3, 5 of 120 cannot be read`; empty if all can."""
        if not self.damaged:
            return ""
        total = len(self.lines) + len(self.damaged)
        shown = [*map(str, self.damaged[:5]), *(["..."] if len(self.damaged) > 5 else [])]
        plural = "s" if len(self.damaged) > 1 else ""
        count = (
            f"{len(self.damaged)} lines ({', '.join(shown)})" if len(self.damaged) > 5 else f"line{plural} {', '.join(shown)}"
        )
        return f"{count} of {total} cannot be read"

    def missing(self, every: int, step: int) -> list[int]:
        """The steps up to `step` of which there is no line, although one was logged every `every` steps."""
        present = {line["step"] for line in self.lines}
        return [logged for logged in range(every, step + 1, every) if logged not in present]


def read_log(path: Path) -> Log:
    """The log in a file; an empty one if there is no file. Raises OSError if the file cannot be read."""
    lines, damaged = [], []
    if path.exists():
        with path.open("rb") as file:  # line by line: logs may be large
            for number, text in enumerate(file, 1):
                line = _parse(text)
                if line is not None:
                    lines.append(line)
                elif text.endswith(b"\n") and text.strip():
                    damaged.append(number)
    return Log(lines, damaged)


def _parse(text: bytes) -> dict[str, Any] | None:
    """A line of a log, or None if it is not one: an object with a step and values, which are numbers, except for the text that
    says why a run broke."""
    try:
        line = json.loads(text.decode())
    except (ValueError, RecursionError):
        return None
    if not isinstance(line, dict) or type(line.get("step")) is not int or line["step"] < 0:
        return None
    if not all(type(value) is str if name == "broken" else _is_number(value) for name, value in line.items()):
        return None
    return {sys.intern(name): value for name, value in line.items()}  # each name is stored once, not once a line


def _is_number(value: Any) -> bool:
    """Whether a value is a number, of a size that a float can hold."""
    return type(value) is float or (type(value) is int and abs(value) < 1e308)
