"""Optimisers: gan_jax's against loops written by hand, and the lookup of names in gan_jax, in optax and in users' files."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from gan_jax.errors import InputError
from gan_jax.game.build import cosine
from gan_jax.game.resolve import find_optimizer
from gan_jax.optimizers import clip_weights, clipped_adam, frozen_adam, lookahead

GRADIENTS = np.random.RandomState(0).normal(size=(10, 3)).astype(np.float32)
START = np.array([0.5, -1.0, 2.0], np.float32)
LR = cosine(1e-2, 1e-3, 10)


def run_optimizer(tx, steps=10):
    """Returns (weights after each update [steps, 3], optimiser states before the first and after each update)."""
    weights, state = {"w": jnp.array(START)}, tx.init({"w": jnp.array(START)})
    update = jax.jit(tx.update)
    history, states = [], [state]
    for gradient in GRADIENTS[:steps]:
        updates, state = update({"w": jnp.array(gradient)}, state, weights)
        weights = optax.apply_updates(weights, updates)
        history.append(np.asarray(weights["w"]))
        states.append(state)
    return np.array(history), states


def adam(b1, b2_schedule, wrap=lambda t, fast: fast, gradients=GRADIENTS):
    """Adam by hand, in float64: the weights after each update, which `wrap` may modify."""
    w, m, v, history = START.astype(np.float64), 0.0, 0.0, []
    for t, g in enumerate(gradients.astype(np.float64), start=1):
        b2 = b2_schedule(t)
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        w = wrap(t, w - float(LR(t - 1)) * (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + 1e-8))
        history.append(w)
    return np.array(history)


@pytest.mark.parametrize(("period", "fraction"), [(3, 0.5), (5, 0.8), (1, 0.5)])
def test_lookahead_against_a_loop(period, fraction):
    slow = START.astype(np.float64)

    def wrap(t, fast):
        nonlocal slow
        if t % period:
            return fast
        slow = slow + fraction * (fast - slow)
        return slow

    by_hand = adam(0.9, lambda t: 0.99, wrap)
    history, _ = run_optimizer(lookahead(LR, 0.9, 0.99, sync_period=period, slow_step_size=fraction))
    np.testing.assert_allclose(history, by_hand, rtol=1e-5)


def test_lookahead_with_slow_step_size_one_is_adam():
    history, _ = run_optimizer(lookahead(LR, 0.9, 0.99, sync_period=3, slow_step_size=1.0))
    np.testing.assert_allclose(history, run_optimizer(optax.adam(LR, 0.9, 0.99))[0], rtol=1e-6)


def test_clipped_gradients_are_scaled_to_the_norm():
    """Adam by hand on g min(1, norm / |g|)."""
    scaled = GRADIENTS * np.minimum(1, 1.5 / np.linalg.norm(GRADIENTS, axis=1, keepdims=True))
    assert (scaled != GRADIENTS).any() and (scaled == GRADIENTS).any()
    history, _ = run_optimizer(clipped_adam(LR, 0.9, 0.99, norm=1.5))
    np.testing.assert_allclose(history, adam(0.9, lambda t: 0.99, gradients=scaled), rtol=1e-5)


def test_frozen_layers_keep_their_weights():
    """The others follow Adam by hand."""
    params = {"first": {"kernel": jnp.array(START)}, "last": {"kernel": jnp.array(START)}}
    tx = find_optimizer("d_optimizer", 'frozen_adam(layers=("first",))', LR, 0.9, 0.99)
    state, update = tx.init(params), jax.jit(tx.update)
    for expected, gradient in zip(adam(0.9, lambda t: 0.99), GRADIENTS, strict=True):
        updates, state = update(jax.tree.map(lambda _, g=gradient: jnp.array(g), params), state, params)
        params = optax.apply_updates(params, updates)
        np.testing.assert_array_equal(params["first"]["kernel"], START)
        np.testing.assert_allclose(params["last"]["kernel"], expected, rtol=1e-5)
    with pytest.raises(ValueError, match="no layer middle among first, last"):
        frozen_adam(LR, layers=("middle",)).init(params)


def test_clipped_weights_stay_within_their_limits():
    """Weights within the limits are updated as without clipping."""
    plain, _ = run_optimizer(optax.sgd(0.3), 1)
    clipped, _ = run_optimizer(optax.chain(optax.sgd(0.3), clip_weights(0.7)))
    np.testing.assert_allclose(clipped[0], np.clip(plain[0], -0.7, 0.7), rtol=1e-6)
    assert (np.abs(plain[0]) > 0.7).any()
    assert (np.abs(plain[0]) < 0.7).any()
    assert np.abs(clipped).max() <= 0.7 * (1 + 1e-6)  # w + (0.7 - w) may exceed 0.7 by rounding


# The optimiser expected for each name with b1 = 0.5 and b2 = 0.9, which are passed only to optimisers that accept them.
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
def test_lookup_of_names(text, expected):
    history, _ = run_optimizer(find_optimizer("g_optimizer", text, LR, 0.5, 0.9), 4)
    np.testing.assert_array_equal(history, run_optimizer(expected, 4)[0])


@pytest.mark.parametrize("text", ["adam", "lookahead(sync_period=20)"])
def test_a_scheduled_second_moment(text):
    """In update t, counted from 0, b2 is the schedule's value at t, and the weights are those of Adam with this b2."""
    b2 = cosine(0.5, 0.99, 10)
    history, states = run_optimizer(find_optimizer("d_optimizer", text, LR, 0.5, b2))
    used = [float(state.hyperparams["b2"]) for state in states[1:]]
    np.testing.assert_allclose(used, [float(b2(t)) for t in range(10)], rtol=1e-6)
    assert used[0] == 0.5 < used[9]
    np.testing.assert_allclose(history, adam(0.5, lambda t: used[t - 1]), rtol=1e-5)


@pytest.mark.parametrize("text", ["sgd(momentum=0.9)", "rmsprop"])
def test_optimisers_without_a_second_moment_ignore_its_schedule(text):
    scheduled, _ = run_optimizer(find_optimizer("d_optimizer", text, LR, 0.5, cosine(0.5, 0.99, 10)), 3)
    np.testing.assert_array_equal(scheduled, run_optimizer(find_optimizer("d_optimizer", text, LR, 0.5, 0.5), 3)[0])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("adm", "unknown g_optimizer 'adm': did you mean 'adam'? known: "),
        ("clip_weights", "unknown g_optimizer 'clip_weights'"),  # it has no argument learning_rate
        ("adam(beta=0.5)", "unknown option of g_optimizer adam 'beta': "),
        ("adam(learning_rate=3.0)", "unknown option of g_optimizer adam 'learning_rate': "),  # set by g_lr
        ("sgd(momentum=0.9, b1=0.5)", "unknown option of g_optimizer sgd 'b1': "),
        ("lookahead(sync_period=0)", "lookahead(sync_period=0): Synchronization period must be >= 1"),
        ("nowhere.py:mine", "no file nowhere.py"),
        ("optax:adm", "unknown g_optimizer in optax 'adm'"),
    ],
)
def test_errors_are_one_line(text, words):
    with pytest.raises(InputError) as error:
        find_optimizer("g_optimizer", text, LR, 0.5, 0.9)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_error_lists_known_optimisers():
    with pytest.raises(InputError) as error:
        find_optimizer("g_optimizer", "nothing", LR, 0.5, 0.9)
    known = str(error.value).split("known: ")[1].split(", ")
    assert {"adam", "sgd", "rmsprop", "optimistic_adam_v2", "lookahead", "path/file.py:function"} <= set(known)
    assert not [name for name in known if name.startswith("_")]


def test_optimiser_from_a_users_file(tmp_path):
    (tmp_path / "mine.py").write_text(
        "import optax\n"
        "def signs(learning_rate, b1, *, scale=1.0):\n"
        "    assert b1 == 0.5\n"
        "    return optax.chain(optax.scale_by_sign(), optax.scale(scale), optax.scale_by_learning_rate(learning_rate))\n"
    )
    tx = find_optimizer("g_optimizer", f"{tmp_path}/mine.py:signs(scale=2.0)", LR, 0.5, 0.9)
    rates = np.array([float(LR(t)) for t in range(4)])[:, None]
    expected = START - 2 * np.cumsum(rates * np.sign(GRADIENTS[:4]), axis=0)
    np.testing.assert_allclose(run_optimizer(tx, 4)[0], expected, rtol=1e-5)
    with pytest.raises(InputError, match=r"unknown g_optimizer in .*mine\.py 'sings': did you mean 'signs'"):
        find_optimizer("g_optimizer", f"{tmp_path}/mine.py:sings", LR, 0.5, 0.9)
