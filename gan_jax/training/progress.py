"""The terminal: signals and progress."""

import signal
import sys
import time
from typing import Any

from tqdm import tqdm


class Interrupt:
    """Within this context, SIGTERM and Ctrl-C are recorded in `name` instead of killing the process; a second one kills it."""

    def __init__(self) -> None:
        self.name: str | None = None

    def __enter__(self) -> "Interrupt":
        self._handlers = {number: signal.signal(number, self._record) for number in (signal.SIGTERM, signal.SIGINT)}
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _record(self, number: int, frame: Any) -> None:
        self.name = signal.Signals(number).name
        signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)


class Progress:
    """A live bar on a terminal, or about twenty plain lines if the output is piped. Nothing unless `shown`."""

    def __init__(self, steps: int, shown: bool = True):
        self._steps, self._shown = steps, shown
        self._bar: tqdm | None = None
        self._live = shown and sys.stderr.isatty()
        self._printed = 0

    def __enter__(self) -> "Progress":
        return self

    def __exit__(self, *_: Any) -> None:
        if self._bar is not None:
            self._bar.close()

    def say(self, text: str) -> None:
        """Print a message without breaking the bar."""
        if self._shown:
            tqdm.write(text, file=sys.stderr)

    def begin(self, step: int) -> None:
        self._first, self._began, self._printed = step, time.monotonic(), step
        if self._live:
            self._bar = tqdm(total=self._steps, initial=step, unit="step", dynamic_ncols=True)

    def show(self, line: dict[str, Any]) -> None:
        """Show a line of the log."""
        step = line["step"]
        values = {name: f"{line[name]:.3f}" for name in ("d/loss", "g/loss", "eval/fd", "eval/modes") if name in line}
        if "eval/fd_floor" in line:
            values["eval/fd"] += f" (real {line['eval/fd_floor']:.3f})"
        if self._bar is not None:
            self._bar.set_postfix(values, refresh=False)
            self._bar.update(step - self._bar.n)
        elif step == self._steps or "eval/fd" in line or step - self._printed >= self._steps / 20:
            self._printed = step
            rate = (step - self._first) / max(time.monotonic() - self._began, 1e-9)
            left = (self._steps - step) / max(rate, 1e-9)
            words = "  ".join(f"{name} {value}" for name, value in values.items())
            self.say(f"step {step}/{self._steps}  {words}  {rate:.1f} steps/s  {left:.0f} s left")
