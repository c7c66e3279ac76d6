"""What the convolutions of `gan_jax/models/conv.py` are worth on this machine: `python experiments/benchmark.py`.

Side by side in one process: single layers and whole GAN steps with our convolutions, with those of stock `lax`, with two other
ways to change the resolution, and, where it is installed, with PyTorch (eager, as many threads); then steps one by one
against a compiled loop. A time is the median of --repeats runs, taken in turns, after one run each to warm up.
"""

import importlib.util
import json
import os
import statistics
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from gan_jax.command import Parser, command
from gan_jax.errors import InputError

BATCH, SIZE, CHANNELS, Z_DIM = 64, 32, 3, 128
GAMMA = 10.0  # of WGAN-GP


class Row(NamedTuple):
    section: str
    what: str
    ms: float
    ratio: float  # to the first row of its section


class Layers(NamedTuple):
    """How a network halves and doubles the resolution, and the shape of a kernel from a to b channels for either."""

    down: Callable
    up: Callable
    down_shape: Callable = lambda a, b: (4, 4, a, b)
    up_shape: Callable = lambda a, b: (4, 4, a, b)


def main() -> None:
    parser = Parser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--repeats", type=int, default=7, help="timed runs of each case (default: %(default)s)")
    parser.add_argument("--width", type=int, default=32, help="channels after D's first halving (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="PATH", help="write the table there as JSON too")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    for name in ("repeats", "width"):
        if getattr(options, name) < 1:
            raise InputError(f"--{name} must be at least 1, got {getattr(options, name)}")
    if options.json and not options.json.parent.is_dir():
        raise InputError(f"--json {options.json}: there is no folder {options.json.parent}")

    rows = []
    for section, cases in sections(options.width):
        print(f"measuring: {section}", flush=True)
        times = measure(cases(), options.repeats)
        first = next(iter(times.values()))
        rows += [Row(section, what, ms, ms / first) for what, ms in times.items()]
    print("\n" + table(rows))
    if options.json:
        result = {"environment": environment(), "rows": [row._asdict() for row in rows]}
        options.json.write_text(json.dumps(result, indent=2) + "\n")
        print(f"written to {options.json}")


def sections(width: int) -> list[tuple[str, Callable[[], dict[str, Callable]]]]:
    """(title, what makes {what: function to time}). The first of each is what the others are compared with."""
    image = f"{SIZE}x{SIZE}x{CHANNELS}, batch {BATCH}, width {width}"
    return [
        (f"weight gradient of a 4x4 stride-2 transposed convolution, 14x14x{2 * width} to 28x28x{width}", lambda: layer(width)),
        (f"DCGAN step, {image}", lambda: gan_steps(width, wgan=False)),
        (f"WGAN-GP step (1 D, 1 G), {image}", lambda: gan_steps(width, wgan=True)),
        ("4 steps of descent: a 3x3 convolution, 14x14x32 to 64, batch 64", convolution_loops),
        ("100 steps of descent: an MLP 128-128-128, batch 64", mlp_loops),
    ]


def measure(cases: dict[str, Callable], repeats: int) -> dict[str, float]:
    """Median ms of each. A case has the machine to itself from its own warm-up call on: threads of another may still spin."""
    times = {what: [] for what in cases}
    for turn in range(repeats + 1):  # turn 0 compiles
        for what, run in cases.items():
            run()
            start = time.perf_counter()
            run()
            if turn:
                times[what].append((time.perf_counter() - start) * 1e3)
    return {what: statistics.median(ms) for what, ms in times.items()}


def table(rows: list[Row]) -> str:
    lines, section = [], None
    for row in rows:
        if row.section != section:
            section = row.section
            lines += ["", section, f"  {'':44} {'median ms':>10} {'ratio':>7}"]
        lines.append(f"  {row.what:44} {row.ms:10.2f} {row.ratio:7.2f}")
    return "\n".join([*lines[1:], ""])


def environment() -> dict:
    import jax

    found = {name: metadata.version(name) for name in ("jax", "jaxlib", "torch") if importlib.util.find_spec(name)}
    return {"versions": found, "device": jax.devices()[0].device_kind, "cores": len(os.sched_getaffinity(0))}


def layer_kinds() -> dict[str, Layers]:
    import jax.numpy as jnp
    from jax import lax

    from gan_jax.models.conv import convolve, convolve_transpose

    layout = ("NHWC", "HWIO", "NHWC")

    def space_to_depth(x):
        b, h, w, c = x.shape
        return x.reshape(b, h // 2, 2, w // 2, 2, c).transpose(0, 1, 3, 2, 4, 5).reshape(b, h // 2, w // 2, 4 * c)

    def depth_to_space(x):
        b, h, w, c = x.shape
        return x.reshape(b, h, w, 2, 2, c // 4).transpose(0, 1, 3, 2, 4, 5).reshape(b, 2 * h, 2 * w, c // 4)

    ours = Layers(lambda x, k: convolve(x, k, 2, 1), lambda x, k: convolve_transpose(x, k, 2, 1))
    return {
        "ours": ours,
        "stock lax": Layers(
            lambda x, k: lax.conv_general_dilated(x, k, (2, 2), [(1, 1)] * 2, dimension_numbers=layout),
            lambda x, k: lax.conv_transpose(x, k, (2, 2), "SAME", dimension_numbers=layout),
        ),
        "ours, G by nearest neighbour + 3x3": ours._replace(
            up=lambda x, k: convolve(jnp.repeat(jnp.repeat(x, 2, 1), 2, 2), k), up_shape=lambda a, b: (3, 3, a, b)
        ),
        "ours, 3x3 with depth-to-space and back": Layers(
            lambda x, k: convolve(space_to_depth(x), k),
            lambda x, k: depth_to_space(convolve(x, k)),
            lambda a, b: (3, 3, 4 * a, b),
            lambda a, b: (3, 3, a, 4 * b),
        ),
    }


def layer(width: int) -> dict[str, Callable]:
    import jax
    import jax.numpy as jnp

    x = jax.random.normal(jax.random.key(0), (BATCH, 14, 14, 2 * width))
    kernel = jax.random.normal(jax.random.key(1), (4, 4, 2 * width, width))
    kinds = layer_kinds()

    def case(up):
        gradient = jax.jit(jax.grad(lambda k: jnp.square(up(x, k)).mean()))
        return lambda: jax.block_until_ready(gradient(kernel))

    return {name: case(kinds[name].up) for name in ("ours", "stock lax")}


def gan_steps(width: int, wgan: bool) -> dict[str, Callable]:
    cases = {name: jax_gan(layers, (width, 2 * width, 4 * width), wgan) for name, layers in layer_kinds().items()}
    if importlib.util.find_spec("torch"):
        cases["PyTorch, eager"] = torch_gan((width, 2 * width, 4 * width), wgan)
    return cases


def jax_gan(layers: Layers, widths: tuple[int, ...], wgan: bool) -> Callable:
    """D: halvings with leaky ReLU, a linear head. G: a linear map, doublings with batch norm and ReLU, tanh. One step of each."""
    import jax
    import jax.numpy as jnp
    import optax

    sizes = list(zip((CHANNELS, *widths), widths, strict=False))
    small = SIZE >> len(widths)
    tx = optax.adam(2e-4, 0.5)

    def init(key):
        keys = iter(jax.random.split(key, 2 + 2 * len(widths)))

        def normal(*shape):
            return 0.02 * jax.random.normal(next(keys), shape)

        g = {"in": normal(Z_DIM, small * small * widths[-1]), "up": [normal(*layers.up_shape(b, a)) for a, b in sizes[::-1]]}
        g |= {"scale": [jnp.ones(b) for _, b in sizes[::-1]], "bias": [jnp.zeros(b) for _, b in sizes[::-1]]}
        d = {"down": [normal(*layers.down_shape(a, b)) for a, b in sizes], "out": normal(small * small * widths[-1], 1)}
        return g, d, tx.init(g), tx.init(d)

    def generate(g, z):
        x = (z @ g["in"]).reshape(-1, small, small, widths[-1])
        for kernel, scale, bias in zip(g["up"], g["scale"], g["bias"], strict=True):
            x = (x - x.mean((0, 1, 2))) * jax.lax.rsqrt(x.var((0, 1, 2)) + 1e-5) * scale + bias
            x = layers.up(jax.nn.relu(x), kernel)
        return jnp.tanh(x)

    def judge(d, x):
        for kernel in d["down"]:
            x = jax.nn.leaky_relu(layers.down(x, kernel), 0.2)
        return (x.reshape(x.shape[0], -1) @ d["out"])[:, 0]

    def d_loss(d, g, real, z, share):
        fake = jax.lax.stop_gradient(generate(g, z))
        if not wgan:
            return jax.nn.softplus(-judge(d, real)).mean() + jax.nn.softplus(judge(d, fake)).mean()
        gradient = jax.grad(lambda x: judge(d, x).sum())(share * real + (1 - share) * fake)
        penalty = jnp.square(jnp.sqrt(jnp.square(gradient).sum((1, 2, 3)) + 1e-12) - 1).mean()
        return judge(d, fake).mean() - judge(d, real).mean() + GAMMA * penalty

    def g_loss(g, d, z):
        logits = judge(d, generate(g, z))
        return -logits.mean() if wgan else jax.nn.softplus(-logits).mean()

    def step(state, real, key):
        g, d, g_opt, d_opt = state
        z, share = jax.random.normal(key, (2, BATCH, Z_DIM)), jax.random.uniform(key, (BATCH, 1, 1, 1))
        updates, d_opt = tx.update(jax.grad(d_loss)(d, g, real, z[0], share), d_opt)
        d = optax.apply_updates(d, updates)
        updates, g_opt = tx.update(jax.grad(g_loss)(g, d, z[1]), g_opt)
        return optax.apply_updates(g, updates), d, g_opt, d_opt

    step, key = jax.jit(step, donate_argnums=0), jax.random.key(1)
    state, real = jax.jit(init)(jax.random.key(0)), jax.random.normal(key, (BATCH, SIZE, SIZE, CHANNELS))

    def run():
        nonlocal state
        state = jax.block_until_ready(step(state, real, key))

    return run


def torch_gan(widths: tuple[int, ...], wgan: bool) -> Callable:
    """The step of `jax_gan`, in PyTorch."""
    import torch
    from torch import nn
    from torch.nn.functional import softplus

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    sizes, small = list(zip((CHANNELS, *widths), widths, strict=False)), SIZE >> len(widths)
    down = [m for a, b in sizes for m in (nn.Conv2d(a, b, 4, 2, 1, bias=False), nn.LeakyReLU(0.2))]
    d = nn.Sequential(*down, nn.Flatten(), nn.Linear(small * small * widths[-1], 1, bias=False))
    up = [m for a, b in sizes[::-1] for m in (nn.BatchNorm2d(b), nn.ReLU(), nn.ConvTranspose2d(b, a, 4, 2, 1, bias=False))]
    first = nn.Linear(Z_DIM, small * small * widths[-1], bias=False)
    g = nn.Sequential(first, nn.Unflatten(1, (widths[-1], small, small)), *up, nn.Tanh())
    g_adam, d_adam = (torch.optim.Adam(player.parameters(), 2e-4, (0.5, 0.999)) for player in (g, d))
    real = torch.randn(BATCH, CHANNELS, SIZE, SIZE)

    def run():
        fake = g(torch.randn(BATCH, Z_DIM)).detach()
        if wgan:
            share = torch.rand(BATCH, 1, 1, 1)
            between = (share * real + (1 - share) * fake).requires_grad_()
            (gradient,) = torch.autograd.grad(d(between).sum(), between, create_graph=True)
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

    x = jax.random.normal(jax.random.key(0), (64, 14, 14, 32))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 32, 64))

    def descent(f):
        def step(state):
            gradients = jax.grad(lambda x, k: jnp.square(f(x, k)).mean(), (0, 1))(*state)
            return jax.tree.map(lambda old, gradient: old - 0.1 * gradient, state, gradients)

        return step

    ours = descent(convolve)
    stock = descent(lambda x, k: lax.conv_general_dilated(x, k, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")))

    def sometimes(state):  # as a lazy penalty is: always, but the compiler cannot know
        return lax.cond(state[1].sum() < jnp.inf, ours, lambda state: state, state)

    def stock_sometimes(state):
        return lax.cond(state[1].sum() < jnp.inf, stock, lambda state: state, state)

    return {
        "ours, step by step": one_by_one(ours, (x, kernel), 4),
        "ours, scan": scanned(ours, (x, kernel), 4),
        "ours, step by step, inside cond": one_by_one(sometimes, (x, kernel), 4),
        "stock lax, step by step": one_by_one(stock, (x, kernel), 4),
        "stock lax, scan": scanned(stock, (x, kernel), 4),
        "stock lax, scan, fully unrolled": scanned(stock, (x, kernel), 4, unroll=4),
        "stock lax, step by step, inside cond": one_by_one(stock_sometimes, (x, kernel), 4),
    }


def mlp_loops() -> dict[str, Callable]:
    import jax
    import jax.numpy as jnp

    x, *weights = (
        jax.random.normal(key, (n, 128)) / 12 for key, n in zip(jax.random.split(jax.random.key(0), 3), (64, 128, 128))
    )

    def step(weights):
        gradients = jax.grad(lambda w: jnp.square(jax.nn.relu(x @ w[0]) @ w[1]).mean())(weights)
        return jax.tree.map(lambda old, gradient: old - 0.1 * gradient, weights, gradients)

    return {"step by step": one_by_one(step, weights, 100), "scan": scanned(step, weights, 100)}


def one_by_one(step: Callable, state: object, length: int) -> Callable:
    import jax

    step = jax.jit(step)

    def run():
        now = state
        for _ in range(length):
            now = step(now)
        jax.block_until_ready(now)

    return run


def scanned(step: Callable, state: object, length: int, unroll: int = 1) -> Callable:
    import jax

    loop = jax.jit(lambda state: jax.lax.scan(lambda now, _: (step(now), None), state, length=length, unroll=unroll)[0])
    return lambda: jax.block_until_ready(loop(state))


if __name__ == "__main__":
    command(main)
