"""A network that predicts a property of molecules, as a differentiable reward for the generator (`g_penalties.py`).

RDKit's scores have no gradient; the network's predictions do. It is trained once, before the game, and cached.

Measured on QM9, two shared CPU cores, jax 0.10.2: 40 s for the network, whose QED has a correlation with RDKit's of .91 for
held-out molecules and .98 for corrupted ones. Its effect on a trained MolGAN: experiments/molecules/qm9_qed.py. If g_gamma
is 20 from the start, G collapses: only three of a thousand valid samples are unique.
"""

import hashlib
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from gan_jax.data.dataset import Data
from gan_jax.data.molecules.graphs import BONDS, one_hot
from gan_jax.models.molgan import Discriminator
from gan_jax.storage.cache import cache_path, cached
from gan_jax.types import Array, Graph

# The property values that map to rewards 0 and 1: linear in between, clipped outside. Those of logP and SA are the constants in
# the code of ORGAN and MolGAN.
SCALES = {"valid": (0.0, 1.0), "qed": (0.0, 1.0), "logp": (-2.12178879609, 6.0429063424), "sa": (5.0, 1.5)}
MAX_MOLECULES = 20_000  # real molecules; the same number of corrupted ones is added
MAX_EDITS = 3  # per corrupted molecule
WIDTH, STEPS, BATCH, RATE = 64, 3_000, 128, 2e-3

_networks: dict[str, Callable[[Graph], Array]] = {}  # by cache file; kept because the game is traced several times


def property_network(goal: str, data: Data) -> Callable[[Graph], Array]:
    """Return a function that predicts the rewards [B], 0 to 1, of graphs. The network is trained on the first call only."""
    stored = data.train.samples
    elements = data.pack(data.to_float(Graph(*(x[:1] for x in stored))))["elements"].tolist()
    hasher = hashlib.sha256(f"{goal} {elements} {MAX_MOLECULES} {MAX_EDITS} {WIDTH} {STEPS} {BATCH} {RATE}".encode())
    for codes in stored:
        hasher.update(np.ascontiguousarray(codes))
    name = f"reward-{hasher.hexdigest()[:32]}.npz"
    if name not in _networks:
        network = Discriminator(data.sample_shape, width=WIDTH, minibatch="none")
        # The caller is being traced; the network is trained now, outside the trace.
        with jax.ensure_compile_time_eval():
            example = one_hot(Graph(*(x[:2] for x in stored)), len(elements) + 1)
            params = network.init(jax.random.key(0), example, None, train=False)["params"]
            leaves, tree = jax.tree.flatten(params)

            def train() -> list[np.ndarray]:
                note = f"training a network that predicts {goal} of molecules: {STEPS:,} steps; kept in {cache_path(name)}"
                print(note, file=sys.stderr)
                trained = _fit(network, params, *examples(stored, elements, goal), len(elements) + 1)
                return [np.asarray(x) for x in jax.tree.leaves(trained)]

            arrays = cached(name, [str(i) for i in range(len(leaves))], train)
        _networks[name] = partial(_predict, network, jax.tree.unflatten(tree, arrays))
    return _networks[name]


def _predict(network: Discriminator, params: Any, graphs: Graph) -> Array:
    return jax.nn.sigmoid(network.apply({"params": params}, graphs, None, train=False)[0])


def examples(stored: Graph, elements: list[str], goal: str) -> tuple[Graph, np.ndarray]:
    """Return the codes of real molecules and equally many corrupted ones, and their rewards [M] float32, 0 if invalid."""
    from gan_jax.data.molecules.metrics import molecule_of, properties

    random = np.random.RandomState(0)
    rows = random.permutation(len(stored.nodes))[:MAX_MOLECULES]
    intact = Graph(*(x[rows] for x in stored))
    graphs = Graph(*(np.concatenate(pair) for pair in zip(intact, corrupt(intact, len(elements), random), strict=True)))
    low, high = SCALES[goal]
    rewards = np.zeros(len(graphs.nodes), np.float32)
    for i, codes in enumerate(zip(*graphs, strict=True)):
        molecule = molecule_of(*codes, elements)
        if molecule is not None:
            value = 1.0 if goal == "valid" else properties(molecule)[goal]
            rewards[i] = np.clip((value - low) / (high - low), 0, 1)
    return graphs, rewards


def corrupt(graphs: Graph, kinds: int, random: np.random.RandomState) -> Graph:
    """Apply 1 to `MAX_EDITS` random edits to each graph: a random atom, or none, at a node; or a random bond, or none, between
    two nodes."""
    nodes, bonds = (x.copy() for x in graphs)
    count, size = nodes.shape
    num_edits = random.randint(1, MAX_EDITS + 1, count)
    for edit in range(MAX_EDITS):
        rows = np.flatnonzero(num_edits > edit)
        atom = random.rand(len(rows)) < 0.5
        i, j = random.randint(size, size=(2, len(rows)))
        nodes[rows[atom], i[atom]] = random.randint(kinds + 1, size=atom.sum())
        bond = ~atom & (i != j)
        kind = random.randint(BONDS, size=bond.sum())
        bonds[rows[bond], i[bond], j[bond]] = bonds[rows[bond], j[bond], i[bond]] = kind
    return Graph(nodes, bonds)


def _fit(network: Discriminator, params: Any, graphs: Graph, rewards: np.ndarray, kinds: int) -> Any:
    """Return parameters that minimise the squared error, by Adam."""
    optimizer = optax.adam(optax.cosine_decay_schedule(RATE, STEPS))
    rows = np.random.RandomState(1).randint(len(rewards), size=(STEPS, BATCH))

    def squared_error(params: Any, codes: Graph, target: Array) -> Array:
        return jnp.square(_predict(network, params, one_hot(codes, kinds)) - target).mean()

    @jax.jit
    def step(params: Any, moments: Any, codes: Graph, target: Array) -> tuple[Any, Any]:
        updates, moments = optimizer.update(jax.grad(squared_error)(params, codes, target), moments)
        return optax.apply_updates(params, updates), moments

    moments = optimizer.init(params)
    for batch in rows:
        params, moments = step(params, moments, Graph(*(x[batch] for x in graphs)), rewards[batch])
    return params
