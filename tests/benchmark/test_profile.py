"""Hand-written traces, and one of this machine's CPU."""

import jax
import jax.numpy as jnp
import pytest

from gan_jax.benchmark.profile import profile, summarise
from gan_jax.errors import RunError


def name(kind, pid, value, tid=None):
    return {"ph": "M", "name": f"{kind}_name", "pid": pid, "tid": tid, "args": {"name": value}}


def run(pid, tid, what, start, duration, **args):
    return {"ph": "X", "pid": pid, "tid": tid, "name": what, "ts": start, "dur": duration, "args": args}


def gpu_trace():
    """As XLA writes them: a process for the device, with a row for each stream and rows that repeat the same work."""
    return [
        name("process", 1, "/device:GPU:0"),
        name("process", 9, "/host:CPU"),
        name("thread", 1, "Stream #13(Compute)", 13),
        name("thread", 1, "Stream #14(MemcpyH2D)", 14),
        name("thread", 1, "XLA Modules", 2),
        name("thread", 9, "python", 5),
        run(1, 2, "jit_advance", 0, 1000),
        run(9, 5, "PjitFunction", 0, 5000),
        run(1, 13, "gemm", 100, 300, hlo_op="dot.1"),
        run(1, 13, "gemm", 500, 100, hlo_op="dot.2"),
        run(1, 13, "fusion", 400, 50, hlo_op="fusion"),
        run(1, 14, "copy", 550, 100),
        run(1, 14, "instant", 600, 0),
    ]


def test_a_gpu_is_idle_where_no_stream_works():
    """Busy from 100 to 450 and from 500 to 650, of 550 microseconds."""
    found = summarise(gpu_trace())
    assert found.milliseconds == pytest.approx(0.55)
    assert found.busy == pytest.approx(500 / 550)
    names = [(operation.name, operation.count) for operation in found.top]
    assert names == [("gemm", 2), ("copy", 1), ("fusion", 1)]
    assert found.top[0].milliseconds == pytest.approx(0.4) and found.top[0].fraction == pytest.approx(400 / 550)


def test_the_ten_most_expensive_operations_are_kept():
    events = [*gpu_trace(), *(run(1, 13, f"small{i}", 700 + 10 * i, 1 + i / 10) for i in range(20))]
    found = summarise(events)
    assert len(found.top) == 10 and found.top[3].name == "small19"


def test_without_a_device_the_operations_of_the_host_count():
    """A loop contains its operations, which would count twice."""
    events = [
        name("process", 9, "/host:CPU"),
        run(9, 5, "while.3", 0, 100, hlo_op="while.3"),
        run(9, 5, "dot.1", 0, 60, hlo_op="dot.1"),
        run(9, 6, "tanh_fusion", 40, 40, hlo_op="tanh_fusion"),
        run(9, 6, "python", 0, 900),
    ]
    found = summarise(events)
    assert found.milliseconds == pytest.approx(0.08) and found.busy == pytest.approx(1.0)
    assert [operation.name for operation in found.top] == ["dot.1", "tanh_fusion"]


def test_a_trace_without_operations_is_refused():
    with pytest.raises(RunError, match="no operations"):
        summarise([name("process", 9, "/host:CPU"), run(9, 5, "python", 0, 900)])


def test_a_call_is_profiled():
    matmul, x = jax.jit(lambda x: x @ x), jnp.ones((300, 300))
    matmul(x).block_until_ready()
    found = profile(lambda: [matmul(x).block_until_ready() for _ in range(3)])
    assert found.milliseconds > 0 and 0 < found.busy <= 1
    assert sum(operation.count for operation in found.top) >= 3
