"""The terminal: signals, output and progress."""

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, TextIO

from tqdm.auto import tqdm


class Interrupt:
    """Within this context, SIGTERM, SIGHUP and Ctrl-C are recorded in `name` instead of killing the process. A second SIGTERM
    or Ctrl-C kills it; a second SIGHUP does not: closing a terminal may send several. Under nohup, SIGHUP stays ignored."""

    def __init__(self) -> None:
        self.name: str | None = None

    def __enter__(self) -> "Interrupt":
        numbers = [signal.SIGTERM, signal.SIGINT]
        numbers += [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
        # Python delivers signals to the main thread only; a training in another one cannot be interrupted.
        main = threading.current_thread() is threading.main_thread()
        self._handlers = {number: signal.signal(number, self._record) for number in numbers if main}
        return self

    def __exit__(self, *_: Any) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @contextmanager
    def released(self) -> Iterator[None]:
        """Within this context, signals have their usual effect: for long work at which nothing is lost."""
        self.__exit__()
        try:
            yield
        finally:
            self.__enter__()

    def _record(self, number: int, frame: Any) -> None:
        self.name = signal.Signals(number).name
        if number != signal.SIGHUP:
            signal.signal(number, signal.SIG_DFL if number == signal.SIGTERM else signal.default_int_handler)


class LossyStream:
    """A text stream that drops what cannot be written, because the terminal is closed, the reader has gone or the disk is full,
    and escapes what its encoding lacks."""

    def __init__(self, stream: TextIO):
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except UnicodeEncodeError:
            encoding = self._stream.encoding
            return self.write(text.encode(encoding, "backslashreplace").decode(encoding))
        except (OSError, ValueError) as error:
            self._drop(error)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError) as error:
            self._drop(error)

    def _drop(self, error: Exception) -> None:
        """Unless it can become possible again, nothing more is written: what is buffered would fail when the process ends."""
        if getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            return
        with suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), self._stream.fileno())

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def lossy_output() -> Iterator[None]:
    """Within this context, output that cannot be written is dropped: it must not stop a training."""
    for number in (0, 1, 2):  # otherwise the next file would be opened under the number, and receive the output
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    streams = sys.stdout, sys.stderr
    opened = [open(os.devnull, "w") if stream is None else stream for stream in streams]
    sys.stdout, sys.stderr = map(LossyStream, opened)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stdout, sys.stderr = streams


def in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    get_ipython = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)
    return "IPKernelApp" in getattr(get_ipython(), "config", {})


class Progress:
    """A live bar on a terminal or in a notebook, or about twenty plain lines if the output is piped. Nothing unless `shown`."""

    def __init__(self, steps: int, shown: bool = True):
        self._steps, self._shown = steps, shown
        self._bar: tqdm | None = None
        self._live = shown and (sys.stderr.isatty() or in_notebook())
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
        self._printed, self._pace = step, Pace(step, time.monotonic())
        if self._live:
            shape = "{desc}{percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
            self._bar = tqdm(total=self._steps, initial=step, unit="step", dynamic_ncols=True, bar_format=shape)

    def restart(self, step: int) -> None:
        """Measure the speed from `step` on."""
        self._pace = Pace(step, time.monotonic())

    @contextmanager
    def pause(self, what: str) -> Iterator[None]:
        """What happens in this context, `what`, is no training: its time does not count in the rate of steps."""
        began = time.monotonic()
        if self._bar is not None:
            self._bar.set_description_str(f"{what} ... ")
        try:
            yield
        finally:
            self._pace.paused(time.monotonic() - began)
            if self._bar is not None:
                self._bar.set_description_str("")

    def show(self, lines: Sequence[dict[str, Any]], queued: bool) -> None:
        """Show the newest of some lines of the log, which have just been read from the devices, with further steps `queued`
        there or none."""
        if not lines:
            return
        line = {name: value for each in lines for name, value in each.items()}
        step = line["step"]
        self._pace.reach(step, time.monotonic(), queued)
        values = {name: f"{line[name]:.3f}" for name in ("d/loss", "g/loss", "eval/fd", "eval/modes") if name in line}
        if "eval/fd_floor" in line:
            values["eval/fd"] += f" (real {line['eval/fd_floor']:.3f})"
        words = "  ".join(f"{name} {value}" for name, value in values.items())
        if rate := self._pace.rate:
            speed = f"{rate:.1f} steps/s" if rate >= 1 else f"{1 / rate:.1f} s/step"
            words += f"  {speed}  {format_seconds(self._pace.seconds_left(self._steps))} left"
        if self._bar is not None:
            self._bar.set_postfix_str(words, refresh=False)
            self._bar.update(step - self._bar.n)
        elif step == self._steps or "eval/fd" in line or step - self._printed >= self._steps / 20:
            self._printed = step
            self.say(f"step {step}/{self._steps}  {words}")


class Pace:
    """How fast steps are made, without the time of pauses, and the time that is left.

    A step is read once it is complete. If further steps are queued, the devices have by then made an unknown number of those as
    well. So the rate is measured between two readings with steps queued, or between two with none."""

    def __init__(self, step: int, now: float):
        self._first = step
        self._exact: tuple[int, float] = (step, now)  # the last step that was read with none queued, and when
        self._ahead: tuple[int, float] | None = None  # the last one since then that was read with others queued
        self._step, self._pauses = step, 0.0
        self.rate = 0.0  # steps per second in the last interval

    def paused(self, seconds: float) -> None:
        """Exclude these seconds."""
        self._pauses += seconds

    def reach(self, step: int, now: float, queued: bool) -> None:
        """End an interval at `step`, with further steps `queued` or none."""
        if step <= self._step:
            return
        self._step, reading = step, (step, now - self._pauses)
        start = self._ahead if queued else self._exact
        if start is None and not self.rate:  # a first estimate, which neglects what the devices have made beyond `step`
            start = self._exact
        if start is not None:
            self.rate = (step - start[0]) / max(reading[1] - start[1], 1e-9)
        if queued:
            self._ahead = reading
        else:
            self._exact, self._ahead = reading, None

    def seconds_left(self, steps: int) -> float:
        """The seconds to step `steps` at the present rate, with as many pauses for each step as so far."""
        pauses = self._pauses / max(self._step - self._first, 1)
        return (steps - self._step) * (1 / max(self.rate, 1e-9) + pauses)


def format_seconds(seconds: float) -> str:
    """`45 s`, `12 min`, `3.4 h`, `2.1 days`."""
    for unit, size in (("days", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.{0 if unit == 'min' else 1}f} {unit}"
    return f"{seconds:.0f} s" if seconds >= 1 or seconds == 0 else f"{seconds:.2g} s"
