"""Samples of a generator, to look at and to measure: in evaluation mode, in batches of one compiled shape."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.data.dataset import Data
from gan_jax.data.description import DataDescription
from gan_jax.errors import InputError
from gan_jax.evaluation.latents import slerp
from gan_jax.game.game import Game
from gan_jax.game.state import apply, init_state
from gan_jax.imaging.grid import grid_columns
from gan_jax.metrics.batched import in_batches
from gan_jax.storage.memory import check_memory
from gan_jax.types import Array, Batch

BATCH = 500  # samples per call: all calls have the same shape, so that one compiled program serves any count
MAX_NUMBERS = 1 << 21  # numbers in all samples of a call
SAMPLING = 1 << 31  # separates the keys of `sample_keys` from those that training splits from the same seed, and
REFINEMENT, PATHS = SAMPLING + 1, SAMPLING + 2  # from those of `sampler_key` and `path_key`

Described = Data | DataDescription
# (generator variables, z [N, Z], labels [N, ...] or None) -> samples [N, ...]
Sampler = Callable[[Any, np.ndarray, np.ndarray | None], np.ndarray]


def sample_keys(seed: int) -> tuple[Array, Array, Array]:
    """Return the keys of a seed: (latents, labels, standing statistics).

    All commands that sample a trained run use these, so that equal seeds mean equal latents and labels."""
    z_key, label_key, statistics_key = jax.random.split(jax.random.fold_in(jax.random.key(seed), SAMPLING), 3)
    return z_key, label_key, statistics_key


def sampler_key(seed: int) -> Array:
    """Return the key of a seed for the functions of `samplers.py`."""
    return jax.random.fold_in(jax.random.key(seed), REFINEMENT)


def path_key(seed: int) -> Array:
    """Return the key of a seed for `path_length.py`."""
    return jax.random.fold_in(jax.random.key(seed), PATHS)


def sampler(game: Game) -> Sampler:
    """Return the function from a generator's variables, latents and labels to samples on the host. Normalisation uses running
    statistics, not the batch's: a sample does not depend on the others in its batch."""
    return compile_batched(game, lambda variables, z, label: apply(game.generator, variables, z, label, train=False)[0])


def compile_batched(game: Game, function: Callable[..., Any]) -> Callable[..., Any]:
    """Return `function(variables, z [N, Z], labels [N, ...] or None, ...)` compiled and applied in batches to any number of
    rows, in smaller batches if samples are large. Results are on the host."""
    return in_batches(jax.jit(function), _batch_size(game))


def _batch_size(game: Game) -> int:
    largest = max(math.prod(shape) for shape in jax.tree.leaves(game.sample_shape, is_leaf=lambda x: type(x) is tuple))
    return max(1, min(BATCH, MAX_NUMBERS // largest))


def standing_statistics(game: Game, data: Described, variables: Any, batches: int, key: Array) -> Any:
    """Return a generator's variables with new batch norm statistics: means and variances averaged over `batches` batches of
    samples. Running statistics lag behind: they were collected before the weights were averaged.

    Raises InputError for a generator without batch norm. Source: Brock et al. 2019 (BigGAN), arXiv:1809.11096."""
    if "batch_stats" not in variables:
        raise InputError("--standing_statistics: this generator has no batch norm")
    if batches < 1:
        raise InputError(f"--standing_statistics must be at least 1, got {batches}")

    @jax.jit
    def batch_statistics(z: Array, label: Array | None) -> Any:
        def updated_from(value: float) -> Any:
            initial = variables | {"batch_stats": jax.tree.map(lambda x: jnp.full_like(x, value), variables["batch_stats"])}
            return apply(game.generator, initial, z, label, train=True)[1]["batch_stats"]

        # The updates of 0 and of 1, (1 - m) s and m + (1 - m) s, give the batch's statistics s for any momentum m.
        return jax.tree.map(lambda zero, one: zero / (1 - one + zero), updated_from(0.0), updated_from(1.0))

    z_key, label_key = jax.random.split(key)
    rows = _batch_size(game)
    z, label = latents(game, z_key, batches * rows), labels(game, data, label_key, batches * rows)
    statistics = [
        batch_statistics(z[start : start + rows], None if label is None else label[start : start + rows])
        for start in range(0, batches * rows, rows)
    ]
    return variables | {"batch_stats": jax.tree.map(lambda *values: sum(values) / batches, *statistics)}


def check_samples(game: Game, count: int) -> None:
    """Raise InputError if `count` samples do not fit in the memory."""
    numbers = sum(math.prod(shape) for shape in jax.tree.leaves(game.sample_shape, is_leaf=lambda x: type(x) is tuple))
    check_memory(f"{count:,} samples", 4 * count * (numbers + game.z_dim), "set --samples to fewer")


def latents(game: Game, key: Array, count: int) -> np.ndarray:
    """Return `count` latents z, [count, Z], as in training. A larger count only appends to a smaller one."""
    blocks = range(math.ceil(count / BATCH))
    z = [game.draw_latents(jax.random.fold_in(key, block), BATCH) for block in blocks]
    return np.concatenate(z)[:count]


def labels(game: Game, data: Described, key: Array, count: int) -> np.ndarray | None:
    """Return `count` labels as in training: those of real samples, row after row, or latent codes; None if the game has no
    labels. A larger count only appends to a smaller one."""
    if game.label is None:
        return None
    if game.real_labelled:
        return data.eval_labels[np.arange(count) % len(data.eval_labels)]
    batch = Batch(np.zeros((BATCH, 1), np.float32), None)
    blocks = [game.fake_label(jax.random.fold_in(key, block), batch) for block in range(math.ceil(count / BATCH))]
    return np.concatenate(blocks)[:count]


def grid_labels(game: Game, data: Described, key: Array, count: int) -> np.ndarray | None:
    """Return labels for `count` rows or samples to look at: the classes in order if labels are classes, otherwise as in
    training."""
    if game.label is not None and game.label.shape == ():
        return (np.arange(count) % game.generator.num_classes).astype(np.int32)
    return labels(game, data, key, count)


def column_labels(game: Game, data: Described, key: Array, count: int) -> np.ndarray | None:
    """Return labels for a grid of `count` samples: those of `grid_labels`, but one class per column if there are at most as
    many classes as columns."""
    columns = grid_columns(count)
    label = grid_labels(game, data, key, count)
    by_column = game.label is not None and game.label.shape == () and game.generator.num_classes <= columns
    return label[np.arange(count) % columns] if by_column else label


def class_names(game: Game, data: Described) -> tuple[str, ...]:
    """Return the names of the classes that the generator is passed; () if it is passed none."""
    if game.label is None or game.label.shape != () or not conditional(game):
        return ()
    count = game.generator.num_classes
    if not game.real_labelled:
        return tuple(f"code {i}" for i in range(count))
    return data.classes if len(data.classes) == count else tuple(map(str, range(count)))


def rows_of_classes(labels: np.ndarray, wanted: np.ndarray) -> np.ndarray | None:
    """Return for each class in `wanted` [N] the number of a row of `labels` with this class, another one each time while they
    last; None if a class has no row."""
    rows = {int(label): np.flatnonzero(labels == label) for label in np.unique(wanted)}
    if not all(map(len, rows.values())):
        return None
    used = dict.fromkeys(rows, 0)
    chosen = np.zeros(len(wanted), np.int64)
    for i, label in enumerate(wanted.tolist()):
        chosen[i] = rows[label][used[label] % len(rows[label])]
        used[label] += 1
    return chosen


def conditional(game: Game) -> bool:
    """Whether the generator uses its labels."""
    if game.label is None:
        return False
    state = jax.eval_shape(lambda: init_state(game, jax.random.key(0)))
    z, label = jnp.zeros((2, game.z_dim)), jnp.zeros((2, *game.label.shape), game.label.dtype)
    traced = jax.make_jaxpr(lambda ema, z, label: apply(game.generator, ema, z, label, train=False)[0])(state.ema, z, label)
    used = {id(variable) for equation in traced.jaxpr.eqns for variable in equation.invars}
    return id(traced.jaxpr.invars[-1]) in used


def chosen_label(game: Game, data: Described, text: str, count: int) -> np.ndarray:
    """Return the label in `text` repeated `count` times: a class by name or number, a vector as comma-separated numbers, or
    what the data's own conditions request.

    Raises InputError for an unknown label, or if the generator is not conditional."""
    if data.condition is not None:
        label, _, by_label = data.condition(text)
        if not by_label or not conditional(game):
            raise InputError(f"--label {text}: here it must be one that the generator was trained on, as in COLUMN=LEVEL")
        return np.broadcast_to(label, (count, *label.shape))
    if not conditional(game):
        raise InputError("--label: this generator is not conditional; train one with --g_condition")
    classes, names = game.generator.num_classes, data.classes if game.real_labelled else ()
    try:
        if game.label.shape == ():
            label = np.array(names.index(text) if text in names else int(text), np.int32)
            valid = 0 <= label < classes
        else:
            label = np.array([float(part) for part in text.split(",")]).astype(game.label.dtype)
            valid = label.shape == game.label.shape and np.isfinite(label).all()
    except ValueError:
        valid = False
    if not valid:
        by_name = f", or one of {', '.join(names)}" if names else ""
        expected = (
            f"a class from 0 to {classes - 1}{by_name}" if game.label.shape == () else f"{classes} comma-separated numbers"
        )
        raise InputError(f"--label must be {expected}, got {text}")
    return np.broadcast_to(label, (count, *label.shape))


def interpolation(z: np.ndarray, count: int) -> np.ndarray:
    """Return the latents of a square grid of `count` samples. Row i goes in equal steps on an arc from z[2i] to z[2i + 1]."""
    size = math.isqrt(count)
    path = slerp(z[: 2 * size : 2, None], z[1 : 2 * size : 2, None], jnp.linspace(0, 1, size)[None, :, None])
    return np.asarray(path.reshape(-1, z.shape[-1]))


def interpolation_labels(game: Game, data: Described, key: Array, count: int) -> np.ndarray | None:
    """Return labels for `interpolation`: one per row, so that only z changes along it."""
    size = math.isqrt(count)
    label = grid_labels(game, data, key, size)
    return None if label is None else np.repeat(label, size, axis=0)
