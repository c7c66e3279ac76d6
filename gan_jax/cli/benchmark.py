"""Time the convolutions of `gan_jax/models/conv.py` on this machine: `python experiments/benchmark.py`.

In one process, times one layer and whole GAN steps with our convolutions, with those of stock `lax`, with a generator that
upsamples by repeating pixels, and, if it is installed, with PyTorch (eager, as many threads); then a separately jitted step
against the same step inside `cond` and `scan`. Each time is the median of --repeats runs, which alternate between the cases;
each ratio is relative to the first case of its section.
"""

import functools
import importlib.util
import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable
from importlib import metadata
from typing import NamedTuple

from gan_jax.cli import benchmark_accelerator
from gan_jax.cli.command import Parser, out_file, whole_number, write_json

BATCH, SIZE, CHANNELS, Z_DIM = 64, 32, 3, 128
GAMMA = 10.0  # weight of WGAN-GP's penalty
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


class Layers(NamedTuple):
    """Layers f(x, kernel) that halve the resolution, with 4x4 kernels, and double it, with square kernels of size
    `up_window`."""

    down: Callable
    up: Callable
    up_window: int = 4


def main() -> None:
    if "--accelerator" in sys.argv:
        return benchmark_accelerator.main()
    parser = Parser(description=__doc__)
    parser.add_argument(
        "--repeats", type=whole_number(1, 10**6), default=7, help="number of timed runs of each case (default: %(default)s)"
    )
    parser.add_argument(
        "--width",
        type=whole_number(1, 4096),
        default=32,
        help="number of channels after D's first halving (default: %(default)s)",
    )
    parser.add_argument("--json", type=out_file, metavar="PATH", help="also write the table to this JSON file")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()

    image = f"{SIZE}x{SIZE}x{CHANNELS}, batch {BATCH}, width {options.width}"
    sections = {
        f"weight gradient, 4x4 stride-2 transposed convolution, 14x14x64 to 28x28x32, batch {BATCH}": weight_gradients,
        f"DCGAN step, {image}": lambda: gan_steps(options.width, wgan=False),
        f"WGAN-GP step (1 D, 1 G), {image}": lambda: gan_steps(options.width, wgan=True),
        f"4 steps of gradient descent, 3x3 convolution, 14x14x32 to 64, batch {BATCH}": convolution_loops,
        "20 steps of gradient descent, MLP 128-128-128, batch 128": mlp_loops,
    }
    lines, rows = [], []
    for section, make_cases in sections.items():
        print(f"measuring: {section}", flush=True)
        times = measure(make_cases(), options.repeats)
        lines += ["", f"{section:<96} {'median ms':>10} {'ratio':>6}"]
        for case, ms in times.items():
            ratio = ms / next(iter(times.values()))
            lines.append(f"    {case:92} {ms:10.2f} {ratio:6.2f}")
            rows.append({"section": section, "what": case, "ms": ms, "ratio": ratio})
    print("\n".join(lines))
    if options.json:
        versions = {name: metadata.version(name) for name in ("jax", "torch") if importlib.util.find_spec(name)}
        write_json(options.json, {"versions": versions, "cores": CORES, "rows": rows})
        print(f"\nwritten to {options.json}")


def measure(cases: dict[str, Callable], repeats: int) -> dict[str, float]:
    """Return the median time of each case in ms. Each timed run follows an untimed one, since threads of the previous case may
    still be spinning."""
    times = {case: [] for case in cases}
    for repeat in range(repeats + 1):  # repeat 0 compiles
        for case, run in cases.items():
            run()
            start = time.perf_counter()
            run()
            if repeat:
                times[case].append((time.perf_counter() - start) * 1e3)
    return {case: statistics.median(ms) for case, ms in times.items()}


def layer_kinds() -> dict[str, Layers]:
    import jax.numpy as jnp
    from jax import lax

    from gan_jax.models.conv import convolve, convolve_transpose

    layout = ("NHWC", "HWIO", "NHWC")
    ours = Layers(lambda x, k: convolve(x, k, 2, 1), lambda x, k: convolve_transpose(x, k, 2, 1))
    stock = Layers(
        lambda x, k: lax.conv_general_dilated(x, k, (2, 2), [(1, 1)] * 2, dimension_numbers=layout),
        lambda x, k: lax.conv_transpose(x, k, (2, 2), "SAME", dimension_numbers=layout),
    )
    nearest = Layers(ours.down, lambda x, k: convolve(jnp.repeat(jnp.repeat(x, 2, 1), 2, 2), k), up_window=3)
    return {"ours": ours, "stock lax": stock, "ours, G by nearest neighbour + 3x3": nearest}


def weight_gradients() -> dict[str, Callable]:
    import jax
    import jax.numpy as jnp

    x = jax.random.normal(jax.random.key(0), (BATCH, 14, 14, 64))
    kernel = jax.random.normal(jax.random.key(1), (4, 4, 64, 32))

    def case(layers):
        gradient = jax.jit(jax.grad(lambda kernel, x: jnp.square(layers.up(x, kernel)).mean()))
        return lambda: jax.block_until_ready(gradient(kernel, x))

    return {name: case(layers) for name, layers in layer_kinds().items() if layers.up_window == 4}


def gan_steps(width: int, wgan: bool) -> dict[str, Callable]:
    widths = (width, 2 * width, 4 * width)
    cases = {name: jax_gan(layers, widths, wgan) for name, layers in layer_kinds().items()}
    return cases | ({"PyTorch, eager": torch_gan(widths, wgan)} if importlib.util.find_spec("torch") else {})


def jax_gan(layers: Layers, widths: tuple[int, ...], wgan: bool) -> Callable:
    """A step of D (halvings, leaky ReLU) and one of G (doublings, batch norm, ReLU, tanh), each with a linear layer."""
    import jax
    import jax.numpy as jnp
    import optax

    from gan_jax.losses import non_saturating, wasserstein
    from gan_jax.penalties import gradient_penalty

    loss = wasserstein if wgan else non_saturating
    stages, start_size = list(itertools.pairwise((CHANNELS, *widths))), SIZE >> len(widths)
    tx = optax.adam(2e-4, 0.5)

    def init(key):
        keys = iter(jax.random.split(key, 2 + 2 * len(stages)))
        normal = lambda *shape: 0.02 * jax.random.normal(next(keys), shape)  # noqa: E731
        up = [(normal(*(layers.up_window,) * 2, b, a), jnp.ones(b), jnp.zeros(b)) for a, b in reversed(stages)]
        g = normal(Z_DIM, start_size * start_size * widths[-1]), up
        d = [normal(4, 4, a, b) for a, b in stages], normal(start_size * start_size * widths[-1], 1)
        return g, d, tx.init(g), tx.init(d)

    def generate(g, z):
        x = (z @ g[0]).reshape(-1, start_size, start_size, widths[-1])
        for kernel, scale, bias in g[1]:
            x = (x - x.mean((0, 1, 2))) * jax.lax.rsqrt(x.var((0, 1, 2)) + 1e-5) * scale + bias
            x = layers.up(jax.nn.relu(x), kernel)
        return jnp.tanh(x)

    def discriminate(d, x):
        for kernel in d[0]:
            x = jax.nn.leaky_relu(layers.down(x, kernel), 0.2)
        return (x.reshape(x.shape[0], -1) @ d[1])[:, 0]

    def d_loss(d, fake, real, key):
        d_loss, _ = loss(discriminate(d, real), discriminate(d, fake))
        return d_loss + GAMMA * gradient_penalty(lambda x: discriminate(d, x), real, fake, key) if wgan else d_loss

    def step(state, real, key):
        g, d, g_opt, d_opt = state
        z_key, penalty_key = jax.random.split(key)
        z = jax.random.normal(z_key, (2, BATCH, Z_DIM))
        updates, d_opt = tx.update(jax.grad(d_loss)(d, generate(g, z[0]), real, penalty_key), d_opt)
        d = optax.apply_updates(d, updates)
        gradients = jax.grad(lambda g: loss(jnp.zeros(BATCH), discriminate(d, generate(g, z[1])))[1])(g)
        updates, g_opt = tx.update(gradients, g_opt)
        return optax.apply_updates(g, updates), d, g_opt, d_opt

    init_key, real_key, step_key = jax.random.split(jax.random.key(0), 3)
    step = jax.jit(step, donate_argnums=0)
    state, real = jax.jit(init)(init_key), jax.random.normal(real_key, (BATCH, SIZE, SIZE, CHANNELS))

    def run():
        nonlocal state
        state = jax.block_until_ready(step(state, real, step_key))

    return run


def torch_gan(widths: tuple[int, ...], wgan: bool) -> Callable:
    """The same step as in `jax_gan`, in PyTorch."""
    import torch
    from torch import nn
    from torch.nn.functional import softplus

    torch.set_num_threads(CORES)
    stages, start_size = list(itertools.pairwise((CHANNELS, *widths))), SIZE >> len(widths)
    down = [m for a, b in stages for m in (nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.LeakyReLU(0.2))]
    up = [m for a, b in stages[::-1] for m in (nn.BatchNorm2d(b), nn.ReLU(), nn.ConvTranspose2d(b, a, 4, 2, 1, bias=False))]
    features = start_size * start_size * widths[-1]
    d = nn.Sequential(*down, nn.Flatten(), nn.Linear(features, 1, bias=False))
    g = nn.Sequential(
        nn.Linear(Z_DIM, features, bias=False), nn.Unflatten(1, (widths[-1], start_size, start_size)), *up, nn.Tanh()
    )
    g_adam, d_adam = (torch.optim.Adam(player.parameters(), 2e-4, (0.5, 0.999)) for player in (g, d))
    real = torch.randn(BATCH, CHANNELS, SIZE, SIZE)

    def run():
        fake = g(torch.randn(BATCH, Z_DIM)).detach()
        if wgan:
            epsilon = torch.rand(BATCH, 1, 1, 1)
            interpolates = (epsilon * real + (1 - epsilon) * fake).requires_grad_()
            (gradient,) = torch.autograd.grad(d(interpolates).sum(), interpolates, create_graph=True)
            d_loss = d(fake).mean() - d(real).mean() + GAMMA * ((gradient.flatten(1).norm(dim=1) - 1) ** 2).mean()
        else:
            d_loss = softplus(-d(real)).mean() + softplus(d(fake)).mean()
        d_adam.zero_grad()
        d_loss.backward()
        d_adam.step()
        logits = d(g(torch.randn(BATCH, Z_DIM)))
        g_adam.zero_grad()
        (-logits.mean() if wgan else softplus(-logits).mean()).backward()
        g_adam.step()

    return run


def convolution_loops() -> dict[str, Callable]:
    import jax
    import jax.numpy as jnp
    from jax import lax

    from gan_jax.models.conv import convolve

    def stock(x, k):
        return lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    normal = jax.random.normal
    state = normal(jax.random.key(0), (64, 14, 14, 32)), normal(jax.random.key(1), (3, 3, 32, 64))
    return {
        f"{name}, {loop}": run
        for name, f in (("ours", convolve), ("stock lax", stock))
        for loop, run in loops(lambda state, f=f: jnp.square(f(*state)).mean(), state, 4).items()
    }


def mlp_loops() -> dict[str, Callable]:
    import jax
    import jax.numpy as jnp

    x, *weights = jax.random.normal(jax.random.key(0), (3, 128, 128)) / 12
    return loops(lambda w: jnp.square(jax.nn.relu(x @ w[0]) @ w[1]).mean(), weights, 20)


def loops(loss: Callable, state: object, length: int) -> dict[str, Callable]:
    """Gradient descent as jitted steps, as jitted steps inside a conditional (like a lazy penalty), and as one program."""
    import jax
    import jax.numpy as jnp
    from jax import lax

    def step(state):
        return jax.tree.map(lambda x, gradient: x - 0.1 * gradient, state, jax.grad(loss)(state))

    def conditional(state):  # the condition is always true, but XLA cannot know that
        return lax.cond(state[1].sum() < jnp.inf, step, lambda state: state, state)

    def separate_steps(step):
        step = jax.jit(step)
        return lambda: jax.block_until_ready(functools.reduce(lambda state, _: step(state), range(length), state))

    def scan(unroll):
        loop = jax.jit(lambda state: lax.scan(lambda state, _: (step(state), None), state, length=length, unroll=unroll)[0])
        return lambda: jax.block_until_ready(loop(state))

    return {
        "jitted steps": separate_steps(step),
        "jitted steps, inside cond": separate_steps(conditional),
        "scan": scan(1),
        "scan, fully unrolled": scan(length),
    }
