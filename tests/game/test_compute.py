"""Compute type and memory of a step: bfloat16, rematerialisation, microbatches; and the cost that a dry run reports."""

import re
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import Config
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.game.build import build
from gan_jax.game.state import apply, init_state
from gan_jax.models import dcgan, mlp
from gan_jax.training.compile import compile_update, plan_devices
from gan_jax.training.cost import communicated, cost, describe_cost
from gan_jax.training.experiment import describe, prepare
from gan_jax.training.members import batches_of_step

NETWORKS = {
    "mlp": (mlp.Discriminator((4, 4, 1), width=32, norm="batch"), (4, 4, 1)),
    "dcgan": (dcgan.Discriminator((8, 8, 1), width=8, norm="batch"), (8, 8, 1)),
    "spectral": (dcgan.Discriminator((8, 8, 1), width=8, norm="spectral"), (8, 8, 1)),
}


@pytest.fixture(scope="module", params=NETWORKS)
def network(request):
    module, shape = NETWORKS[request.param]
    x = jax.random.normal(jax.random.key(1), (16, *shape))
    return module, module.init(jax.random.key(0), x, None, train=True), x


def gradient_of(network, **options):
    module, variables, x = network

    def loss(params):
        outputs, stats = apply(module, variables | {"params": params}, x, None, True, **options)
        return jnp.square(outputs[0]).sum(), (outputs, stats)

    return jax.grad(loss, has_aux=True), variables["params"]


def test_only_products_are_in_bfloat16(network):
    gradient, params = gradient_of(network, compute="bfloat16")
    gradients, (logits, stats) = gradient(params)
    assert {leaf.dtype for leaf in jax.tree.leaves((gradients, logits, stats))} == {jnp.dtype("float32")}
    products = re.findall(r":(\w+)\[[\d,]*\] = (?:dot_general|conv_general_dilated)", str(jax.make_jaxpr(gradient)(params)))
    assert products.count("bf16") >= 6  # forward, and backward to weights and activations
    expected, _ = gradient_of(network)[0](params)
    a, b = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (gradients, expected))
    assert a @ b / np.linalg.norm(a) / np.linalg.norm(b) > 0.99
    assert not np.array_equal(a, b)


def test_remat_stores_less_and_changes_nothing(network, capsys):
    kept = {}
    for remat in (False, True):
        _, params = gradient_of(network)
        jax.ad_checkpoint.print_saved_residuals(lambda params, remat=remat: _loss(network, params, remat), params)
        lines = [line for line in capsys.readouterr().out.splitlines() if "from the argument" not in line]
        shapes = [re.match(r"\w+\[([\d,]*)\]", line) for line in lines]
        kept[remat] = sum(int(np.prod([int(n) for n in shape[1].split(",") if n])) for shape in shapes if shape)
    assert kept[True] < 0.85 * kept[False]
    gradients = [jax.jit(gradient_of(network, remat=remat)[0])(params)[0] for remat in (False, True)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-6 * float(jnp.abs(b).max())), *gradients)


def _loss(network, params, remat):
    module, variables, x = network
    return jnp.square(apply(module, variables | {"params": params}, x, None, True, remat=remat)[0][0]).sum()


@pytest.fixture(scope="module")
def digits():
    return load("digits", 0, 512)


def test_microbatches_take_the_memory_of_one(digits):
    networks = {"model": "dcgan", "g_width": 16, "d_width": 16, "g_norm": "none", "d_norm": "none"}
    config = Config(batch=512, **networks, loss="non_saturating", devices=1)
    costs = {}
    for parts in (1, 8):
        trial = replace(config, microbatches=parts)
        costs[parts] = cost(build(trial, digits), digits, plan_devices(trial))
    assert costs[8].memory < 0.5 * costs[1].memory
    assert costs[8].flops == pytest.approx(costs[1].flops, rel=0.05)


def test_a_run_in_bfloat16_learns_the_same(tiny):
    data = load("ring", 0, tiny.batch)
    ends = []
    for compute in ("float32", "bfloat16"):
        game = build(replace(tiny, compute=compute), data)
        advance, most = compile_update(game, data, "scan")
        feeds = np.stack([batches_of_step(game, data.feed_at, step) for step in range(most)])
        state, metrics = advance(init_state(game, jax.random.key(0)), data.train, feeds, 20, jax.random.key(1))
        assert {leaf.dtype for leaf in jax.tree.leaves(state.d.params)} == {jnp.dtype("float32")}
        ends.append(metrics["d/loss"][19])
    assert ends[0] != ends[1]
    np.testing.assert_allclose(*ends, rtol=0.05)


def test_a_dry_run_reports_the_cost_of_a_step_and_whether_it_fits(tiny, tmp_path):
    text = describe(prepare(tiny, tmp_path / "run"), with_cost=True)
    assert not (tmp_path / "run").exists()
    assert re.search(
        r"devices +1 cpu, jit\nstep +[\d.e-]+ GFLOP on each device, 0 MB through collectives\nmemory +[\d.e-]+ GB", text
    )
    data = load("ring", 0, tiny.batch)
    estimate = cost(build(tiny, data), data, plan_devices(tiny))
    hidden, outer = (
        8 * 8 * 16,
        2 * 8 * 16,
    )  # multiplications in one pass by the weights of a hidden layer, and of an outer layer
    assert estimate.flops > 2 * 3 * (hidden + outer)
    assert "does NOT fit" not in "".join(describe_cost(estimate))
    assert "does NOT fit" in "".join(describe_cost(estimate._replace(limit=1)))


def test_a_dry_run_compiles_nothing_unless_it_reports_the_cost(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("jax.stages.Lowered.compile", None)  # fails if called
    assert "devices          1 cpu, jit\nrun_dir" in describe(prepare(tiny, tmp_path / "run"))
    with pytest.raises(TypeError, match="NoneType"):
        describe(prepare(tiny, tmp_path / "run"), with_cost=True)
    with pytest.raises(InputError, match="--cost needs one seed and --parallel jit"):
        describe(prepare(tiny, tmp_path / "run", seeds=[0, 1]), with_cost=True)


def test_communicated_bytes_are_counted():
    program = """
      %a = f32[64,8]{1,0} all-reduce(f32[64,8]{1,0} %x), channel_id=1
      %b = (bf16[10]{0}, f32[2,3]{1,0}) all-gather-start(%y, %z)
      %c = f32[99]{0} add(%a, %a)
    """
    assert communicated(program) == 64 * 8 * 4 + 10 * 2 + 6 * 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch": 10, "microbatches": 4}, r"batch must be a multiple of pack times microbatches, which is 4, got 10"),
        ({"parallel": "pmap", "fsdp": True}, r"fsdp must be off with parallel pmap"),
        ({"compute": "float16"}, r"compute: expected"),
    ],
)
def test_invalid_settings_are_refused(change, message):
    with pytest.raises(InputError, match=message):
        Config(**change)


def test_more_devices_than_available_are_refused():
    with pytest.raises(InputError, match=r"devices 9: this machine has 2"):
        plan_devices(Config(devices=9))
