"""The cost of a training step as XLA estimates it, before anything is trained."""

import math
import os
import re
from dataclasses import replace
from typing import NamedTuple

import jax
import numpy as np

from gan_jax.data.dataset import Data
from gan_jax.game.game import Game
from gan_jax.game.state import init_state
from gan_jax.training.compile import Plan, compile_update

COLLECTIVES = "all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute"


class Cost(NamedTuple):
    """The cost of a step on each device."""

    flops: float
    communicated: int  # bytes of the results of collectives
    memory: int  # bytes: arguments, outputs and the peak of temporaries
    limit: int | None  # bytes of memory; None if the device does not report it


def cost(game: Game, data: Data, plan: Plan) -> Cost:
    """Compile a single step without running it. Data held on the device count as memory."""
    compiled = _compiled(game, data, plan)
    sizes = compiled.memory_analysis()
    memory = sizes.argument_size_in_bytes + sizes.output_size_in_bytes - sizes.alias_size_in_bytes + sizes.temp_size_in_bytes
    # XLA counts the body of a loop, over microbatches or D's steps, once.
    has_loop = game.microbatches > 1 or (game.d_steps > 1 and game.fast_in_loops)
    unlooped = _compiled(replace(game, microbatches=1, fast_in_loops=False), data, plan) if has_loop else compiled
    return Cost(unlooped.cost_analysis()["flops"], communicated(unlooped.as_text()), memory, memory_limit())


def _compiled(game: Game, data: Data, plan: Plan) -> jax.stages.Compiled:
    advance, _ = compile_update(game, data, "loop", plan)
    state = jax.eval_shape(lambda: init_state(game, jax.random.key(0)))
    if plan.devices > 1:
        shardings = plan.state(state)
        state = jax.tree.map(lambda x, s: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=s), state, shardings)
    batches = jax.tree.map(lambda x: np.stack([np.stack([x] * game.batches)]), data.feed_at(0))
    return advance.lower(state, plan.replicate(data.store), plan.shard_batches(batches), 1, jax.random.key(0)).compile()


def communicated(program: str) -> int:
    """The bytes of the results of all collectives in the text of a compiled program; those in a loop count once."""
    total = 0
    for results in re.findall(rf"= (.*?) (?:{COLLECTIVES})(?:-start)?\(", program):
        for bits, shape in re.findall(r"[a-z]+(\d+)\[([\d,]*)\]", results):
            total += math.prod(int(size) for size in shape.split(",") if size) * int(bits) // 8
    return total


def memory_limit() -> int | None:
    """Bytes of memory of a device, or of the machine for a CPU."""
    stats = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in stats:
        return stats["bytes_limit"]
    if jax.default_backend() == "cpu" and hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def describe_devices(plan: Plan) -> str:
    """The devices of a plan and how they are used, as in `2 cpu, jit, fsdp`."""
    devices = f"{plan.devices} {plan.mesh.devices.flat[0].device_kind}"
    return f"{devices}, {plan.form}{', fsdp' if plan.fsdp else ''}"


def describe_cost(cost: Cost) -> list[str]:
    """The lines of a dry run about the cost of a step."""
    fits = "" if cost.limit is None else f" of {cost.limit / 1e9:.3g} GB"
    if cost.limit is not None and cost.memory > cost.limit:
        fits += ": it does NOT fit: lower batch, or set microbatches, remat, fsdp or compute bfloat16"
    lines = [f"{'step':16s} {cost.flops / 1e9:.3g} GFLOP on each device, {cost.communicated / 1e6:.3g} MB through collectives"]
    return [*lines, f"{'memory':16s} {cost.memory / 1e9:.3g} GB on each device{fits}"]
