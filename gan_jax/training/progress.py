"""The terminal: signals, output and progress."""

import errno
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
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
