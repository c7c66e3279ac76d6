"""Pretrained: generators that others trained become run directories, for sample.py, evaluate.py and train.py --fork_from.

Weights come as tensors by name, in an .npz, .safetensors or PyTorch file, of which nothing is run. Every tensor must be used
and every parameter filled, or nothing is written. Two kinds are known, by their tensors' names:

BigGAN-deep of the package pytorch-pretrained-biggan: its pytorch_model.bin as it is (`port_biggan_deep.py`).

StyleGAN2 of the repositories stylegan2-ada-pytorch and stylegan3 (`port_stylegan2.py`). Their .pkl files are programs, which
may do anything. In a checkout of theirs, in a sandbox of your choice, this makes tensors of one (G_ema alone will do as well):

    python -c "import pickle, numpy
    found = pickle.load(open('network.pkl', 'rb'))
    tensors = {f'{p}.{k}': v.cpu().numpy() for p in ('G_ema', 'D') for k, v in found[p].state_dict().items()}
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
from gan_jax.errors import InputError
from gan_jax.game.build import build
from gan_jax.game.game import Game
from gan_jax.game.state import Player, TrainState, count_parameters, init_state
from gan_jax.pretrained.biggan_deep import biggan_deep
from gan_jax.pretrained.stylegan2 import stylegan2
from gan_jax.pretrained.tensors import Tensors
from gan_jax.runs.checkpoint import Checkpoints
from gan_jax.runs.run_dir import RunDir
from gan_jax.storage.weights import load_tensors, sha256


def import_run(file: Path, run_dir: Path, data: str | None = None, truncation: float = 1.0, data_dir: str | None = None) -> str:
    """Makes a run directory, at step 0, of the weights in `file`; says what they are. Its samples can be measured on `data`,
    if these are named, else only looked at. `truncation` is for BigGAN-deep, whose statistics depend on it: its z is as many
    times smaller. A discriminator that is not in the file is as at the beginning of a training.

    Raises InputError where the file holds no network that is known, or not all of one, or more; or there is a run already."""
    tensors = Tensors(load_tensors(file))
    try:
        what, fields = _read(tensors, truncation)
        config = Config(name=re.sub(r"[^\w.-]", "-", file.stem), steps=1, **fields)
        config = config if data is None else replace(config, data=data)
        if run_dir.exists():
            raise InputError(f"is not imported: there is a {run_dir} already; choose another --run_dir")
        source = load(config.data, config.seed, config.batch, data_dir)
        game = build(config, source)
        state = _state(game, tensors)
    except InputError as error:
        raise InputError(f"{file} {error}") from error
    run, parameters = RunDir(run_dir, config, source), count_parameters(game)
    try:
        told = {"file": str(file), "sha256": sha256(file), "what": what}
        run.note(parameters=parameters, imported=told, status=f"imported: {what}")
        with Checkpoints(run_dir) as checkpoints:
            checkpoints.save(state, state)
            checkpoints.wait()
    finally:
        run.close()
    return f"{what}, {parameters['g']:,} parameters of G, images {list(source.sample_shape)}, data {config.data}"


def _read(tensors: Tensors, truncation: float) -> tuple[str, dict[str, Any]]:
    """-> (what it is, the fields of its Config), the tensors being filled in."""
    if tensors.names("generator.gen_z."):
        what, fields = "BigGAN-deep", biggan_deep(tensors, truncation)
    elif tensors.names("", "mapping.fc0.weight"):
        what, fields = "StyleGAN2", stylegan2(tensors)
    else:
        raise InputError(f"is neither StyleGAN2 nor BigGAN-deep: its tensors are {', '.join(list(tensors.left)[:3])}, ...")
    if tensors.left:
        name, more = next(iter(tensors.left)), f" and {len(tensors.left) - 1} more" if len(tensors.left) > 1 else ""
        raise InputError(f"has {name}{more}, for which {what} has no use")
    return what, fields


def _state(game: Game, tensors: Tensors) -> TrainState:
    """The state before the first step, with what was found in place of what is drawn."""
    found: dict[str, Any] = {}
    abstract = jax.eval_shape(lambda: init_state(game, jax.random.key(0)))
    for name, player in (("g", abstract.g), ("d", abstract.d)):
        found[name] = tensors.variables(name, {"params": player.params, **player.stats})

    def player(fresh: Player, variables: Any) -> Player:
        return fresh.replace(params=variables["params"], stats={k: v for k, v in variables.items() if k != "params"})

    @jax.jit  # so that nothing is drawn only to be replaced
    def rest() -> tuple[Any, ...]:
        fresh = init_state(game, jax.random.key(0))
        d = fresh.d if found["d"] is None else fresh.d.replace(params=None, stats=None)
        return fresh.replace(g=fresh.g.replace(params=None, stats=None), d=d, ema=None, posthoc=())

    fresh = jax.device_get(rest())
    d = fresh.d if found["d"] is None else player(fresh.d, found["d"])
    return fresh.replace(g=player(fresh.g, found["g"]), d=d, ema=jax.tree.map(np.copy, found["g"]))
