"""Our training step, compiled and called as in `training/train.py`, on random data in memory."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np

from gan_jax.config import Config
from gan_jax.data.batches import make_data
from gan_jax.data.dataset import Data, Measure, Protocol, Source, Split
from gan_jax.data.images import pixels
from gan_jax.errors import InputError
from gan_jax.game.build import build
from gan_jax.game.state import init_state
from gan_jax.training.compile import choose_dispatch, compile_update, plan_devices
from gan_jax.training.members import batches_of_step, run_keys

ROWS = 1024  # samples in memory, unless a batch is larger


def random_data(shape: tuple[int, ...], num_classes: int, batch: int) -> Data:
    """Random samples: uint8 images [H, W, C], or points, with labels if there are classes."""
    generator = np.random.default_rng(0)
    size = (max(ROWS, batch), *shape)
    is_image = len(shape) == 3
    samples = generator.integers(0, 256, size, np.uint8) if is_image else generator.standard_normal(size, np.float32)
    labels = generator.integers(0, num_classes, len(samples)).astype(np.int32) if num_classes else None
    split = Split(samples, labels)
    to_float = pixels.to_float if is_image else lambda points: points
    source = Source(split, split.take(slice(2)), num_classes, to_float, pixels.show, pixels.pack, _reject)
    return make_data("random", source, 0, batch)


def _reject(data: Data, protocol: Protocol = Protocol()) -> Measure:
    raise InputError("random data is not evaluated")


class ProductStep:
    """The compiled update of a game, and its state, on `devices` devices. With `seeds`, as many runs step together."""

    def __init__(
        self, config: Config, shape: tuple[int, ...], num_classes: int = 0, *, devices: int | None = 1, seeds: int | None = None
    ):
        config = replace(config, devices=devices)
        self._data = random_data(shape, num_classes, config.batch)
        self._game, self._seeds = build(config, self._data), seeds
        self._plan = plan_devices(config, seeds)
        keys = [run_keys(seed) for seed in range(seeds or 1)]
        train_keys = jax.numpy.stack([key.train for key in keys])
        init_keys = jax.numpy.stack([key.init for key in keys])
        self._run_inputs = train_keys[0] if seeds is None else self._plan.pad(train_keys)
        self._store = self._plan.replicate(self._data.store)
        self._dispatch = choose_dispatch(self._game, self._data)
        self._advance, self.steps_per_call = compile_update(self._game, self._data, self._dispatch, self._plan)

        create = partial(init_state, self._game)
        if seeds is None:
            self.state = self._plan.initial(create, init_keys[0])
        else:
            self.state = self._plan.initial(jax.vmap(create), init_keys)
        self.step = 0

    def compile(self) -> jax.stages.Compiled:
        """Compile without taking a step, so that several programs can compile at the same time and then run one after
        another."""
        self._advance = self._advance.lower(self.state, self._store, self._batches(1), 1, self._run_inputs).compile()
        return self._advance

    def run(self, steps: int) -> None:
        """Take `steps` steps, the first of which compiles unless `compile` has, and wait for them."""
        end = self.step + steps
        while self.step < end:
            count = min(self.steps_per_call, end - self.step)
            self.state, self.metrics = self._advance(self.state, self._store, self._batches(count), count, self._run_inputs)
            self.step += count
        jax.block_until_ready((self.state, self.metrics))

    def flops(self) -> float:
        """XLA's estimate for one step on one device. It counts the body of a loop once, so D's steps are unrolled here."""
        arguments = (self.state, self._store, self._batches(1), 1, self._run_inputs)
        advance, _ = compile_update(replace(self._game, fast_in_loops=False), self._data, self._dispatch, self._plan)
        return float((advance.lower(*arguments).compile().cost_analysis() or {}).get("flops", 0.0))

    def _batches(self, count: int):
        """Row numbers [K, N, B] for the K steps of a call, [K, S, N, B] for several seeds; only the first `count` steps are
        taken."""
        numbers = [self.step + min(i, count - 1) for i in range(self.steps_per_call)]
        batches = np.stack([batches_of_step(self._game, self._data.feed_at, step) for step in numbers])
        if self._seeds is not None:
            batches = np.broadcast_to(batches[:, None], (len(batches), self._seeds, *batches.shape[1:]))
        return self._plan.shard_batches(batches)
