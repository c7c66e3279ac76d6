"""Several devices, eight fake ones in a separate process: the same numbers as on one device, for any number and form.

With plain gradient descent, for Adam's first steps are signs of gradients and magnify rounding.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest

TOLERANCE = 1.2e-7  # of parameters: a unit in the last place of numbers around 1
OF_SUMS = 5e-7  # of statistics and norms, which are sums in another order


def program(slow: bool) -> None:
    """Run three steps of each case on fake devices and print a line of JSON."""
    import jax
    import numpy as np

    from gan_jax.config import Config
    from gan_jax.data.load import load
    from gan_jax.errors import InputError
    from gan_jax.game.build import build
    from gan_jax.game.state import init_state
    from gan_jax.training.compile import compile_update, plan_devices
    from gan_jax.training.members import batches_of_step, run_keys

    sgd = {"g_optimizer": "sgd", "d_optimizer": "sgd", "g_lr": 0.01, "d_lr": 0.01}
    base = Config(
        data="ring", z_dim=8, g_width=64, g_depth=2, d_width=64, d_depth=2, batch=32, loss="relativistic", penalty="r1_r2",
        gamma=0.1, dispatch="scan", **sgd,
    )  # fmt: skip
    average = replace(base, loss="relativistic_average", g_norm="batch", d_minibatch="stddev")
    data = load("ring", 0, base.batch)
    results = {"devices": len(jax.devices())}

    def play(config, seeds=None):
        """-> (final state on the host, the same on the devices, FLOPs per device)."""
        game, plan = build(config, data), plan_devices(config, seeds and len(seeds))
        advance, most = compile_update(game, data, "scan", plan)
        init_key, train_key, *_ = run_keys(0)
        state = init_state(game, init_key)
        feeds = np.stack([batches_of_step(game, data.feed_at, min(step, 2)) for step in range(most)])
        if seeds is not None:
            init_keys, train_keys = (jax.numpy.stack([run_keys(seed)[i] for seed in seeds]) for i in range(2))
            state = jax.vmap(lambda key: init_state(game, key))(init_keys)
            train_key = plan.pad(train_keys)
            feeds = np.stack([feeds] * len(seeds), axis=1)
        arguments = (plan.place(state), plan.replicate(data.train), plan.shard_batches(feeds), 3, train_key)
        flops = None
        if config.parallel == "jit":
            advance = advance.lower(*arguments).compile()
            flops = advance.cost_analysis()["flops"]
        state, metrics = advance(*arguments)
        valid = np.s_[:3] if seeds is None else np.s_[:3, : len(seeds)]
        return (plan.gather(state), jax.device_get({name: x[valid] for name, x in metrics.items()})), state, flops

    def difference(a, b):
        """The largest difference, absolute below 1 and relative above: [of parameters, of all]."""
        worst = [0.0, 0.0]
        for (path, x), y in zip(jax.tree_util.tree_leaves_with_path(a), jax.tree.leaves(b), strict=True):
            assert np.isfinite(x).all() and np.isfinite(y).all()
            apart = float(np.max(np.abs(np.float64(x) - y) / np.maximum(1, np.abs(y)), initial=0))
            for which in range(0 if ".params" in jax.tree_util.keystr(path) else 1, 2):
                worst[which] = max(worst[which], apart)
        return worst

    def compare(name, config, **alone):
        results[name] = difference(play(config)[0], play(replace(config, devices=1, **alone))[0])

    one, _, flops = play(replace(base, devices=1))
    if slow:
        pages = {page: replace(base, update=page) for page in ("consensus(weight=0.1)", "extragradient")}
        for name, config in (pages | {"average": replace(base, loss="relativistic_average")}).items():
            compare(f"pmap {name}", replace(config, devices=4, parallel="pmap"), parallel="jit")
        compare("average", average)
        parts = replace(base, devices=2, microbatches=4)
        several, _, share = play(parts)
        results["microbatches"] = difference(several, one)
        results["microbatches flops"] = share / play(replace(parts, devices=1))[2]
        results["microbatches pmap"] = difference(play(replace(parts, parallel="pmap"))[0], one)
    else:
        seeds = range(3)
        padded = play(replace(base, devices=2), seeds)[0]
        results["seeds"] = difference(padded, play(replace(base, devices=1), seeds)[0])
        results["seed"] = difference(jax.tree.map(lambda x: x[0], padded[0]), one[0])
        results["plans"] = [[(plan := plan_devices(base, runs)).devices, plan.padding] for runs in (1, 5, 8, 9, 12, 17)]
        for count in (2, 4, 8):
            several, _, share = play(replace(base, devices=count))
            results[f"jit {count}"] = difference(several, one)
            results[f"jit {count} flops"] = share / flops
        results["pmap 8"] = difference(play(replace(base, parallel="pmap"))[0], one)
        cut, lies, _ = play(replace(base, fsdp=True))
        results["fsdp"] = difference(cut, one)
        kernel = lies.d.params["Dense_1"]["kernel"]
        results["fsdp shape"] = [list(kernel.shape), list(kernel.addressable_shards[0].data.shape)]
        for name, wrong in (("batch", {"batch": 36}), ("parts", {"batch": 32, "microbatches": 4}), ("count", {"devices": 9})):
            try:
                plan_devices(replace(base, **wrong))
            except InputError as error:
                results[f"refusal of {name}"] = str(error)
        results["microbatches"] = difference(play(replace(base, devices=1, microbatches=4))[0], one)
    print(json.dumps(results))


def same(apart):
    return apart[0] <= TOLERANCE and apart[1] <= OF_SUMS


def run(*arguments):
    flags = "" if "slow" in arguments else os.environ["XLA_FLAGS"]
    environment = os.environ | {"XLA_FLAGS": f"{flags} --xla_force_host_platform_device_count=8"}
    command = [sys.executable, __file__, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout.splitlines()[-1])
    assert result["devices"] == 8
    return result


@pytest.fixture(scope="module")
def results():
    return run()


@pytest.mark.parametrize("count", [2, 4, 8])
def test_jit_has_the_numbers_of_one_device_and_its_share_of_the_work(results, count):
    assert same(results[f"jit {count}"])
    assert results[f"jit {count} flops"] < 1.3 / count


def test_pmap_has_the_numbers_of_one_device(results):
    assert same(results["pmap 8"])


def test_a_sharded_state_has_the_same_numbers(results):
    assert same(results["fsdp"])
    assert results["fsdp shape"] == [[64, 64], [8, 64]]


def test_runs_have_the_same_bits_on_any_number_of_devices(results):
    """Three seeds on two devices, so one of four places is padding; and the first is the run of that seed alone."""
    assert results["seeds"] == [0.0, 0.0]
    assert results["seed"] == [0.0, 0.0]


def test_runs_are_spread_over_the_devices_with_as_little_padding_as_costs_no_time(results):
    """Of 8 devices: [devices used, places without a run]. For 9 runs some device needs two, so five devices are enough."""
    assert results["plans"] == [[1, 0], [5, 0], [8, 0], [5, 1], [6, 0], [6, 1]]


def test_microbatches_have_the_gradient_of_the_batch(results):
    assert same(results["microbatches"])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("batch", "batch 36 does not divide among 8 devices: use a multiple of 8, or --devices 1 or 2 or 3 or 4 or 6"),
        ("count", "devices 9: this machine has 8"),
    ],
)
def test_batches_that_do_not_divide_are_refused(results, name, message):
    assert results[f"refusal of {name}"] == message


def test_microbatches_count_in_the_division(results):
    assert "refusal of parts" not in results  # 32 = 8 devices x 4 microbatches x 1


@pytest.mark.slow
def test_losses_that_compare_samples_update_rules_and_microbatches_on_several_devices():
    more = run("slow")
    assert more.pop("microbatches flops") < 1.3 / 2
    assert len(more) == 1 + 3 + 1 + 2
    assert [name for name, apart in more.items() if name != "devices" and not same(apart)] == []


if __name__ == "__main__":
    program("slow" in sys.argv)
