"""Export a trained generator: a folder with its weights, a compiled form that runs without this package, and a model card.

config.json  description.npz  generator.safetensors  generator.jax_export  README.md

`generator.jax_export` is a function (weights, z, label) -> samples, serialised by `jax.export` for CPU, CUDA and TPU; its
weights are the tensors of `generator.safetensors` by name. `load_export` reads the folder again, with equal bits."""

import sys
import warnings
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gan_jax.config import Config, config_json, load_config
from gan_jax.data.description import FILE as DESCRIPTION
from gan_jax.data.description import bytes_of, load_description
from gan_jax.errors import InputError
from gan_jax.evaluation.generator import LoadedGenerator
from gan_jax.evaluation.load import Choice, load_generator
from gan_jax.evaluation.model_card import model_card
from gan_jax.evaluation.sample import conditional
from gan_jax.game.build import assemble
from gan_jax.game.preflight import check_networks
from gan_jax.game.state import apply, init_state, named
from gan_jax.runs.trust import check_code
from gan_jax.storage.files import write_atomically
from gan_jax.storage.tensor_files import load_tensors
from gan_jax.types import Array

WEIGHTS, PROGRAM, CARD = "generator.safetensors", "generator.jax_export", "README.md"
PLATFORMS = ("cpu", "cuda", "tpu")
FIXED_BATCH = 16  # rows of a program whose number of rows cannot be left open
# Fields of Config that name what a generator consists of; all other names are of parts that only training needs.
SAMPLED = ("model", "latent")


def export(
    run_dir: str | Path,
    directory: str | Path,
    *,
    step: int | None = None,
    generator: str = "average",
    ema: float | None = None,
    seed: int | None = None,
    sweep: dict[str, float] | None = None,
    data_dir: str | None = None,
    trust: bool = False,
) -> Path:
    """Write the generator of a run to a new folder; return the folder. The options are those of `gan_jax.load`.

    Raises InputError if there is no such generator, or if the folder cannot be written or is not empty."""
    run_dir, directory = Path(run_dir).expanduser(), Path(directory).expanduser()
    if directory.exists() and not (directory.is_dir() and not any(directory.iterdir())):
        raise InputError(f"{directory} is not empty: export to a new folder")
    to_bytes = _safetensors()
    choice = Choice(step, generator, ema, seed, sweep)
    exported_step, loaded = load_generator(run_dir, choice, lambda text: print(text, file=sys.stderr), trust, data_dir)
    program, rows = serialise(loaded)
    weights = named(loaded.variables)
    files = {
        "config.json": config_json(loaded.config).encode(),
        DESCRIPTION: bytes_of(loaded.data),
        WEIGHTS: to_bytes({name: np.ascontiguousarray(x) for name, x in weights.items()}),
        PROGRAM: program,
        CARD: model_card(loaded, run_dir, exported_step, choice, rows, weights).encode(),
    }
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            write_atomically(directory / name, content)
    except OSError as error:
        raise InputError(f"cannot write in {directory}: {error.strerror}; choose another folder") from error
    return directory


def is_export(path: Path) -> bool:
    """Whether a folder holds an exported generator."""
    return (path / WEIGHTS).is_file() and not (path / "checkpoints").exists()


def load_export(path: Path, trusted: bool = False) -> LoadedGenerator:
    """Load an exported generator. Raises InputError if a file is missing, damaged or of another generator, or if
    `trust.check_code` refuses its code."""
    for name in ("config.json", DESCRIPTION):
        if not (path / name).is_file():
            raise InputError(f"{path} is not an exported generator: it has no {name}")
    config = load_config(path / "config.json")
    defaults = {field.name: field.default for field in fields(Config)}
    names = Config.with_property("calls").keys() - set(SAMPLED)
    reduced = replace(config, **{name: defaults[name] for name in names}, stop=None)
    if not trusted:
        check_code(reduced, path / "config.json")
    data = load_description(path / DESCRIPTION)
    game = assemble(reduced, data)
    check_networks(reduced, game)
    abstract = jax.eval_shape(lambda: init_state(game, jax.random.key(0)).ema)
    tensors = load_tensors(path / WEIGHTS)
    expected = {name: (x.shape, x.dtype) for name, x in named(abstract).items()}
    found = {name: (x.shape, x.dtype) for name, x in tensors.items()}
    if different := sorted(name for name in expected | found if expected.get(name) != found.get(name)):
        name = different[0]
        before, now = (f"{x[name][1]}{list(x[name][0])}" if name in x else "absent" for x in (found, expected))
        raise InputError(f"{path / WEIGHTS} does not fit {config.model}: {name} is {before}, must be {now}")
    variables = jax.tree.unflatten(jax.tree.structure(abstract), [tensors[name] for name in expected])
    keys = jax.random.split(jax.random.key(0))
    return LoadedGenerator(config, data, game, variables, None, *keys)


def serialise(loaded: LoadedGenerator) -> tuple[bytes, int | None]:
    """Return the generator as a program of `jax.export`, (weights by name, z [B, Z], label [B, ...]) -> samples, and its number
    of rows B, None if it accepts any. There is no label unless the generator uses it. Parts of samples are dictionaries."""
    from jax import export as jax_export

    game, structure = loaded.game, jax.tree.structure(loaded.variables)
    weights = {name: jax.ShapeDtypeStruct(x.shape, x.dtype) for name, x in named(loaded.variables).items()}
    names = list(weights)

    def generate(weights: dict[str, Array], z: Array, label: Array | None = None) -> Any:
        variables = jax.tree.unflatten(structure, [weights[name] for name in names])
        if label is None and game.label is not None:  # unused
            label = jnp.zeros((z.shape[0], *game.label.shape), game.label.dtype)
        samples = apply(game.generator, variables, z, label, train=False)[0]
        return samples._asdict() if hasattr(samples, "_asdict") else samples

    def program(rows: Any) -> bytes:
        inputs = [jax.ShapeDtypeStruct((rows, game.z_dim), np.float32)]
        if conditional(game):
            inputs.append(jax.ShapeDtypeStruct((rows, *game.label.shape), game.label.dtype))
        return bytes(jax_export.export(jax.jit(generate), platforms=PLATFORMS)(weights, *inputs).serialize())

    try:
        return program(jax_export.symbolic_shape("batch")[0]), None
    except Exception as error:  # each network fails in its own way
        warnings.warn(f"the exported program takes {FIXED_BATCH} rows: {str(error).strip().splitlines()[0]}", stacklevel=3)
        return program(FIXED_BATCH), FIXED_BATCH


def _safetensors() -> Callable[[dict[str, np.ndarray]], bytes]:
    try:
        import flatbuffers  # noqa: F401 - of jax.export
        from safetensors.numpy import save
    except ImportError as error:
        raise InputError(f"exports need two packages: pip install 'gan_jax[export]' ({error})") from error
    return save
