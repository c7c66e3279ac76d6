"""Pairs of variants, such as every loss with every penalty: two training steps of each give finite numbers.

One compilation covers all members of one axis with one member of the other, because compile time dominates.
"""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax import augment, auxiliary, deceive, g_penalties, losses, penalties
from gan_jax.config import Config
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.game.build import build
from gan_jax.game.resolve import find_penalty
from gan_jax.game.state import init_state
from gan_jax.spec.lookup import public_functions

MODELS = {
    "mlp": {"model": "mlp", "g_width": 4, "g_depth": 1, "d_width": 4, "d_depth": 1},
    "dcgan": {"model": "dcgan", "g_width": 2, "d_width": 2, "d_norm": "none"},
}
# Fields that a variant requires.
NEEDS = {"multi_hinge": {"d_outputs": 11}}
MULTI_LOGIT = {"multi_hinge"}  # losses for which D returns several logits, which penalties on the logit reject
PENALTIES = [*public_functions(penalties), "r1 + 0.3 * lecam"]
AUGMENTS = [*public_functions(augment), "color + translation + cutout"]


@pytest.fixture(scope="module")
def digits():
    return load("digits", 0, 4)


def game(source, model="mlp", **fields):
    fields = {"loss": "non_saturating", "batch": 4, "z_dim": 3, "steps": 2, "g_optimizer": "sgd", "d_optimizer": "sgd"} | fields
    return build(Config(**MODELS.get(model, {"model": model}) | {"g_lr": 1e-3, "d_lr": 1e-3} | fields), source)


def assert_finite(games: dict, data):
    """Run two steps of every game, in one program, and check that all numbers are finite."""
    batch = jax.tree.map(lambda x: jnp.asarray(x)[None], data.batch_at(0))

    def run(game):
        state = init_state(game, jax.random.key(0))
        step = lambda state, key: game.update(game, state, batch, key)  # noqa: E731
        return jax.lax.scan(step, state, jax.random.split(jax.random.key(1), 2))

    # Compiled without optimisation: these programs are large and run once.
    quick_compilation = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
    results = jax.jit(lambda: {name: run(game) for name, game in games.items()}).lower().compile(quick_compilation)()
    for name, (state, metrics) in results.items():
        assert int(state.step) == 2
        numbers = [x for x in jax.tree.leaves((state, metrics)) if jnp.issubdtype(x.dtype, jnp.floating)]
        assert all(np.isfinite(x).all() for x in numbers), name


# All of them take minutes to compile; one of each kind is not marked slow.
QUICK = {"relativistic"}
LOSSES = [
    pytest.param(loss, marks=[] if loss in QUICK else pytest.mark.slow)
    for loss in sorted(public_functions(losses).keys() - MULTI_LOGIT)
]

MLP_FIRST = [pytest.param(model, marks=[] if model == "mlp" else pytest.mark.slow) for model in MODELS]


@pytest.mark.parametrize("loss", LOSSES)
def test_loss_with_every_penalty(loss, digits):
    base = game(digits, loss=loss, **NEEDS.get(loss, {}))
    # Built once; each penalty is then inserted as `build` does.
    games = {name: replace(base, penalty=find_penalty("penalty", name, penalties)) for name in PENALTIES}
    assert_finite(games, digits)


@pytest.mark.parametrize("model", MLP_FIRST)
def test_model_with_every_loss(model, digits):
    games = {loss: game(digits, model, loss=loss, **NEEDS.get(loss, {})) for loss in public_functions(losses)}
    assert_finite(games, digits)


# Every penalty with the MLP is already covered by a quick test above.
@pytest.mark.slow
@pytest.mark.parametrize("model", MODELS)
def test_model_with_every_penalty_and_g_penalty(model, digits):
    games = {name: game(digits, model, penalty=name) for name in PENALTIES}
    games |= {f"g_{name}": game(digits, model, g_penalty=name) for name in public_functions(g_penalties)}
    assert_finite(games, digits)


@pytest.mark.parametrize("model", MLP_FIRST)
def test_model_with_every_augmentation_and_deception(model, digits):
    games = {name: game(digits, model, augment=name, augment_p=0.5) for name in AUGMENTS}
    games |= {name: game(digits, model, deceive=name, augment_p=0.5) for name in public_functions(deceive)}
    games |= {"adaptive": game(digits, model, augment="flip", deceive="apa", augment_target=0.6)}
    assert_finite(games, digits)


@pytest.mark.parametrize("model", MLP_FIRST)
def test_model_with_every_conditioning(model, digits):
    games = {
        f"{g} {d}": game(digits, model, g_condition=g, d_condition=d, g_norm="batch", penalty="r1")
        for g, d in (("concat", "concat"), ("norm", "projection"), ("concat", "projection"), ("norm", "concat"))
    }
    if model == "dcgan":
        games["adain"] = game(digits, model, g_condition="norm", g_norm="instance", d_condition="projection")
    for name in public_functions(auxiliary):
        games[name] = game(digits, model, g_condition="concat", auxiliary=name, penalty="r1")
    games["codes"] = game(
        digits, model, g_condition="concat", auxiliary="info_gan(classes=3)", code_classes=3, code_dims=2, penalty="r1"
    )
    games["minibatch"] = game(digits, model, d_minibatch="stddev", penalty="r1", g_penalty="path_length")
    games["discrimination"] = game(digits, model, d_minibatch="discrimination", penalty="r1")
    games["packed"] = game(digits, model, pack=2, penalty="gradient_penalty", augment="translation")
    assert_finite(games, digits)


@pytest.mark.parametrize("kind", ["multi-hot", "numbers"])
def test_labels_may_be_vectors(kind, digits):
    labels = np.asarray(jax.random.bernoulli(jax.random.key(2), 0.5, (len(digits.train.samples), 5)))
    labels = labels.astype(np.int32 if kind == "multi-hot" else np.float32)
    data = replace(digits, train=digits.train._replace(labels=labels), num_classes=5)
    conditions = {"g_condition": "concat", "d_condition": "projection"}
    assert_finite({kind: game(data, **conditions), "ac": game(data, g_condition="concat", auxiliary="ac_gan")}, data)


INCOMPATIBLE = [
    ({"loss": "mmd", "d_outputs": 3, "penalty": "r1"}, "one logit per sample"),
    ({"loss": "multi_hinge"}, "d_outputs"),
    ({"pack": 2, "d_condition": "projection"}, "pack 2"),
    ({"pack": 2, "auxiliary": "ac_gan"}, "pack 2"),
    ({"auxiliary": "ac_gan", "data": "ring"}, "needs labels"),
    ({"g_condition": "concat", "data": "ring"}, "needs labels"),
    ({"d_condition": "projection", "code_classes": 3}, "needs labels"),
    ({"augment_target": 0.6}, "augment_target"),
    ({"augment": "0.5 * flip"}, "no weight"),
    ({"augment": "flip", "data": "ring"}, r"\[B, H, W, C\].*: disable it with --augment none"),
    ({"g_condition": "norm", "g_norm": "none"}, "norm"),
    ({"deceive": "apa", "d_condition": "projection"}, "set its options to shift=0"),
    ({"deceive": "apa", "model": "biggan"}, "set its options to shift=0"),  # its D is conditional by default
    ({"pack": 2, "model": "biggan"}, "pack 2"),
    ({"update": "simultaneous", "d_steps": 2}, "set d_steps to 1"),
    ({"penalty": "lecam(decoy=1)"}, "decay"),
    ({"update": "unrolled(steps=0)"}, "at least 1"),
]


@pytest.mark.parametrize(
    ("fields", "message"), INCOMPATIBLE, ids=[" ".join(f"{k}={v}" for k, v in f.items()) for f, _ in INCOMPATIBLE]
)
def test_incompatible_choices_are_reported_in_one_line(fields, message, digits):
    data = load(fields["data"], 0, 4) if "data" in fields else digits
    with pytest.raises(InputError, match=message) as caught:
        game(data, **fields)
    assert "\n" not in str(caught.value)
