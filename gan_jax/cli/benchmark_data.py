"""Measure whether streamed data keeps a device busy: `gan_jax benchmark_data [--data NAME]`.

For each batch size, measures the images per second of the stream alone, with its CPU time per image; of a compiled DCGAN step
on data in memory; and of the same step on streamed data. `waits` is the fraction of a streamed step in which the host waits for
its batch; this does not slow down a device that still has work queued. `slower` is the relative loss of speed of steps on
streamed data, compared with data in memory; on a CPU, it includes the cores that reading takes away from the step.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from gan_jax.cli.command import DATA_DIR_HELP, SAMPLES, Parser, out_file, whole_number, write_json
from gan_jax.data.dataset import Data
from gan_jax.errors import InputError

NUM_JPEGS = 2_000
ROUNDS = 3


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("--data", metavar="NAME", help="tfds:NAME or a folder of images (default: generated JPEGs)")
    parser.add_argument("--data_dir", help=DATA_DIR_HELP)
    parser.add_argument(
        "--size", type=whole_number(1, 4096), default=32, help="height and width of the generated JPEGs (default: %(default)s)"
    )
    parser.add_argument("--batches", default="16,64,256", help="comma-separated batch sizes (default: %(default)s)")
    parser.add_argument(
        "--images",
        type=whole_number(1, SAMPLES),
        default=4_000,
        help="number of images in each measurement (default: %(default)s)",
    )
    parser.add_argument("--width", type=whole_number(1, 4096), default=32, help="width of both networks (default: %(default)s)")
    parser.add_argument("--json", type=out_file, metavar="PATH", help="also write the table to this JSON file")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    try:
        batches = [whole_number(1, 2**20)(batch) for batch in options.batches.split(",")]
    except argparse.ArgumentTypeError as error:
        raise InputError(f"--batches: each of the numbers between commas {error}") from error

    import jax

    from gan_jax.data.stream import THREADS

    with tempfile.TemporaryDirectory() as folder:
        name = options.data or make_jpegs(Path(folder), options.size)
        description = options.data or f"{NUM_JPEGS:,} JPEGs of {options.size}x{options.size}"
        print(f"{description}, DCGAN of width {options.width}, {jax.devices()[0].device_kind}, {THREADS} threads")
        groups = ["stream alone", "step, data in memory", "step, streamed"]
        print(" " * 7 + " ".join(f"{group:>23}" for group in groups))
        columns = ["images/s", "CPU us/img", *["images/s", "ms/step"] * 2]
        print(f"{'batch':>6} " + " ".join(f"{column:>11}" for column in columns) + "   waits  slower")
        rows = []
        for batch in batches:
            row = measure(name, options.data_dir, batch, max(options.images // batch, 5), options.width)
            rows.append(row)
            speeds = [row["stream"], row["cpu"] * 1e6, row["memory"], batch / row["memory"] * 1e3]
            speeds += [row["streamed"], batch / row["streamed"] * 1e3]
            print(
                f"{batch:6} " + " ".join(f"{x:11,.1f}" for x in speeds) + f" {row['waits']:7.1%} {row['slower']:7.1%}",
                flush=True,
            )
    if options.json:
        facts = {
            "jax": metadata.version("jax"),
            "grain": metadata.version("grain"),
            "cores": os.cpu_count(),
            "data": description,
        }
        write_json(options.json, facts | {"device": jax.devices()[0].device_kind, "rows": rows})
        print(f"\nwritten to {options.json}")


def make_jpegs(folder: Path, size: int) -> str:
    """Write JPEGs of noise at several scales, with files as large as those of photographs of that size; return the folder."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for i in range(NUM_JPEGS):
        grids = [grid for grid in (4, 16, size) if grid <= size]
        scales = [Image.fromarray(random.integers(0, 256, (grid, grid, 3), np.uint8)).resize((size, size)) for grid in grids]
        image = np.average([np.asarray(scale) for scale in scales], axis=0, weights=[4, 2, 1][: len(scales)])
        Image.fromarray(image.astype(np.uint8)).save(folder / f"{i:05d}.jpg", quality=90)
    return str(folder)


def measure(name: str, data_dir: str | None, batch: int, steps: int, width: int) -> dict[str, float]:
    """Return images per second as `stream`, `memory` and `streamed`; the stream's CPU seconds per image as `cpu`; and the
    fractions `waits` and `slower`. All are medians over `ROUNDS` rounds, which alternate between the cases."""
    from gan_jax.data.load import load

    memory, streamed = (load(name, 0, batch, data_dir, stream=stream) for stream in ("never", "always"))
    waited = []  # seconds, for each batch

    def feed_at(step):
        start = time.perf_counter()
        batch = streamed.feed_at(step)
        waited.append(time.perf_counter() - start)
        return batch

    steppers = {
        "memory": compile_step(memory, memory.feed_at, width),
        "streamed": compile_step(streamed, feed_at, width),
    }
    results = {key: [] for key in ("stream", "cpu", "memory", "streamed", "waits")}
    start = 2
    for _ in range(ROUNDS):
        seconds, cpu = timed(streamed.feed_at, range(start, start + steps))
        results["stream"].append(steps * batch / seconds)
        results["cpu"].append(cpu / steps / batch)
        start += steps + 3  # skip some steps, so that nothing has been read ahead for the next measurement
        for case, run_step in steppers.items():
            seconds, _ = timed(run_step, range(start, start + steps))
            results[case].append(steps * batch / seconds)
        results["waits"].append(sum(waited[-steps:]) / seconds)
        start += steps + 3
    row = {key: statistics.median(values) for key, values in results.items()}
    return {"batch": batch, "steps": steps} | row | {"slower": 1 - row["streamed"] / row["memory"]}


def compile_step(data: Data, feed_at: Callable, width: int) -> Callable:
    """Return a function from a step number to the metrics of a compiled training step, whose batch comes from `feed_at`."""
    import jax

    from gan_jax.config import Config
    from gan_jax.game.build import build
    from gan_jax.game.state import init_state
    from gan_jax.training.compile import compile_update
    from gan_jax.training.members import batches_of_step

    game = build(Config(model="dcgan", g_width=width, d_width=width), data)
    advance, _ = compile_update(game, data, "loop")
    state, store, key = init_state(game, jax.random.key(0)), jax.device_put(data.store), jax.random.key(1)

    def run_step(step):
        nonlocal state
        feeds = jax.tree.map(lambda x: x[None], batches_of_step(game, feed_at, step))
        state, metrics = advance(state, store, feeds, 1, key)
        return metrics

    return run_step


def timed(run: Callable, steps: range) -> tuple[float, float]:
    """Return the wall and CPU seconds of the steps. The two steps before them run first, untimed, and start reading ahead."""
    import jax

    for step in range(steps.start - 2, steps.start):
        jax.block_until_ready(run(step))
    wall, cpu = time.perf_counter(), time.process_time()
    for step in steps:
        last = run(step)
    jax.block_until_ready(last)
    return time.perf_counter() - wall, time.process_time() - cpu
