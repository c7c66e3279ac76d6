"""Whether streamed data keep a device busy: `python experiments/benchmark_data.py [--data NAME]`.

For each batch size: the images a second that the stream reads by itself, and what one costs in CPU time; those that a compiled
DCGAN step takes of data in memory; and those of the same step on streamed data. `waits` is the share of a streamed step in
which the host waits for its batch: a device that is behind the host feels nothing of it. `slower` is by how much such steps
fall short of those on data in memory: on a CPU, where they share the cores, what reading takes from them.
"""

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path

from gan_jax.cli.command import Parser, out_file, write_json
from gan_jax.data.dataset import Data
from gan_jax.errors import InputError

MADE = 2_000  # images
ROUNDS = 3


def main() -> None:
    parser = Parser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--data", metavar="NAME", help="tfds:NAME or a folder of images (default: JPEGs made for this)")
    parser.add_argument("--data_dir", help="where tfds:NAME is looked for")
    parser.add_argument("--size", type=int, default=32, help="side of the made images (default: %(default)s)")
    parser.add_argument("--batches", default="16,64,256", help="batch sizes (default: %(default)s)")
    parser.add_argument("--images", type=int, default=4_000, help="images in each measurement (default: %(default)s)")
    parser.add_argument("--width", type=int, default=32, help="width of both networks (default: %(default)s)")
    parser.add_argument("--json", type=out_file, metavar="PATH", help="write the table there as JSON too")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    for name in ("size", "images", "width"):
        if getattr(options, name) < 1:
            raise InputError(f"--{name} must be at least 1, got {getattr(options, name)}")
    if not all(batch.strip().isdigit() and int(batch) for batch in options.batches.split(",")):
        raise InputError(f"--batches must be whole numbers between commas, got {options.batches!r}")
    if options.json and not options.json.parent.is_dir():
        raise InputError(f"--json {options.json}: there is no folder {options.json.parent}")

    import jax

    from gan_jax.data.stream import THREADS

    with tempfile.TemporaryDirectory() as folder:
        name = options.data or make(Path(folder), options.size)
        told = options.data or f"{MADE:,} JPEGs of {options.size}x{options.size}"
        print(f"{told}, DCGAN of width {options.width}, {jax.devices()[0].device_kind}, {THREADS} threads")
        groups = ["stream alone", "step, data in memory", "step, streamed"]
        print(" " * 7 + " ".join(f"{group:>23}" for group in groups))
        named = ["images/s", "CPU us/img", *["images/s", "ms/step"] * 2]
        print(f"{'batch':>6} " + " ".join(f"{column:>11}" for column in named) + "   waits  slower")
        rows = []
        for batch in map(int, options.batches.split(",")):
            row = measure(name, options.data_dir, batch, max(options.images // batch, 5), options.width)
            rows.append(row)
            speeds = [row["stream"], row["cpu"] * 1e6, row["memory"], batch / row["memory"] * 1e3]
            speeds += [row["streamed"], batch / row["streamed"] * 1e3]
            print(
                f"{batch:6} " + " ".join(f"{x:11,.1f}" for x in speeds) + f" {row['waits']:7.1%} {row['slower']:7.1%}",
                flush=True,
            )
    if options.json:
        facts = {"jax": metadata.version("jax"), "grain": metadata.version("grain"), "cores": os.cpu_count(), "data": told}
        write_json(options.json, facts | {"device": jax.devices()[0].device_kind, "rows": rows})
        print(f"\nwritten to {options.json}")


def make(folder: Path, size: int) -> str:
    """A folder of JPEGs as large as photographs of that size are: noise at several scales."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for i in range(MADE):
        sides = [side for side in (4, 16, size) if side <= size]
        scales = [Image.fromarray(random.integers(0, 256, (side, side, 3), np.uint8)).resize((size, size)) for side in sides]
        image = np.average([np.asarray(scale) for scale in scales], axis=0, weights=[4, 2, 1][: len(scales)])
        Image.fromarray(image.astype(np.uint8)).save(folder / f"{i:05d}.jpg", quality=90)
    return str(folder)


def measure(name: str, data_dir: str | None, batch: int, steps: int, width: int) -> dict[str, float]:
    """Images a second: `stream`, `memory`, `streamed`; seconds of CPU an image of the stream, `cpu`; the share `waits`, and the
    share by which a step is `slower`. Medians of `ROUNDS`, in turns."""
    from gan_jax.data.load import load

    memory, streamed = (load(name, 0, batch, data_dir, stream=stream) for stream in ("never", "always"))
    waited = []  # seconds, for each feed

    def feed_at(step):
        start = time.perf_counter()
        batch = streamed.feed_at(step)
        waited.append(time.perf_counter() - start)
        return batch

    plays = {"memory": player(memory, memory.feed_at, width), "streamed": player(streamed, feed_at, width)}
    found = {key: [] for key in ("stream", "cpu", "memory", "streamed", "waits")}
    start = 2
    for _ in range(ROUNDS):
        seconds, cpu = timed(streamed.feed_at, range(start, start + steps))
        found["stream"].append(steps * batch / seconds)
        found["cpu"].append(cpu / steps / batch)
        start += steps + 3  # out of turn: nothing has been read ahead for the next
        for which, play in plays.items():
            seconds, _ = timed(play, range(start, start + steps))
            found[which].append(steps * batch / seconds)
        found["waits"].append(sum(waited[-steps:]) / seconds)
        start += steps + 3
    row = {key: statistics.median(values) for key, values in found.items()}
    return {"batch": batch, "steps": steps} | row | {"slower": 1 - row["streamed"] / row["memory"]}


def player(data: Data, feed_at: Callable, width: int) -> Callable:
    """Step number -> the metrics of a compiled step that takes its feed from `feed_at`."""
    import jax

    from gan_jax.config import Config
    from gan_jax.game.build import build
    from gan_jax.training.compile import compile_update, initialise_state
    from gan_jax.training.members import batches_of_step

    game = build(Config(model="dcgan", g_width=width, d_width=width), data)
    advance, _ = compile_update(game, data, "loop")
    state, store, key = initialise_state(game, jax.random.key(0)), jax.device_put(data.store), jax.random.key(1)

    def play(step):
        nonlocal state
        feeds = jax.tree.map(lambda x: x[None], batches_of_step(game, feed_at, step))
        state, metrics = advance(state, store, feeds, 1, key)
        return metrics

    return play


def timed(run: Callable, steps: range) -> tuple[float, float]:
    """Seconds of wall and of CPU time that the steps take, two before them having run and begun to read ahead."""
    import jax

    for step in range(steps.start - 2, steps.start):
        jax.block_until_ready(run(step))
    wall, cpu = time.perf_counter(), time.process_time()
    for step in steps:
        last = run(step)
    jax.block_until_ready(last)
    return time.perf_counter() - wall, time.process_time() - cpu
