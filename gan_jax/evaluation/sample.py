"""Samples of a generator for eyes and metrics: in evaluation mode, in batches of one compiled shape."""

import io
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.data.dataset import Data
from gan_jax.errors import InputError
from gan_jax.evaluation.latents import spherical
from gan_jax.game.game import Game
from gan_jax.game.state import apply, init_state
from gan_jax.metrics.batched import in_blocks
from gan_jax.runs.run_dir import load_run, posthoc_average
from gan_jax.storage.files import write_atomically
from gan_jax.types import Array, Batch

BATCH = 500  # samples a call: every count is made of calls of one shape, so that one program serves all
LARGE = 1 << 21  # numbers of all samples of a call

# (generator variables, z [N, Z], labels [N, ...] or None) -> samples [N, ...]
Sampler = Callable[[Any, np.ndarray, np.ndarray | None], np.ndarray]


def sampler(game: Game) -> Sampler:
    """The function from a generator's variables, latents and labels to samples on the host. Running statistics, not the
    batch's: a sample does not depend on its neighbours."""
    return in_batches(game, lambda variables, z, label: apply(game.generator, variables, z, label, train=False)[0])


def in_batches(game: Game, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function(variables, z [N, Z], labels [N, ...] or None, ...)` for any number of rows, of large samples a few at a time.
    What it returns is on the host."""
    return in_blocks(jax.jit(function), _rows(game))


def _rows(game: Game) -> int:
    largest = max(math.prod(shape) for shape in jax.tree.leaves(game.sample_shape, is_leaf=lambda x: type(x) is tuple))
    return max(1, min(BATCH, LARGE // largest))


def standing_statistics(game: Game, data: Data, variables: Any, batches: int) -> Any:
    """A generator's variables with the statistics of its batch norms taken anew, the mean over `batches` batches of means and
    variances. Running ones are of weights as they were before they were averaged.

    Raises InputError for a generator without batch norm. Source: Brock et al. 2019 (BigGAN), arXiv:1809.11096."""
    if "batch_stats" not in variables:
        raise InputError("--standing_statistics: this generator has no batch norm")
    if batches < 1:
        raise InputError(f"--standing_statistics must be at least 1, got {batches}")

    @jax.jit
    def of_batch(z: Array, label: Array | None) -> Any:
        def after(start: float) -> Any:
            begin = variables | {"batch_stats": jax.tree.map(lambda x: jnp.full_like(x, start), variables["batch_stats"])}
            return apply(game.generator, begin, z, label, train=True)[1]["batch_stats"]

        # What becomes of a running 0 and 1 tells the batch's own, whatever the momentum.
        return jax.tree.map(lambda zero, one: zero / (1 - one + zero), after(0.0), after(1.0))

    key, rows = jax.random.key(0), _rows(game)
    z, label = latents(game, key, batches * rows), labels(game, data, jax.random.fold_in(key, 1), batches * rows)
    found = [of_batch(z[i : i + rows], None if label is None else label[i : i + rows]) for i in range(0, batches * rows, rows)]
    return variables | {"batch_stats": jax.tree.map(lambda *of: sum(of) / batches, *found)}


def latents(game: Game, key: Array, count: int) -> np.ndarray:
    """`count` latents z ~ N(0, 1), [count, Z]; the first ones are the same whatever the count."""
    blocks = range(math.ceil(count / BATCH))
    z = [jax.random.normal(jax.random.fold_in(key, block), (BATCH, game.z_dim)) for block in blocks]
    return np.concatenate(z)[:count]


def labels(game: Game, data: Data, key: Array, count: int) -> np.ndarray | None:
    """`count` labels as training has them: those of real samples that G is judged with, row after row, or latent codes; None
    where there are none. The first ones are the same whatever the count."""
    if game.label is None:
        return None
    if game.real_labelled:
        return data.asked[np.arange(count) % len(data.asked)]
    batch = Batch(np.zeros((BATCH, 1), np.float32), None)
    blocks = [game.fake_label(jax.random.fold_in(key, block), batch) for block in range(math.ceil(count / BATCH))]
    return np.concatenate(blocks)[:count]


def shown_labels(game: Game, data: Data, key: Array, count: int) -> np.ndarray | None:
    """Labels for a picture of `count` samples: classes in columns, where there are classes; else as training has them."""
    if game.label is not None and game.label.shape == ():
        return (np.arange(count) % game.generator.num_classes).astype(np.int32)
    return labels(game, data, key, count)


def conditional(game: Game) -> bool:
    """Whether the generator makes any use of labels."""
    if game.label is None:
        return False
    state = jax.eval_shape(lambda: init_state(game, jax.random.key(0)))
    z, label = jnp.zeros((2, game.z_dim)), jnp.zeros((2, *game.label.shape), game.label.dtype)
    traced = jax.make_jaxpr(lambda ema, z, label: apply(game.generator, ema, z, label, train=False)[0])(state.ema, z, label)
    used = {id(variable) for equation in traced.jaxpr.eqns for variable in equation.invars}
    return id(traced.jaxpr.invars[-1]) in used


def chosen_label(game: Game, data: Data, text: str, count: int) -> np.ndarray:
    """`count` times the label that `text` says: a class by name or number, or a vector as numbers between commas.

    Raises InputError for what the generator does not know, or where it knows no labels."""
    if not conditional(game):
        raise InputError("--label: this generator is not conditional; train one with --g_condition")
    classes, names = game.generator.num_classes, data.classes if game.real_labelled else ()
    try:
        if game.label.shape == ():
            label = np.array(names.index(text) if text in names else int(text), np.int32)
            allowed = 0 <= label < classes
        else:
            label = np.array([float(part) for part in text.split(",")]).astype(game.label.dtype)
            allowed = label.shape == game.label.shape and np.isfinite(label).all()
    except ValueError:
        allowed = False
    if not allowed:
        called = f", or of {', '.join(names)}" if names else ""
        words = f"a class from 0 to {classes - 1}{called}" if game.label.shape == () else f"{classes} numbers between commas"
        raise InputError(f"--label must be {words}, got {text}")
    return np.broadcast_to(label, (count, *label.shape))


def interpolation(z: np.ndarray, count: int) -> np.ndarray:
    """`count` latents in a square, row after row: each row leads in equal steps along an arc from z[2i] to z[2i + 1]."""
    side = math.isqrt(count)
    path = spherical(z[: 2 * side : 2, None], z[1 : 2 * side : 2, None], jnp.linspace(0, 1, side)[None, :, None])
    return np.asarray(path.reshape(-1, z.shape[-1]))


def interpolation_labels(game: Game, data: Data, key: Array, count: int) -> np.ndarray | None:
    """Labels for `interpolation`: one for each row, so that only z moves."""
    side = math.isqrt(count)
    shown = shown_labels(game, data, key, side)
    return None if shown is None else np.repeat(shown, side, axis=0)


def sample_run(
    run: Path,
    count: int,
    seed: int,
    out: Path,
    data_dir: str | None = None,
    label: str | None = None,
    ema: float | None = None,
    standing: int | None = None,
) -> list[Path]:
    """Writes a grid, an interpolation and an .npz of `count` samples of a run's averaged generator into the directory `out`;
    returns the files' paths. A conditional generator's grid has a class a column; `label` chooses one for all. `ema` makes the
    average of that relative width from the run's power-function averages; `standing` is how many batches its
    `standing_statistics` are of.

    Raises InputError where there is no such run, or no such label or average, or nothing can be written."""
    if count < 1:
        raise InputError(f"--samples must be at least 1, got {count}")
    _, data, game, state = load_run(run, lambda text: print(text, file=sys.stderr), data_dir)
    variables = state.ema if ema is None else posthoc_average(run, state, ema)
    if standing is not None:
        variables = standing_statistics(game, data, variables, standing)
    key, label_key, sample = jax.random.key(seed), jax.random.key(seed + 1), sampler(game)
    z = latents(game, key, max(count, 2 * data.shown))
    if label is None:
        label_of = [f(game, data, label_key, n) for f, n in ((labels, len(z)), (shown_labels, data.shown))]
        label_of.append(interpolation_labels(game, data, label_key, data.shown))
    else:
        label_of = [chosen_label(game, data, label, n) for n in (len(z), data.shown, math.isqrt(data.shown) ** 2)]
    samples = sample(variables, z[:count], None if label_of[0] is None else label_of[0][:count])
    suffix = f"seed{seed}" + ("" if label is None else f"-label{label}") + ("" if ema is None else f"-ema{ema:g}")
    suffix += "" if standing is None else f"-standing{standing}"
    pictures = {"grid": (z[: data.shown], label_of[1]), "interpolation": (interpolation(z, data.shown), label_of[2])}
    files = {}
    for name, (latent, of) in pictures.items():
        files |= {f"{name}-{suffix}{kind}": content for kind, content in data.show(sample(variables, latent, of)).items()}
    archive = io.BytesIO()
    told = {"label": label_of[0][:count]} if conditional(game) else {}
    np.savez_compressed(archive, **data.pack(samples), z=z[:count], **told)
    files[f"samples-{suffix}.npz"] = archive.getvalue()
    return write_files(out, files)


def write_files(out: Path, files: dict[str, bytes]) -> list[Path]:
    """Writes files by name into the directory `out`; returns their paths. Raises InputError where that cannot be."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_atomically(out / name, content)
    except OSError as error:
        raise InputError(f"cannot write in {out}: {error.strerror}; choose another --out") from error
    return [out / name for name in files]
