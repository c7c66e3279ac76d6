"""The twins in PyTorch play the same game: as many parameters and, from equal weights, the same samples, losses and
gradients."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from gan_jax import losses, penalties  # noqa: E402
from gan_jax.benchmark.cases import CASES  # noqa: E402
from gan_jax.benchmark.twin import TwinStep, _FlopCounter, parameters  # noqa: E402
from gan_jax.game.resolve import find_networks  # noqa: E402
from gan_jax.game.state import apply  # noqa: E402
from gan_jax.types import Critic  # noqa: E402

BATCH = 4
SMALL = {
    "stylegan2": {"model": "stylegan2(base=256, mapping=2, mixing=0.0)"},
    "r3gan": {"g_width": 16, "d_width": 16},  # two groups
}


def small(name):
    case = CASES[name]
    changes = SMALL.get(case.config.model.partition("(")[0], {"g_width": 4, "d_width": 4})
    return case.at(**changes, batch=BATCH)


def initial(case):
    """Our networks and their initial variables."""
    networks = find_networks(case.config, case.shape, case.num_classes)
    label = jnp.zeros(BATCH, jnp.int32) if case.num_classes else None
    inputs = jnp.zeros((BATCH, case.config.z_dim)), jnp.zeros((BATCH, *case.shape))

    def init(key):
        return [network.init(key, x, label, train=True) for network, x in zip(networks, inputs, strict=True)]

    return networks, jax.jit(init)(jax.random.key(0))


@pytest.mark.parametrize("name", ["mlp8", "dcgan", "wgan_gp", "sngan8", "stylegan2", "biggan", "r3gan"])
def test_a_twin_has_as_many_parameters_as_our_networks(name):
    case = small(name)
    twin = TwinStep(case.config, case.shape, case.num_classes)
    shapes = jax.eval_shape(lambda: initial(case)[1])
    for network, variables in zip((twin.g, twin.d), shapes, strict=True):
        assert parameters(network) == sum(x.size for x in jax.tree.leaves(variables["params"]))


KINDS = {
    torch.nn.Linear: (1, 0),
    torch.nn.Conv2d: (3, 2, 0, 1),
    torch.nn.ConvTranspose2d: (2, 3, 0, 1),
}  # our kernels, [*window, inputs, outputs], transposed to PyTorch's


def pairs(params, network):
    """(our parameter, in PyTorch's order of axes; PyTorch's) of all layers, in the order of their numbers."""
    ours = {"kernel": [], "norm": [], "basis": []}

    def natural(path):
        # r3gan: the grid of residual blocks lies before G's last convolution and after D's first.
        return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path)]

    flat = {"/".join(str(key.key) for key in path): x for path, x in jax.tree_util.tree_leaves_with_path(params)}
    layers = sorted({path.rpartition("/")[0] for path in flat}, key=natural)
    for layer in layers:
        leaves = {path.rpartition("/")[2]: np.asarray(x) for path, x in flat.items() if path.rpartition("/")[0] == layer}
        kind = "kernel" if "kernel" in leaves else "norm" if "scale" in leaves else "basis"
        ours[kind].append(leaves)
    dense = [leaves for leaves in ours["kernel"] if leaves["kernel"].ndim == 2]
    convolutions = [leaves for leaves in ours["kernel"] if leaves["kernel"].ndim == 4]
    found = []
    for module in network.modules():
        if type(module) in KINDS:
            source = dense if isinstance(module, torch.nn.Linear) else convolutions
            shape = [module.weight.shape[axis] for axis in np.argsort(KINDS[type(module)])]
            # Equal layers in the order of their numbers; others by shape.
            leaves = source.pop(next(i for i, leaves in enumerate(source) if list(leaves["kernel"].shape) == shape))
            found.append((leaves["kernel"].transpose(KINDS[type(module)]), module.weight))
            if module.bias is not None:
                found.append((leaves["bias"], module.bias))
        elif isinstance(module, torch.nn.BatchNorm2d):
            leaves = ours["norm"].pop(0)
            found += [(leaves["scale"], module.weight), (leaves["bias"], module.bias)]
        elif hasattr(module, "grid"):
            found.append((ours["basis"].pop(0)["basis"].transpose(2, 0, 1), module.grid))
    assert not any((dense, convolutions, ours["norm"], ours["basis"]))
    return found


@pytest.mark.parametrize(("name", "size"), [("dcgan", 16), ("r3gan", 16), ("mlp8", None)])
def test_from_equal_weights_a_twin_computes_our_samples_our_loss_and_our_gradients(name, size):
    case = small(name)
    case = case if size is None else case._replace(shape=(size, size, case.shape[2]))
    config = case.config
    (generator, discriminator), (g, d) = initial(case)
    # Of r3gan, the last convolution of each block starts at zero.
    g, d = (jax.tree.map(lambda x: x + 0.1 * jax.random.normal(jax.random.key(x.size), x.shape), network) for network in (g, d))
    twin = TwinStep(config, case.shape)
    for variables, network in ((g, twin.g), (d, twin.d)):
        for ours, theirs in pairs(variables["params"], network):
            theirs.data.copy_(torch.from_numpy(ours.copy()))
    random = np.random.default_rng(0)
    z = random.standard_normal((BATCH, config.z_dim), np.float32)
    real = random.uniform(-1, 1, (BATCH, *case.shape)).astype(np.float32)

    def objective(params, fake):
        def critic(x):
            return apply(discriminator, {**d, "params": params}, x, None, True)[0][0]

        penalty = 0.0
        if config.penalty:
            penalty = getattr(penalties, config.penalty)(Critic(critic), real, fake, jax.random.key(0))
        return getattr(losses, config.loss)(critic(real), critic(fake))[0] + config.gamma * penalty

    @jax.jit
    def step(g, d):
        fake, _ = apply(generator, g, z, None, True)
        return fake, *jax.value_and_grad(objective)(d["params"], fake)

    fake, loss, gradients = step(g, d)

    def images(x):
        x = torch.from_numpy(np.array(x))
        return x.permute(0, 3, 1, 2) if x.ndim == 4 else x

    with torch.no_grad():
        their_fake = twin.g(torch.from_numpy(z))
    np.testing.assert_allclose(their_fake, images(fake), rtol=1e-4, atol=1e-4)
    their_loss = twin.d_objective(images(real), images(fake), None, 0)
    their_loss.backward()
    np.testing.assert_allclose(their_loss.item(), float(loss), rtol=1e-4)
    for ours, theirs in pairs(gradients, twin.d):
        np.testing.assert_allclose(theirs.grad, ours, rtol=2e-3, atol=2e-4 * np.abs(ours).max())


def test_operations_of_grouped_convolutions_and_their_gradients_are_counted():
    """2 B H W k^2 (C_in / groups) C_out for the convolution, and as many for each of its two gradients."""
    x, weight = torch.randn(2, 8, 5, 5, requires_grad=True), torch.randn(12, 2, 3, 3, requires_grad=True)
    with _FlopCounter() as counter:
        torch.nn.functional.conv2d(x, weight, padding=1, groups=4).sum().backward()
    assert counter.flops == 3 * 2 * 2 * 25 * 9 * 2 * 12


def test_lazy_penalties_and_the_average_of_g_follow_the_config():
    case = small("stylegan2")._replace(shape=(8, 8, 3)).at(penalty_every=2, g_penalty_every=2)
    twin = TwinStep(case.config, case.shape)
    before = [x.clone() for x in twin.average]
    first = next(twin.g.parameters()).detach().clone()
    twin.run(1)
    # The first decay is min(ema, 1 / 10): the average moves nine tenths of the way to the new weights.
    moved = first + 0.9 * (next(twin.g.parameters()).detach() - first)
    torch.testing.assert_close(twin.average[0], moved)
    assert any((a != b).any() for a, b in zip(before, twin.average, strict=True))
    assert float(twin.path_length) > 0
    kept = float(twin.path_length)
    twin.run(1)
    assert float(twin.path_length) == kept
