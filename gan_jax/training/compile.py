"""How the update is compiled: for one device or several, with its state donated, step by step or many steps in one loop.

A compiled loop and a compiled single step differ in their last bits, and XLA may compile loops of different lengths differently
too. So a run uses one of them throughout, and the loop's length is traced: stopping, resuming, logging and saving at any step
never change the program, and hence never change a bit of the result.

On several devices, `jit` computes what one device would: batch statistics, means and noise are those of the whole batch,
however its rows are sharded. `pmap` runs a replica on each device (`game/partition.py`). Several runs are split across the
devices as whole runs.
"""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from gan_jax.config import Config
from gan_jax.data.dataset import Data
from gan_jax.errors import InputError
from gan_jax.game.game import Game, play
from gan_jax.game.partition import AXIS, replica, shard_random_draws
from gan_jax.game.state import TrainState, init_state
from gan_jax.types import Array
from gan_jax.xla import compiler_options

SCAN_STEPS = 50  # steps in one dispatch at most: enough to hide its cost, few enough to respond to Ctrl-C
SMALL = 2**12  # smallest array worth sharding: below, communication costs more than it saves

# (state, store, batches [K, N, ...], count, run_inputs) -> (state, metrics [K] each, of which the first `count` are
# valid)
Advance = Callable[[TrainState, Any, Any, int, Any], tuple[TrainState, dict[str, Array]]]
Step = Callable[[TrainState, Any, Any, Any], tuple[TrainState, dict[str, Array]]]


class Plan(NamedTuple):
    """Which devices are used, and how."""

    mesh: Mesh  # one axis, `AXIS`
    form: str = "jit"  # or pmap
    fsdp: bool = False  # whether the large arrays of the state are sharded
    runs: int | None = None  # how many runs states hold along a leading axis, which is then the one that is sharded

    @property
    def devices(self) -> int:
        return self.mesh.size

    @property
    def padding(self) -> int:
        """The number of copies of the last run that are trained too, so that each device holds equally many runs."""
        return 0 if self.runs is None else -self.runs % self.devices

    def pad(self, tree: Any, axis: int = 0) -> Any:
        """Append `padding` copies of the last run along the axis of runs of each array."""
        if not self.padding:
            return tree
        rows = np.minimum(np.arange(self.runs + self.padding), self.runs - 1)
        return jax.tree.map(lambda x: x[(slice(None),) * axis + (rows,)], tree)

    @property
    def replicated(self) -> NamedSharding:
        """The sharding of an array that every device holds."""
        return NamedSharding(self.mesh, PartitionSpec())

    def initial(self, create: Callable[[Any], Any], inputs: Any) -> Any:
        """A state, `create(inputs)`, created on the devices that will hold it, with copies of the last run as padding."""
        # This program runs once: on a CPU, full optimisation takes longer than it saves.
        quick = {"xla_backend_optimization_level": 1} if jax.default_backend() == "cpu" else {}
        if self.form == "pmap":
            return self.place(jax.jit(create, compiler_options=quick)(inputs))

        def padded(inputs: Any) -> Any:
            return self.pad(create(inputs))

        shardings = self.state(jax.eval_shape(padded, inputs)) if self._sharded else None
        return jax.jit(padded, out_shardings=shardings, compiler_options=quick)(inputs)

    def place(self, state: Any) -> Any:
        """Copy a state from the host to the devices; for `pmap`, with a leading axis of replicas, and for several runs, with
        copies of the last one as padding."""
        if self.form == "pmap":
            per_replica = NamedSharding(self.mesh, PartitionSpec(AXIS))
            return jax.tree.map(lambda x: _put(np.broadcast_to(x, (self.devices, *np.shape(x))), per_replica), state)
        state = self.pad(state)
        return jax.tree.map(_put, state, self.state(state)) if self._sharded else jax.device_put(state)

    def gather(self, state: Any) -> Any:
        """The whole state, for everything but training, without padding; on several hosts, each receives all of it."""
        if self.form == "pmap":
            return jax.tree.map(lambda x: x[0], jax.device_get(state))
        if not self._sharded:
            return state
        if self.fsdp and jax.process_count() > 1:
            state = jax.jit(lambda x: x, out_shardings=self.replicated)(state)
        return jax.tree.map(lambda x: x[: self.runs], jax.device_get(state)) if self.padding else jax.device_get(state)

    def replicate(self, x: Any) -> Any:
        """Copy arrays from the host to all devices."""
        return jax.tree.map(lambda x: _put(x, self.replicated), x) if self._sharded else jax.device_put(x)

    def shard_batches(self, batches: Any) -> Any:
        """Shard batches [K, N, B, ...] by rows, or those of several runs, [K, S, ...], by runs, padded. Each host passes its
        own rows."""
        if not self._sharded:
            return batches
        rows = NamedSharding(self.mesh, PartitionSpec(*[None] * (2 if self.runs is None else 1), AXIS))
        return jax.tree.map(lambda x: jax.make_array_from_process_local_data(rows, x), self.pad(batches, axis=1))

    @property
    def _sharded(self) -> bool:
        """Whether arrays need shardings: not on one device, nor for `pmap`, which splits its arguments itself."""
        return self.devices > 1 and self.form == "jit"

    def state(self, state: Any) -> Any:
        """The shardings of the leaves of a state (or of abstract arrays)."""
        return jax.tree.map(lambda x: NamedSharding(self.mesh, self._spec(x.shape)), state)

    def _spec(self, shape: tuple[int, ...]) -> PartitionSpec:
        if self.runs is not None:
            return PartitionSpec(AXIS)
        divisible = [size if size % self.devices == 0 else 0 for size in shape]
        if not self.fsdp or math.prod(shape) < SMALL or not any(divisible):
            return PartitionSpec()
        return PartitionSpec(*[None] * divisible.index(max(divisible)), AXIS)


def plan_devices(config: Config, runs: int | None = None) -> Plan:
    """How `config` uses this machine's devices. Several runs use the fewest devices that train them as fast as all would.

    Raises InputError, which says what would work, if a batch does not divide among the devices."""
    devices = jax.devices()
    if config.devices is not None and config.devices > len(devices):
        raise InputError(f"devices {config.devices}: this machine has {len(devices)}")
    count = config.devices or len(devices)
    if jax.process_count() > 1 and (count < len(devices) or runs is not None or config.parallel == "pmap"):
        raise InputError("several hosts train one seed with --parallel jit on all devices: leave off --devices, pmap and seeds")
    if runs is not None:
        if config.parallel != "jit" or config.fsdp:
            raise InputError("several seeds are split across devices as whole runs: leave off --parallel pmap and --fsdp")
        count = math.ceil(runs / math.ceil(runs / count))
        return Plan(Mesh(np.array(devices[:count]), (AXIS,)), runs=runs)
    rows = config.pack * config.microbatches
    if config.batch % (count * rows):
        possible = [n for n in range(1, count) if config.batch % (n * rows) == 0]
        parts = "" if rows == 1 else f" in parts of a multiple of pack {config.pack} x microbatches {config.microbatches}"
        raise InputError(
            f"batch {config.batch} does not divide among {count} devices{parts}: use a multiple of {count * rows}, or "
            f"--devices {' or '.join(map(str, possible))}"
        )
    return Plan(Mesh(np.array(devices[:count]), (AXIS,)), config.parallel, config.fsdp)


def _put(x: Any, sharding: NamedSharding) -> jax.Array:
    x = np.asarray(x)
    return jax.make_array_from_callback(x.shape, sharding, lambda rows: x[rows])


def choose_dispatch(game: Game, data: Data) -> str:
    """`scan` (a compiled loop of steps), or `loop` (step by step) for convolutions on a CPU.

    XLA's CPU compiler makes the weight gradient of a stock convolution 30 to 60 times slower inside a loop than outside.
    Convolutions of `models/conv.py` are equally fast in both, but a user's network may contain stock ones, and a step with
    convolutions takes too long to gain from the loop.
    """
    if jax.default_backend() != "cpu":
        return "scan"
    state = jax.eval_shape(lambda: init_state(game, jax.random.key(0)))
    rows = jnp.zeros((game.batches, *data.feed_at(0).shape), jnp.int32)
    traced = jax.make_jaxpr(_step(game, data))(state, data.train, rows, jax.random.key(0))
    return "loop" if "conv_general_dilated" in _primitives(traced.jaxpr) else "scan"


def _primitives(jaxpr: Any) -> Iterator[str]:
    """The names of all operations of a program, also inside loops, branches and calls."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for parameter in jax.tree.leaves(list(equation.params.values())):
            inner = getattr(parameter, "jaxpr", parameter)
            if hasattr(inner, "eqns"):
                yield from _primitives(inner)


def compile_update(
    game: Game, data: Data, dispatch: str, plan: Plan | None = None, tune: Callable[[Any], Game] | None = None
) -> tuple[Advance, int]:
    """-> (advance, K): the compiled update, and for how many steps it takes batches per call; on one device without a plan.

    `run_inputs` is a run's train_key or, with `tune`, (train_key, numbers), whose game is `tune(numbers)`. With a plan of
    several runs, states, batches (after their first axis) and run_inputs have a leading axis of runs, padded, which all step
    together."""
    plan = plan or Plan(Mesh(np.array(jax.devices()[:1]), (AXIS,)))
    single_device = plan.devices == 1
    if plan.form == "pmap":
        step = _replica_step(game, data, plan.devices)
    else:
        step = _step(game if single_device or plan.runs is not None else shard_random_draws(game, plan.mesh), data, tune)
    run, steps_per_call = (_single_step, 1) if dispatch == "loop" else (_loop_of_steps, SCAN_STEPS)

    def advance(state, store, batches, count, run_inputs):
        return run(step, state, store, batches, count, run_inputs)

    if plan.form == "pmap":
        return _on_replicas(advance, plan), steps_per_call
    if plan.runs is not None:
        each_run = _for_each_run(advance, plan, game.fast_in_loops)
        return jax.jit(each_run, donate_argnums=0, compiler_options=compiler_options()), steps_per_call
    if single_device:
        return jax.jit(advance, donate_argnums=0, compiler_options=compiler_options()), steps_per_call
    state = plan.state(jax.eval_shape(lambda: init_state(game, jax.random.key(0))))
    shardings = (state, plan.replicated)
    return jax.jit(advance, donate_argnums=0, out_shardings=shardings, compiler_options=compiler_options()), steps_per_call


def _single_step(step: Step, state, store, batches, count, run_inputs):
    state, metrics = step(state, store, jax.tree.map(lambda x: x[0], batches), run_inputs)
    return state, jax.tree.map(lambda x: x[None], metrics)


def _loop_of_steps(step: Step, state, store, batches, count, run_inputs):
    def body(i, carry):
        state, history = carry
        state, metrics = step(state, store, jax.tree.map(lambda x: x[i], batches), run_inputs)
        return state, jax.tree.map(lambda values, value: values.at[i].set(value), history, metrics)

    metrics = jax.eval_shape(step, state, store, jax.tree.map(lambda x: x[0], batches), run_inputs)[1]
    history = jax.tree.map(lambda x: jnp.zeros((SCAN_STEPS, *x.shape), x.dtype), metrics)
    return jax.lax.fori_loop(0, count, body, (state, history))


def _for_each_run(advance: Advance, plan: Plan, fast_in_loops: bool) -> Advance:
    """`advance` for states, batches (after their first axis) and run_inputs with a leading axis of runs; metrics are [K, runs].

    Each device advances its own runs without waiting for other devices: accelerators in parallel by `vmap`, CPUs one run after
    another, where `vmap` is slower and its bits depend on the number of runs on a device."""

    def one_by_one(state, store, batches, count, run_inputs):
        runs = (state, jax.tree.map(lambda x: x.swapaxes(0, 1), batches), run_inputs)
        _, (state, metrics) = jax.lax.scan(
            lambda _, run: (None, advance(run[0], store, run[1], count, run[2])), None, runs, unroll=not fast_in_loops
        )
        return state, jax.tree.map(lambda x: x.swapaxes(0, 1), metrics)

    in_parallel = jax.vmap(advance, in_axes=(0, None, 1, None, 0), out_axes=(0, 1))
    all_runs = one_by_one if plan.mesh.devices.flat[0].platform == "cpu" else in_parallel
    if plan.devices == 1:
        return all_runs
    by_run, by_step, shared = PartitionSpec(AXIS), PartitionSpec(None, AXIS), PartitionSpec()
    specs = {"in_specs": (by_run, shared, by_step, shared, by_run), "out_specs": (by_run, by_step)}
    return jax.shard_map(all_runs, mesh=plan.mesh, check_vma=False, **specs)


def _step(game: Game, data: Data, tune: Callable[[Any], Game] | None = None) -> Step:
    def step(state, store, batch, run_inputs):
        train_key, tuned = (run_inputs, game) if tune is None else (run_inputs[0], tune(run_inputs[1]))
        # A step's key is a function of its number, so no random state is saved.
        step_key = jax.random.fold_in(train_key, state.step)
        # The values of a tuned game are traced here, so its step cannot be traced in advance.
        update = partial(play, game) if tuned is game else partial(tuned.update, tuned)
        return update(state, data.decode(store, batch), step_key)

    return step


def _replica_step(game: Game, data: Data, count: int) -> Step:
    def mean(x: Any) -> Any:
        return jax.lax.pmean(x, AXIS)

    def mean_stats(variables: Any) -> Any:
        return {name: value if name == "params" else mean(value) for name, value in variables.items()}

    def step(state, store, batch, run_inputs):
        state, metrics = _step(replica(game, count), data)(state, store, batch, run_inputs)
        g, d = (player.replace(stats=mean(player.stats), memory=mean(player.memory)) for player in (state.g, state.d))
        averages = {"ema": mean_stats(state.ema), "posthoc": tuple(map(mean_stats, state.posthoc))}
        return state.replace(g=g, d=d, **averages), mean(metrics)

    return step


def _on_replicas(advance: Advance, plan: Plan) -> Advance:
    axes = {"in_axes": (0, None, 0, None, None), "out_axes": (0, None)}
    replicas = jax.pmap(advance, AXIS, devices=list(plan.mesh.devices.flat), donate_argnums=0, **axes)

    def by_replica(x: np.ndarray) -> np.ndarray:
        """[K, N, B, ...] -> [D, K, N, B / D, ...], with interleaved rows as in `partition.microbatch`."""
        return np.moveaxis(x.reshape(*x.shape[:2], -1, plan.devices, *x.shape[3:]), 3, 0)

    def advance_all(state, store, batches, count, run_inputs):
        return replicas(state, store, jax.tree.map(by_replica, batches), count, run_inputs)

    return advance_all
