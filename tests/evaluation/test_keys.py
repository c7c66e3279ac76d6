"""Random keys: no two roles of an evaluation share one."""

import itertools
from dataclasses import replace
from types import SimpleNamespace

import flax.linen as nn
import jax
import numpy as np
import pytest

from gan_jax.config import Config
from gan_jax.data.dataset import Protocol
from gan_jax.data.load import load
from gan_jax.evaluation import evaluate, exploitability, generator, monitor, sample, sample_run, samplers, temperatures
from gan_jax.evaluation.sample import path_key, sample_keys, sampler_key
from gan_jax.evaluation.view_run import view_run
from gan_jax.evaluation.vitals import vitals
from gan_jax.game.build import build
from gan_jax.game.state import init_state
from gan_jax.training.train import train

BLOCKS = 8
LABELS = ("labels", "grid_labels", "column_labels", "interpolation_labels")


def as_tuple(key) -> tuple[int, ...]:
    return tuple(jax.random.key_data(key).tolist())


def with_blocks(key) -> list[tuple[int, ...]]:
    """A key and the keys of the blocks in which latents and labels are drawn from it."""
    return [as_tuple(key), *(as_tuple(jax.random.fold_in(key, block)) for block in range(BLOCKS))]


def assert_all_differ(keys):
    keys = list(itertools.chain.from_iterable(map(with_blocks, keys)))
    assert len(set(keys)) == len(keys)


class Recorder:
    """The keys that latents and labels were drawn from, without repetition."""

    def __init__(self):
        self.z, self.label = {}, {}

    def wrap(self, function, keys):
        def recording(game, *arguments):
            key = next(x for x in arguments if isinstance(x, jax.Array) and jax.dtypes.issubdtype(x.dtype, jax.dtypes.prng_key))
            keys[as_tuple(key)] = key
            return function(game, *arguments)

        return recording

    def check(self, count: int):
        """`count` keys of latents, as many of labels, and all of them different."""
        assert (len(self.z), len(self.label)) == (count, count)
        assert_all_differ([*self.z.values(), *self.label.values()])


@pytest.fixture
def recorder(monkeypatch):
    recorder = Recorder()
    for module in (evaluate, generator, monitor, sample, sample_run, samplers, temperatures):
        for name in ("latents", *LABELS):
            if hasattr(module, name):
                function = recorder.wrap(getattr(module, name), recorder.z if name == "latents" else recorder.label)
                monkeypatch.setattr(module, name, function)
    return recorder


@pytest.fixture(scope="module")
def run_dir(tiny, tmp_path_factory):
    path = tmp_path_factory.mktemp("keys") / "run"
    train(replace(tiny, steps=2, log_every=1, eval_every=2, save_every=2, eval_samples=50), path)
    return path


def test_keys_of_seeds_differ_from_each_other_and_from_those_of_training():
    keys = [
        key
        for seed in range(3)
        for key in (*sample_keys(seed), sampler_key(seed), path_key(seed), *jax.random.split(jax.random.key(seed), BLOCKS))
    ]
    assert_all_differ(keys)


@pytest.mark.parametrize("command", ["evaluate", "sample", "view", "temperatures"])
def test_commands_draw_latents_and_labels_from_different_keys(run_dir, tmp_path, recorder, command):
    if command == "evaluate":
        evaluate.evaluate_run(run_dir, Protocol(), 50, seed=1)
    elif command == "sample":
        sample_run.sample_run(run_dir, 50, 1, tmp_path)
    elif command == "view":
        view_run(run_dir, "interpolation", 1, tmp_path)
    else:
        temperatures.measure_runs([run_dir], [1.0], Protocol(), 50, seed=1)
    recorder.check(1)
    z_key, label_key, _ = sample_keys(1)  # equal seeds show equal samples in all commands
    assert (list(recorder.z), list(recorder.label)) == ([as_tuple(z_key)], [as_tuple(label_key)])


class Normed(nn.Module):
    @nn.compact
    def __call__(self, z, label, train):
        return nn.BatchNorm(use_running_average=not train)(z)


def draw_latents(key, count: int) -> jax.Array:
    return jax.random.normal(key, (count, 2))


def test_standing_statistics_draw_latents_and_labels_from_different_keys(recorder):
    game = SimpleNamespace(generator=Normed(), z_dim=2, sample_shape=(2,), label=None, draw_latents=draw_latents)
    variables = Normed().init(jax.random.key(0), np.zeros((2, 2)), None, True)
    z_key, label_key, statistics_key = sample_keys(0)
    sample.standing_statistics(game, None, variables, 1, statistics_key)
    recorder.check(1)
    assert_all_differ([z_key, label_key, *recorder.z.values(), *recorder.label.values()])


def test_monitor_draws_latents_and_labels_from_its_two_keys(recorder):
    game = SimpleNamespace(z_dim=2, label=None, real_labelled=False, draw_latents=draw_latents)
    z_key, label_key = jax.random.split(jax.random.key(0))
    monitor.Monitor(Config(), game, SimpleNamespace(num_shown=4), None, z_key, label_key, None)
    recorder.check(1)
    assert (list(recorder.z), list(recorder.label)) == ([as_tuple(z_key)], [as_tuple(label_key)])


@pytest.fixture
def recorded_game(tiny, monkeypatch):
    """A game, its data, and lists that record the keys with which latents and labels are drawn outside of compiled code."""
    z_keys, label_keys, normal = [], [], jax.random.normal

    def record(keys, key):
        if not isinstance(key, jax.core.Tracer):
            keys.append(key)

    def recording_normal(key, *arguments, **options):
        record(z_keys, key)
        return normal(key, *arguments, **options)

    data = load(tiny.data, 0, tiny.batch)
    game = replace(build(tiny, data), fake_label=lambda key, batch: record(label_keys, key))
    monkeypatch.setattr(jax.random, "normal", recording_normal)
    return game, data, z_keys, label_keys


def test_vitals_draw_latents_and_labels_from_different_keys(recorded_game):
    game, data, z_keys, label_keys = recorded_game
    state = init_state(game, jax.random.key(1))
    batches = jax.tree.map(lambda *x: np.stack(x), data.batch_at(0), data.batch_at(1))
    z_keys.clear(), label_keys.clear()
    vitals(game, state, batches, jax.random.key(0))
    assert (len(z_keys), len(label_keys)) == (3, 3)  # the measured samples, and the objectives of D and G in the rotation
    assert_all_differ([*z_keys, *label_keys])


def test_duality_gap_draws_latents_and_labels_from_different_keys(recorded_game):
    game, data, z_keys, label_keys = recorded_game
    state = init_state(game, jax.random.key(1))
    players = [(player.params, player.stats) for player in (state.g, state.d)]
    z_keys.clear(), label_keys.clear()
    batches = exploitability._feeds(jax.random.key(0), 32, 16, 3)
    for rows, keys in batches:
        for feed in zip(rows, keys, strict=True):
            exploitability._play(game, data, data.test, *players, feed)
    assert (len(z_keys), len(label_keys)) == (5, 5)  # three training batches and two test batches
    assert_all_differ([*z_keys, *label_keys])
