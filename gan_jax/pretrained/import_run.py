"""Import pretrained generators, published by others, as run directories for sample.py, evaluate.py and train.py --fork_from.

Weights are read as named tensors from an .npz, .safetensors or PyTorch file, without executing anything in it. Every tensor
must be used and every variable filled, or nothing is written. Two kinds are supported, recognised by their tensors' names:

BigGAN-deep of the package pytorch-pretrained-biggan: its pytorch_model.bin unchanged (see `biggan_deep.py`).

StyleGAN2 of the repositories stylegan2-ada-pytorch and stylegan3 (see `stylegan2.py`). Their .pkl files are pickles, which
can execute arbitrary code. To extract the tensors, run this in a checkout of such a repository, in a sandbox (G_ema alone
suffices):

    python -c "import pickle, numpy
    networks = pickle.load(open('network.pkl', 'rb'))
    tensors = {f'{p}.{k}': v.cpu().numpy() for p in ('G_ema', 'D') for k, v in networks[p].state_dict().items()}
    numpy.savez('network.npz', **tensors)"
"""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.config import Config
from gan_jax.data.load import load
from gan_jax.errors import InputError, reading
from gan_jax.game.build import build
from gan_jax.game.game import Game
from gan_jax.game.state import Player, TrainState, count_parameters, init_state
from gan_jax.pretrained.biggan_deep import biggan_deep
from gan_jax.pretrained.stylegan2 import stylegan2
from gan_jax.pretrained.tensors import Tensors
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.run_dir import RunDir
from gan_jax.storage.tensor_files import load_tensors
from gan_jax.storage.weights import sha256


def import_run(file: Path, run_dir: Path, data: str | None = None, truncation: float = 1.0, data_dir: str | None = None) -> str:
    """Create a run directory, at step 0, from the weights in `file`; return a description of them. `data` names the data that
    samples can be evaluated against; without it, they can only be viewed. `truncation` applies to BigGAN-deep: it scales z and
    selects the running statistics of batch norm. If the file has no discriminator, D is newly initialised.

    Raises InputError if the file does not hold exactly one supported network, or if `run_dir` exists."""
    tensors = Tensors(load_tensors(file))
    try:
        with reading("has tensors that"):  # of any shapes
            network, fields = _fill_variables(tensors, truncation)
        config = Config(name=re.sub(r"[^\w.-]", "-", file.stem), steps=1, **fields)
        config = config if data is None else replace(config, data=data)
        if run_dir.exists():
            raise InputError(f"is not imported: {run_dir} already exists; choose another --run_dir")
        dataset = load(config.data, config.seed, config.batch, data_dir)
        game = build(config, dataset)
        state = _initial_state(game, tensors)
    except InputError as error:
        raise InputError(f"{file} {error}") from error
    run, parameters = RunDir(run_dir, config, dataset), count_parameters(game)
    try:
        origin = {"file": str(file), "sha256": sha256(file), "what": network}
        run.note(parameters=parameters, imported=origin, status=f"imported: {network}")
        with Checkpoints(run_dir) as checkpoints:
            checkpoints.save(state, state)
            checkpoints.wait()
    finally:
        run.close()
    return f"{network}, {parameters['g']:,} parameters of G, images {list(dataset.sample_shape)}, data {config.data}"


def _fill_variables(tensors: Tensors, truncation: float) -> tuple[str, dict[str, Any]]:
    """Fill the variables of the network; return (its name, the fields of its Config)."""
    if tensors.names("generator.gen_z."):
        network, fields = "BigGAN-deep", biggan_deep(tensors, truncation)
    elif tensors.names("", "mapping.fc0.weight"):
        network, fields = "StyleGAN2", stylegan2(tensors)
    else:
        raise InputError(f"is neither StyleGAN2 nor BigGAN-deep: its tensors are {', '.join(list(tensors.unused)[:3])}, ...")
    if tensors.unused:
        name, more = next(iter(tensors.unused)), f" and {len(tensors.unused) - 1} more" if len(tensors.unused) > 1 else ""
        raise InputError(f"has tensors that {network} does not use: {name}{more}")
    return network, fields


def _initial_state(game: Game, tensors: Tensors) -> TrainState:
    """Return the state before the first step, with the imported variables in place of newly initialised ones."""
    imported: dict[str, Any] = {}
    abstract = jax.eval_shape(lambda: init_state(game, jax.random.key(0)))
    for name, player in (("g", abstract.g), ("d", abstract.d)):
        imported[name] = tensors.variables(name, {"params": player.params, **player.stats})

    def with_variables(fresh: Player, variables: Any) -> Player:
        return fresh.replace(params=variables["params"], stats={k: v for k, v in variables.items() if k != "params"})

    @jax.jit  # so that XLA omits the initial values that are replaced
    def initialise_rest() -> tuple[Any, ...]:
        fresh = init_state(game, jax.random.key(0))
        d = fresh.d if imported["d"] is None else fresh.d.replace(params=None, stats=None)
        return fresh.replace(g=fresh.g.replace(params=None, stats=None), d=d, ema=None, posthoc=())

    fresh = jax.device_get(initialise_rest())
    d = fresh.d if imported["d"] is None else with_variables(fresh.d, imported["d"])
    return fresh.replace(g=with_variables(fresh.g, imported["g"]), d=d, ema=jax.tree.map(np.copy, imported["g"]))
