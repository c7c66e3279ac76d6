"""From names in a configuration to functions: single ones, weighted sums with memory, chains of augmentations, networks."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import augment, g_penalties, losses, penalties
from gan_jax.errors import InputError
from gan_jax.game.resolve import find_augment, find_networks, find_penalty
from gan_jax.spec.lookup import find, public_functions
from gan_jax.types import Critic, Synthesis

KEY = jax.random.key(5)
REAL, FAKE = jnp.array([[1.0, 2.0], [3.0, 4.0]]), jnp.array([[-1.0, 0.0], [0.0, 5.0]])

MINE = """
from functools import partial

import jax

from gan_jax.types import StatefulPenalty

def _hidden(real, fake):
    return real

def twice(real, fake, *, times=2.0):
    return times * real.mean(), times * fake.mean()

def draw(critic, real, fake, key):
    return jax.random.normal(key)

@partial(StatefulPenalty, memory={"count": 10.0})
def count(critic, real, fake, key, *, by=1.0):
    return critic.memory["count"], {"count": critic.memory["count"] + by}

def double(key, x, p):
    return 2 * x

def plus(key, x, p, *, one=1.0):
    return x + one

def shake(key, x, p):
    return x + jax.random.normal(key, x.shape)
"""


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "mine.py").write_text(MINE)
    return tmp_path / "mine.py"


def linear(x):
    """Its gradient is (3, 4) everywhere: R1 and R2 are 12.5."""
    return x @ jnp.array([3.0, 4.0])


def test_a_modules_variants_are_the_functions_defined_in_it():
    known = public_functions(losses)
    assert known["hinge"] is losses.hinge
    assert not {"jax", "jnp", "Array"} & set(known)
    assert not [name for name in known if name.startswith("_")]
    assert "r1" not in public_functions(g_penalties)  # which imports penalties


def test_a_name_is_its_function():
    assert find("loss", "hinge", losses) is losses.hinge
    assert find("loss", "gan_jax.losses:hinge", penalties) is losses.hinge


def test_options_are_bound():
    loss = find("loss", "minimax(smoothing=0.25)", losses)
    np.testing.assert_array_equal(loss(REAL[0], FAKE[0]), losses.minimax(REAL[0], FAKE[0], smoothing=0.25))
    assert loss(REAL[0], FAKE[0])[0] != losses.minimax(REAL[0], FAKE[0])[0]


def test_a_users_own_function(mine):
    assert find("loss", f"{mine}:twice", losses)(REAL[0], FAKE[0]) == (3.0, -1.0)
    assert find("loss", f"{mine}:twice(times=4)", losses)(REAL[0], FAKE[0]) == (6.0, -2.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("hing", "unknown loss 'hing': did you mean 'hinge'? known: hinge, jensen_shannon, "),
        ("_float32", "unknown loss '_float32'"),
        ("jnp", "unknown loss 'jnp'"),
        ("{}:twoce", "mine.py 'twoce': did you mean 'twice'? known: count, double, draw, plus, shake, twice"),
        ("nowhere.py:f", "no file nowhere.py"),
        ("nowhere.such:f", "loss module 'nowhere.such' cannot be imported"),
        ("gan_jax.losses:hing", "unknown loss in gan_jax.losses 'hing': did you mean 'hinge'?"),
    ],
)
def test_unknown_names_are_one_line(mine, text, words):
    with pytest.raises(InputError) as error:
        find("loss", text.format(mine), losses)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_all_known_names_are_listed():
    with pytest.raises(InputError) as error:
        find("penalty", "nothing", penalties)
    assert str(error.value).split("known: ")[1].split(", ") == sorted([*public_functions(penalties), "path/file.py:function"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("r1", 12.5),
        ("r1 + r2", 25.0),
        ("r1 + 0.3 * r2", 1.3 * 12.5),
        ("2 * r1", 25.0),
        ("gradient_penalty", 16.0),
        ("0.5*r1 + gradient_penalty(center=0.0) + 1e-1 * r1", 0.6 * 12.5 + 25.0),
    ],
)
def test_a_sum_of_penalties(text, value):
    """Of functions that only call their critic, which may then be any function."""
    penalty = find_penalty("penalty", text, penalties)
    total, memory = penalty(linear, REAL, FAKE, KEY)
    np.testing.assert_allclose(total, value, rtol=1e-6)
    assert memory == penalty.memory == {}


def test_each_term_of_a_sum_has_its_own_key(mine):
    """A single term receives the key itself."""
    alone, _ = find_penalty("penalty", f"{mine}:draw", penalties)(linear, REAL, FAKE, KEY)
    assert alone == jax.random.normal(KEY)
    both, _ = find_penalty("penalty", f"{mine}:draw + 10 * {mine}:draw", penalties)(linear, REAL, FAKE, KEY)
    first, second = (jax.random.normal(jax.random.fold_in(KEY, i)) for i in range(2))
    np.testing.assert_allclose(both, first + 10 * second, rtol=1e-6)


def test_terms_do_not_share_their_memory(mine):
    """The same function twice with different options, and one without memory."""
    penalty = find_penalty("penalty", f"{mine}:count + r1 + 0.5 * {mine}:count(by=3.0)", penalties)
    assert penalty.memory == {"0.count": 10.0, "2.count": 10.0}
    total, memory = penalty(Critic(linear, memory=penalty.memory), REAL, FAKE, KEY)
    np.testing.assert_allclose(total, 10 + 12.5 + 0.5 * 10)
    assert memory == {"0.count": 11.0, "2.count": 13.0}
    total, memory = penalty(Critic(linear, memory=memory), REAL, FAKE, KEY)
    np.testing.assert_allclose(total, 11 + 12.5 + 0.5 * 13)
    assert memory == {"0.count": 12.0, "2.count": 16.0}


def test_a_term_sees_its_own_memory_and_the_rest_of_the_critic():
    """LeCam twice: each value and each new memory as if alone."""

    def alone(decay, *values):
        critic = Critic(linear, memory=dict(zip(penalties.lecam.memory, map(jnp.float32, values), strict=True)))
        return penalties.lecam(critic, REAL, FAKE, KEY, decay=decay)

    penalty = find_penalty("penalty", "lecam(decay=0.9) + 2 * lecam(decay=0.5)", penalties)
    memory = {f"{i}.{name}": 1.0 + 4 * i + j for i in range(2) for j, name in enumerate(penalties.lecam.memory)}
    assert penalty.memory == dict.fromkeys(memory, 0.0)
    critic = Critic(linear, memory={name: jnp.float32(value) for name, value in memory.items()})
    total, after = jax.jit(lambda: penalty(critic, REAL, FAKE, KEY))()
    (first, first_memory), (second, second_memory) = alone(0.9, 1, 2, 3, 4), alone(0.5, 5, 6, 7, 8)
    np.testing.assert_allclose(total, first + 2 * second, rtol=1e-6)
    expected = {f"{i}.{name}": value for i, part in enumerate((first_memory, second_memory)) for name, value in part.items()}
    assert after.keys() == expected.keys()
    for name in after:
        np.testing.assert_allclose(after[name], expected[name], rtol=1e-6)


def test_the_generators_penalties_are_found_the_same_way():
    """path_length keeps a mean; the others use the latents."""
    synthesis = Synthesis(lambda z: 2 * z, z=REAL, memory={"0.mean": jnp.float32(0.0)})
    penalty = find_penalty("g_penalty", "path_length(decay=0.5) + 0.1 * latent_consistency(sigma=0.0)", g_penalties)
    assert penalty.memory == {"0.mean": 0.0}
    total, memory = penalty(synthesis, Critic(linear), REAL, KEY)
    expected, alone = g_penalties.path_length(
        Synthesis(lambda z: 2 * z, z=REAL, memory={"mean": jnp.float32(0.0)}), Critic(linear), REAL,
        jax.random.fold_in(KEY, 0), decay=0.5,
    )  # fmt: skip
    assert expected > 0
    np.testing.assert_allclose(total, expected, rtol=1e-6)  # the noise of the other is 0
    np.testing.assert_allclose(memory["0.mean"], alone["mean"], rtol=1e-6)


def test_augmentations_are_chained(mine):
    p = jnp.float32(1.0)
    assert find_augment("flip", augment) is augment.flip
    assert find_augment(f"{mine}:double + {mine}:plus(one=3.0)", augment)(KEY, REAL, p).tolist() == (2 * REAL + 3).tolist()
    assert find_augment(f"{mine}:plus + {mine}:double", augment)(KEY, REAL, p).tolist() == (2 * (REAL + 1)).tolist()
    shaken = find_augment(f"{mine}:shake + {mine}:shake", augment)(KEY, REAL, p)
    noise = [jax.random.normal(jax.random.fold_in(KEY, i), REAL.shape) for i in range(2)]
    np.testing.assert_allclose(shaken, REAL + noise[0] + noise[1], rtol=1e-6)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0.5 * flip", "augment '0.5 * flip': an augmentation has no weight, its strength is augment_p"),
        ("color + 2 * flip", "an augmentation has no weight"),
        ("flap", "unknown augment 'flap': did you mean 'flip'? known: "),
        ("flip + flap", "unknown augment 'flap'"),
    ],
)
def test_invalid_augmentations_are_refused(text, words):
    with pytest.raises(InputError) as error:
        find_augment(text, augment)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_networks_receive_their_own_options(tiny):
    """And the discriminator receives packs of samples in the last axis."""
    g, d = find_networks(replace(tiny, pack=2, g_width=5, d_width=7, d_norm="spectral"), (4, 4, 3), 10)
    assert (g.sample_shape, g.num_classes, g.width, g.norm) == ((4, 4, 3), 10, 5, "none")
    assert (d.sample_shape, d.num_classes, d.width, d.norm) == ((4, 4, 6), 10, 7, "spectral")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": "mpl"}, "unknown model 'mpl': did you mean 'mlp'? known: "),
        ({"model": "layers"}, "unknown model 'layers'"),  # a file of models/ without networks
        ({"g_window": 3}, "unknown option of mlp's Generator 'g_window'"),
        ({"model": "gan_jax.losses"}, "model gan_jax.losses must define a flax.linen or flax.nnx module named Generator"),
    ],
)
def test_unknown_networks_and_options_are_refused(tiny, changes, words):
    with pytest.raises(InputError) as error:
        find_networks(replace(tiny, **changes), (2,), 0)
    assert words in str(error.value)
    assert "\n" not in str(error.value)
