"""Optimisers: our own against loops written by hand; how a configuration's name becomes one, ours, optax's or the user's."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax.errors import InputError
from gan_jax.game.build import cosine
from gan_jax.game.resolve import find_optimizer
from gan_jax.optimizers import clip_weights, lookahead

GRADIENTS = np.random.RandomState(0).normal(size=(10, 3)).astype(np.float32)
START = np.array([0.5, -1.0, 2.0], np.float32)
LR = cosine(1e-2, 1e-3, 10)


def descend(tx, steps=10):
    """-> (weights after each update [steps, 3], optimiser states before and after each)."""
    weights, state = {"w": jnp.array(START)}, tx.init({"w": jnp.array(START)})
    update = jax.jit(tx.update)
    history, states = [], [state]
    for gradient in GRADIENTS[:steps]:
        updates, state = update({"w": jnp.array(gradient)}, state, weights)
        weights = optax.apply_updates(weights, updates)
        history.append(np.asarray(weights["w"]))
        states.append(state)
    return np.array(history), states


def adam(b1, b2_at, wrap=lambda t, fast: fast):
    """The same by hand, in float64; `wrap` may move the weights after each update."""
    w, m, v, history = START.astype(np.float64), 0.0, 0.0, []
    for t, g in enumerate(GRADIENTS.astype(np.float64), start=1):
        b2 = b2_at(t)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        w = wrap(t, w - float(LR(t - 1)) * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + 1e-8))
        history.append(w)
    return np.array(history)


@pytest.mark.parametrize(("period", "share"), [(3, 0.5), (5, 0.8), (1, 0.5)])
def test_lookahead_against_a_loop(period, share):
    slow = START.astype(np.float64)

    def wrap(t, fast):
        nonlocal slow
        if t % period:
            return fast
        slow = slow + share * (fast - slow)
        return slow

    by_hand = adam(0.9, lambda t: 0.99, wrap)
    history, _ = descend(lookahead(LR, 0.9, 0.99, sync_period=period, slow_step_size=share))
    np.testing.assert_allclose(history, by_hand, rtol=1e-5)


def test_a_lookahead_that_looks_all_the_way_is_adam():
    ahead, _ = descend(lookahead(LR, 0.9, 0.99, sync_period=3, slow_step_size=1.0))
    np.testing.assert_allclose(ahead, descend(optax.adam(LR, 0.9, 0.99))[0], rtol=1e-6)


def test_clipped_weights_stay_within_their_limits():
    """And those that would have stayed there anyway move as they would have."""
    plain, _ = descend(optax.sgd(0.3), 1)
    clipped, _ = descend(optax.chain(optax.sgd(0.3), clip_weights(0.7)))
    np.testing.assert_allclose(clipped[0], np.clip(plain[0], -0.7, 0.7), rtol=1e-6)
    assert (np.abs(plain[0]) > 0.7).any()
    assert (np.abs(plain[0]) < 0.7).any()
    assert np.abs(clipped).max() <= 0.7 * (1 + 1e-6)  # w + (0.7 - w) may be a rounding above 0.7


# What each name is to be, given b1 = 0.5 and b2 = 0.9; only those that have such take them.
NAMES = {
    "adam": optax.adam(LR, b1=0.5, b2=0.9),
    "adam(b1=0.1, eps=1e-3)": optax.adam(LR, b1=0.1, b2=0.9, eps=1e-3),
    "sgd(momentum=0.9)": optax.sgd(LR, momentum=0.9),
    "rmsprop": optax.rmsprop(LR),
    "rmsprop(decay=0.5)": optax.rmsprop(LR, decay=0.5),
    "optimistic_adam_v2": optax.optimistic_adam_v2(LR, b1=0.5, b2=0.9),
    "optimistic_gradient_descent": optax.optimistic_gradient_descent(LR),
    "lookahead(sync_period=3)": lookahead(LR, 0.5, 0.9, sync_period=3),
    "optax:adabelief": optax.adabelief(LR, b1=0.5, b2=0.9),
}


@pytest.mark.parametrize(("text", "expected"), NAMES.items(), ids=NAMES)
def test_a_name_becomes_an_optimiser(text, expected):
    found, _ = descend(find_optimizer("g_optimizer", text, LR, 0.5, 0.9), 4)
    np.testing.assert_array_equal(found, descend(expected, 4)[0])


@pytest.mark.parametrize("text", ["adam", "lookahead(sync_period=20)"])
def test_a_scheduled_second_moment(text):
    """b2 of the update number t, from 0, is the schedule's; the weights are those of Adam with such a b2."""
    b2 = cosine(0.5, 0.99, 10)
    history, states = descend(find_optimizer("d_optimizer", text, LR, 0.5, b2))
    used = [float(state.hyperparams["b2"]) for state in states[1:]]
    np.testing.assert_allclose(used, [float(b2(t)) for t in range(10)], rtol=1e-6)
    assert used[0] == 0.5 < used[9]
    np.testing.assert_allclose(history, adam(0.5, lambda t: used[t - 1]), rtol=1e-5)


@pytest.mark.parametrize("text", ["sgd(momentum=0.9)", "rmsprop"])
def test_a_scheduled_second_moment_is_only_for_those_that_have_one(text):
    scheduled, _ = descend(find_optimizer("d_optimizer", text, LR, 0.5, cosine(0.5, 0.99, 10)), 3)
    np.testing.assert_array_equal(scheduled, descend(find_optimizer("d_optimizer", text, LR, 0.5, 0.5), 3)[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("adm", "unknown g_optimizer 'adm': did you mean 'adam'? known: "),
        ("clip_weights", "unknown g_optimizer 'clip_weights'"),  # has no learning rate
        ("adam(beta=0.5)", "unknown option of g_optimizer adam 'beta': "),
        ("adam(learning_rate=3.0)", "unknown option of g_optimizer adam 'learning_rate': "),  # it is g_lr
        ("sgd(momentum=0.9, b1=0.5)", "unknown option of g_optimizer sgd 'b1': "),
        ("lookahead(sync_period=0)", "lookahead(sync_period=0): Synchronization period must be >= 1"),
        ("nowhere.py:mine", "no file nowhere.py"),
        ("optax:adm", "unknown g_optimizer in optax 'adm'"),
    ],
)
def test_a_bad_name_is_one_line(text, words):
    with pytest.raises(InputError) as error:
        find_optimizer("g_optimizer", text, LR, 0.5, 0.9)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_the_known_ones_are_listed():
    with pytest.raises(InputError) as error:
        find_optimizer("g_optimizer", "nothing", LR, 0.5, 0.9)
    known = str(error.value).split("known: ")[1].split(", ")
    assert {"adam", "sgd", "rmsprop", "optimistic_adam_v2", "lookahead", "path/file.py:function"} <= set(known)
    assert not [name for name in known if name.startswith("_")]


def test_a_users_own_optimiser(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import optax\n"
        "def signs(learning_rate, b1, *, scale=1.0):\n"
        "    assert b1 == 0.5\n"
        "    return optax.chain(optax.scale_by_sign(), optax.scale(scale), optax.scale_by_learning_rate(learning_rate))\n"
    )
    tx = find_optimizer("g_optimizer", f"{tmp_path}/mine.py:signs(scale=2.0)", LR, 0.5, 0.9)
    rates = np.array([float(LR(t)) for t in range(4)])[:, None]
    expected = START - 2 * np.cumsum(rates * np.sign(GRADIENTS[:4]), axis=0)
    np.testing.assert_allclose(descend(tx, 4)[0], expected, rtol=1e-5)
    with pytest.raises(InputError, match=r"unknown g_optimizer in .*mine\.py 'sings': did you mean 'signs'"):
        find_optimizer("g_optimizer", f"{tmp_path}/mine.py:sings", LR, 0.5, 0.9)
