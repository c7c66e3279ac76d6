"""Dispatch: a run does not depend on how it is divided into calls; one compilation; donated state."""

from dataclasses import replace

import jax
import numpy as np
import pytest

from gan_jax.data.load import load
from gan_jax.game.build import build
from gan_jax.game.state import init_state
from gan_jax.storage.files import digest
from gan_jax.training.compile import choose_dispatch, compile_update
from gan_jax.training.members import batches_of_step


@pytest.fixture(scope="module")
def ring(tiny):
    return load("ring", 0, tiny.batch)


@pytest.fixture(scope="module")
def game(tiny, ring):
    return build(tiny, ring)


def run(game, data, advance, most, cuts):
    state = init_state(game, jax.random.key(0))
    step = 0
    for count in cuts:
        feeds = np.stack([batches_of_step(game, data.feed_at, step + min(i, count - 1)) for i in range(most)])
        state, metrics = advance(state, data.train, feeds, count, jax.random.key(1))
        step += count
    assert int(state.step) == step
    return state, metrics


@pytest.mark.parametrize("dispatch", ["scan", "loop"])
def test_dividing_a_run_differently_changes_no_bit_and_compiles_once(game, ring, dispatch):
    advance, most = compile_update(game, ring, dispatch)
    cuts = ([12], [1] * 12, [5, 7]) if dispatch == "scan" else ([1] * 12,) * 2
    digests = {digest(run(game, ring, advance, most, cut)[0]) for cut in cuts}
    assert len(digests) == 1
    assert advance._cache_size() == 1, "a value that changes between steps became part of the program: trace it"


def test_scan_and_loop_agree_to_rounding(game, ring):
    """Not bit for bit, which is why a run uses one form throughout."""
    (a, _), (b, _) = (
        run(game, ring, *compile_update(game, ring, form), cut) for form, cut in (("scan", [3]), ("loop", [1] * 3))
    )
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=2e-4, atol=2e-5), a.g.params, b.g.params)


def test_metrics_of_each_step_of_a_dispatch(game, ring):
    advance, most = compile_update(game, ring, "scan")
    whole = run(game, ring, advance, most, [4])[1]
    last = run(game, ring, advance, most, [3, 1])[1]
    for name in whole:
        assert whole[name].shape == (most,)
        assert whole[name][3] == last[name][0], name


def test_state_is_donated(game, ring):
    advance, most = compile_update(game, ring, "scan")
    state = init_state(game, jax.random.key(0))
    feeds = np.stack([batches_of_step(game, ring.feed_at, 0)] * most)
    advance(state, ring.train, feeds, 1, jax.random.key(1))
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state.d.params))


def test_dispatch_depends_on_convolutions(tiny, game, ring):
    """On a CPU, where these tests run: a compiled loop for matrix products, single steps for convolutions."""
    digits = load("digits", 0, 8)
    convolutions = build(replace(tiny, data="digits", model="dcgan", g_depth=None, d_depth=None), digits)
    assert choose_dispatch(game, ring) == "scan"
    assert choose_dispatch(convolutions, digits) == "loop"


def test_seeds_give_different_weights_and_the_same_seed_the_same(game):
    a, b, c = (digest(init_state(game, jax.random.key(seed))) for seed in (0, 0, 1))
    assert a == b != c
