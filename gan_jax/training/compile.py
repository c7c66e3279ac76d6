"""How the page is compiled: for one device or several, its state donated, step by step or many steps in one loop.

A compiled loop and a compiled single step differ in their last bits, and XLA may treat loops of different lengths
differently too. So one run uses one form throughout, and the loop's length is a traced number: stopping, resuming, logging
and saving at whatever step never change the program, hence never a bit of the result.

On several devices `jit` keeps to the program of one: a batch is one batch, whose statistics, means and noise are those of
all its rows, wherever these lie; `pmap` runs a replica on each device (`parts.replica`).
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax.config import Config
from gan_jax.data.dataset import Data
from gan_jax.errors import InputError
from gan_jax.game.game import Game
from gan_jax.game.partition import AXIS, replica, spread
from gan_jax.game.state import TrainState, init_state
from gan_jax.types import Array

SCAN_STEPS = 50  # at most so many steps in one dispatch: enough to hide the cost of one, short enough to answer Ctrl-C
SMALL = 2**12  # numbers in an array that is not worth cutting up: sending for its parts costs more than it saves

# (state, store, feeds [K, d_steps, ...], count, own) -> (state, metrics [K] each, of which `count` are meant)
Advance = Callable[[TrainState, Any, Any, int, Any], tuple[TrainState, dict[str, Array]]]
Step = Callable[[TrainState, Any, Any, Any], tuple[TrainState, dict[str, Array]]]


class Plan(NamedTuple):
    """On which devices, and how."""

    mesh: Mesh  # one axis, `AXIS`
    form: str = "jit"  # or pmap
    fsdp: bool = False  # whether the state's large arrays are cut up among the devices
    many: bool = False  # whether states have a leading axis of seeds, which are what is dealt out

    @property
    def devices(self) -> int:
        return self.mesh.size

    @property
    def whole(self) -> NamedSharding:
        """Of an array that every device has."""
        return NamedSharding(self.mesh, PartitionSpec())

    def initial(self, make: Callable[[], Any]) -> Any:
        """A state made where it will lie."""
        if self.form == "pmap":
            return self.place(jax.jit(make)())
        return jax.jit(make, out_shardings=self.state(jax.eval_shape(make)) if self._sharded else None)()

    def place(self, state: Any) -> Any:
        """A state from the host, on the devices; to `pmap` it has a leading axis of replicas."""
        if self.form == "pmap":
            each = NamedSharding(self.mesh, PartitionSpec(AXIS))
            return jax.tree.map(lambda x: _put(np.broadcast_to(x, (self.devices, *np.shape(x))), each), state)
        return jax.tree.map(_put, state, self.state(state)) if self._sharded else jax.device_put(state)

    def gather(self, state: Any) -> Any:
        """A state as one device has it, for all that is not training; of several hosts, each has it all."""
        if self.form == "pmap":
            return jax.tree.map(lambda x: x[0], jax.device_get(state))
        if not self._sharded:
            return state
        if self.fsdp or self.many:
            state = jax.jit(lambda x: x, out_shardings=self.whole)(state)
        return jax.device_get(state)

    def replicate(self, x: Any) -> Any:
        """Arrays from the host, on all devices."""
        return jax.tree.map(lambda x: _put(x, self.whole), x) if self._sharded else jax.device_put(x)

    def deal(self, feeds: Any) -> Any:
        """Feeds [K, d_steps, B, ...], or [K, S, ...] of several seeds, each device its rows. Each host gives its own rows."""
        if not self._sharded:
            return feeds
        rows = NamedSharding(self.mesh, PartitionSpec(*[None] * (1 if self.many else 2), AXIS))
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(rows, x), feeds)

    @property
    def _sharded(self) -> bool:
        """On one device nothing is; `pmap` deals out for itself."""
        return self.devices > 1 and self.form == "jit"

    def state(self, state: Any) -> Any:
        """Where the leaves of a state (or of abstract arrays) lie."""
        return jax.tree.map(lambda x: NamedSharding(self.mesh, self._cut(x.shape)), state)

    def _cut(self, shape: tuple[int, ...]) -> PartitionSpec:
        if self.many:
            return PartitionSpec(AXIS)
        sides = [side if side % self.devices == 0 else 0 for side in shape]
        if not self.fsdp or math.prod(shape) < SMALL or not any(sides):
            return PartitionSpec()
        return PartitionSpec(*[None] * sides.index(max(sides)), AXIS)


def plan_devices(config: Config, seeds: int | None = None) -> Plan:
    """How `config` uses this machine's devices. Raises InputError, saying what would do, where a batch cannot be dealt out
    among them; seeds go to as many devices as divide their number."""
    devices = jax.devices()
    if config.devices is not None and config.devices > len(devices):
        raise InputError(f"devices {config.devices}: there are {len(devices)}")
    count = config.devices or len(devices)
    if jax.process_count() > 1 and (count < len(devices) or seeds is not None or config.parallel == "pmap"):
        raise InputError("several hosts train one seed by --parallel jit on all devices: leave off --devices, pmap and seeds")
    if seeds is not None:
        if config.parallel != "jit" or config.fsdp:
            raise InputError("several seeds are dealt out whole: leave off --parallel pmap and --fsdp")
        count = next(n for n in range(min(count, seeds), 0, -1) if seeds % n == 0)
        return Plan(Mesh(np.array(devices[:count]), (AXIS,)), many=True)
    whole = config.pack * config.microbatches
    if config.batch % (count * whole):
        able = [n for n in range(1, count) if config.batch % (n * whole) == 0]
        of = "" if whole == 1 else f" in parts of a multiple of pack {config.pack} x microbatches {config.microbatches}"
        raise InputError(
            f"batch {config.batch} does not divide among {count} devices{of}: take a multiple of {count * whole}, or "
            f"--devices {' or '.join(map(str, able))}"
        )
    return Plan(Mesh(np.array(devices[:count]), (AXIS,)), config.parallel, config.fsdp)


def _put(x: Any, where: NamedSharding) -> jax.Array:
    x = np.asarray(x)
    return jax.make_array_from_callback(x.shape, where, lambda rows: x[rows])


def initialise(game: Game, key: Array) -> TrainState:
    """`init_state`, compiled as one function."""
    return jax.jit(lambda key: init_state(game, key))(key)


def choose_dispatch(game: Game, data: Data) -> str:
    """`scan` where a compiled loop is sure to be fast; `loop` (step by step) for convolutions on a CPU.

    XLA's CPU compiler runs the weight gradient of a stock convolution 30 to 60 times slower inside a loop than outside
    (experiments/benchmark.py measures it). Those of `models/conv.py` are as fast in either, but a network from elsewhere may
    hold stock ones, and a step with convolutions is too long to gain from the loop.
    """
    if jax.default_backend() != "cpu":
        return "scan"
    state = jax.eval_shape(lambda: init_state(game, jax.random.key(0)))
    feeds = jnp.zeros((game.d_steps, *data.feed_at(0).shape), jnp.int32)
    traced = jax.make_jaxpr(_one(game, data))(state, data.train, feeds, jax.random.key(0))
    return "loop" if "conv_general_dilated" in str(traced) else "scan"


def compile_update(
    game: Game, data: Data, dispatch: str, plan: Plan | None = None, tune: Callable[[Any], Game] | None = None
) -> tuple[Advance, int]:
    """-> (advance, K): the compiled update, and how many steps' feeds it takes at a time; on one device where there is no plan.
    What is a run's `own` is its train_key, or where its game is `tune(numbers)`, (train_key, numbers). Where the plan has
    `many`, states, feeds (after their first axis) and what is their own have a leading axis of runs, which all step at once."""
    plan = plan or Plan(Mesh(np.array(jax.devices()[:1]), (AXIS,)))
    alone = plan.devices == 1
    if plan.form == "pmap":
        one = _one_replica(game, data, plan.devices)
    else:
        one = _one(game if alone or plan.many else spread(game, plan.mesh), data, tune)
    if plan.many:
        one = jax.vmap(one, in_axes=(0, None, 0, 0))
    run, most = (_single, 1) if dispatch == "loop" else (_loop, SCAN_STEPS)

    def advance(state, store, feeds, count, own):
        return run(one, state, store, feeds, count, own)

    if plan.form == "pmap":
        return _on_replicas(advance, plan), most
    if alone:
        return jax.jit(advance, donate_argnums=0), most
    state = plan.state(jax.eval_shape(lambda: init_state(game, jax.random.key(0))))
    return jax.jit(advance, donate_argnums=0, out_shardings=(state, plan.whole)), most


def _single(one: Step, state, store, feeds, count, own):
    state, metrics = one(state, store, jax.tree.map(lambda x: x[0], feeds), own)
    return state, jax.tree.map(lambda x: x[None], metrics)


def _loop(one: Step, state, store, feeds, count, own):
    def body(i, carry):
        state, history = carry
        state, metrics = one(state, store, jax.tree.map(lambda x: x[i], feeds), own)
        return state, jax.tree.map(lambda all_steps, now: all_steps.at[i].set(now), history, metrics)

    metrics = jax.eval_shape(one, state, store, jax.tree.map(lambda x: x[0], feeds), own)[1]
    history = jax.tree.map(lambda x: jnp.zeros((SCAN_STEPS, *x.shape), x.dtype), metrics)
    return jax.lax.fori_loop(0, count, body, (state, history))


def _one(game: Game, data: Data, tune: Callable[[Any], Game] | None = None) -> Step:
    def one(state, store, feed, own):
        train_key, played = (own, game) if tune is None else (own[0], tune(own[1]))
        # The key of a step is a function of its number: nothing random needs to be saved.
        return played.update(played, state, data.decode(store, feed), jax.random.fold_in(train_key, state.step))

    return one


def _one_replica(game: Game, data: Data, count: int) -> Step:
    def mean(x: Any) -> Any:
        return jax.lax.pmean(x, AXIS)

    def average(variables: Any) -> Any:
        return {name: value if name == "params" else mean(value) for name, value in variables.items()}

    def one(state, store, feed, own):
        state, metrics = _one(replica(game, count), data)(state, store, feed, own)
        g, d = (player.replace(stats=mean(player.stats), memory=mean(player.memory)) for player in (state.g, state.d))
        return state.replace(g=g, d=d, ema=average(state.ema), posthoc=tuple(map(average, state.posthoc))), mean(metrics)

    return one


def _on_replicas(advance: Advance, plan: Plan) -> Advance:
    axes = {"in_axes": (0, None, 0, None, None), "out_axes": (0, None)}
    replicas = jax.pmap(advance, AXIS, devices=list(plan.mesh.devices.flat), donate_argnums=0, **axes)

    def dealt(x: np.ndarray) -> np.ndarray:
        """[K, d_steps, B, ...] -> [D, K, d_steps, B / D, ...], row by row as `parts.share` has them"""
        return np.moveaxis(x.reshape(*x.shape[:2], -1, plan.devices, *x.shape[3:]), 3, 0)

    def all_advance(state, store, feeds, count, own):
        return replicas(state, store, jax.tree.map(dealt, feeds), count, own)

    return all_advance
