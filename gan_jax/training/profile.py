"""A trace of some training steps by `jax.profiler`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax


class StepProfile:
    """Traces `steps` steps after the compilation, in `folder`; 0 traces none. A context: the trace of a run that ends within is
    kept."""

    def __init__(self, steps: int, folder: Path, say: Callable[[str], None]):
        self._steps, self._folder, self._say = steps, folder, say
        self._first: int | None = None  # the step before the first one of the trace
        self._last = 0
        self._done = steps == 0

    def __enter__(self) -> "StepProfile":
        return self

    def __exit__(self, *_: Any) -> None:
        self._close()

    def limit(self, step: int) -> int:
        """How many steps may be dispatched at once."""
        if self._done:
            return 2**31
        return self._steps if self._first is None else self._first + self._steps - step

    def begin(self, step: int, state: Any) -> None:
        """Begin the trace, unless it has begun, once `state` is computed."""
        if self._done or self._first is not None:
            return
        jax.block_until_ready(state)
        jax.profiler.start_trace(self._folder, create_perfetto_trace=True)
        self._first = step

    def end(self, step: int, state: Any) -> None:
        """End the trace after its last step, once that is computed."""
        self._last = step
        if not self._done and self._first is not None and step - self._first >= self._steps:
            jax.block_until_ready(state)
            self._close()

    def _close(self) -> None:
        if self._done:
            return
        self._done = True
        if self._first is None:
            self._say("no trace: all steps were in the first dispatch, which compiles")
            return
        jax.profiler.stop_trace()
        self._say(
            f"trace of {self._last - self._first} steps in {self._folder}: open the newest perfetto_trace.json.gz in it at "
            f"https://ui.perfetto.dev, or: pip install xprof && xprof --logdir {self._folder}"
        )
