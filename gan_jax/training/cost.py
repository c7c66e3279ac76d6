"""What a step costs, by the compiler's own account, before anything is trained."""

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
    """Of a step, for each device."""

    flops: float
    sent: int  # bytes that come of collectives
    memory: int  # bytes: what goes in, what comes out and what lies between at the worst
    limit: int | None  # bytes that there are; None where the device does not tell


def cost(game: Game, data: Data, plan: Plan) -> Cost:
    """Compiles a single step, without running it. The data on the device count as memory."""
    compiled = _compiled(game, data, plan)
    told = compiled.memory_analysis()
    memory = told.argument_size_in_bytes + told.output_size_in_bytes - told.alias_size_in_bytes + told.temp_size_in_bytes
    # What a loop over microbatches does is told of one of them.
    at_once = compiled if game.microbatches == 1 else _compiled(replace(game, microbatches=1), data, plan)
    return Cost(at_once.cost_analysis()["flops"], sent(at_once.as_text()), memory, memory_limit())


def _compiled(game: Game, data: Data, plan: Plan) -> jax.stages.Compiled:
    advance, _ = compile_update(game, data, "loop", plan)
    state = jax.eval_shape(lambda: init_state(game, jax.random.key(0)))
    if plan.devices > 1:
        there = plan.state(state)
        state = jax.tree.map(lambda x, at: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=at), state, there)
    feeds = jax.tree.map(lambda x: np.stack([np.stack([x] * game.d_steps)]), data.feed_at(0))
    return advance.lower(state, plan.replicate(data.store), plan.deal(feeds), 1, jax.random.key(0)).compile()


def sent(program: str) -> int:
    """The bytes of the results of all collectives in a compiled program's text, those in a loop's body once."""
    total = 0
    for results in re.findall(rf"= (.*?) (?:{COLLECTIVES})(?:-start)?\(", program):
        for bits, sides in re.findall(r"[a-z]+(\d+)\[([\d,]*)\]", results):
            total += math.prod(int(side) for side in sides.split(",") if side) * int(bits) // 8
    return total


def memory_limit() -> int | None:
    """Bytes of memory of a device, or of the machine where that is a CPU."""
    told = jax.local_devices()[0].memory_stats() or {}
    if "bytes_limit" in told:
        return told["bytes_limit"]
    if jax.default_backend() == "cpu" and hasattr(os, "sysconf"):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return None


def in_words(found: Cost, plan: Plan) -> list[str]:
    """The lines of a dry run."""
    devices = f"{plan.devices} {plan.mesh.devices.flat[0].device_kind}"
    fits = "" if found.limit is None else f" of {found.limit / 1e9:.3g} GB"
    if found.limit is not None and found.memory > found.limit:
        fits += ": it does NOT fit; lower batch, or set microbatches, remat, fsdp or compute bfloat16"
    lines = [f"{'devices':16s} {devices}, {plan.form}{', fsdp' if plan.fsdp else ''}"]
    lines += [f"{'step':16s} {found.flops / 1e9:.3g} GFLOP on each device, {found.sent / 1e6:.3g} MB through collectives"]
    return [*lines, f"{'memory':16s} {found.memory / 1e9:.3g} GB on each device{fits}"]
