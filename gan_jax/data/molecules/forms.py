"""The representations of molecules for networks: graphs, sequences of SELFIES and latent codes."""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data.molecules import selfies
from gan_jax.data.molecules.graphs import decode_graphs, most_likely, one_hot
from gan_jax.data.text import corpus
from gan_jax.types import Graph, Sample


class Form(NamedTuple):
    """A representation of molecules for networks."""

    stored: Any  # all molecules, as in a Split
    names: dict[str, np.ndarray]  # what the codes stand for: names of elements or symbols
    to_float: Callable[[Any], Sample]
    to_molecules: Callable[[Any], list[Any]]  # stored molecules -> RDKit molecules
    encode: Callable[[Sample], dict[str, np.ndarray]]  # samples as networks generate them -> arrays for an .npz
    decode: Callable[[dict[str, np.ndarray]], list[Any]]  # these arrays -> RDKit molecules, None for invalid ones


def graph_of_atoms(graphs: Graph, elements: np.ndarray) -> Form:
    to_molecules = partial(decode_graphs, elements.tolist())
    return Form(
        stored=graphs,
        names={"elements": elements},
        to_float=partial(one_hot, kinds=len(elements) + 1),
        to_molecules=to_molecules,
        encode=lambda samples: most_likely(samples)._asdict(),
        decode=lambda codes: to_molecules(Graph(**codes)),
    )


def selfies_sequence(graphs: Graph, elements: np.ndarray) -> Form:
    ids, symbols = selfies.encode(lambda: decode_graphs(elements.tolist(), graphs), _digest(graphs, elements))
    return Form(
        stored=ids,
        names={"symbols": symbols},
        to_float=partial(corpus.one_hot, size=len(symbols) + 1),
        to_molecules=partial(selfies.decode, symbols.tolist()),
        encode=lambda samples: {"selfies": most_likely(samples)},
        decode=lambda codes: selfies.decode(symbols.tolist(), codes["selfies"]),
    )


def latent_code(graphs: Graph, elements: np.ndarray, autoencode: Callable[..., tuple[np.ndarray, Callable]]) -> Form:
    to_molecules = partial(decode_graphs, elements.tolist())
    vectors, decode = autoencode(lambda: to_molecules(graphs), digest=_digest(graphs, elements))
    return Form(
        stored={"graph": graphs, "latent": vectors},
        names={},
        to_float=lambda stored: stored["latent"],
        to_molecules=lambda stored: to_molecules(stored["graph"]),
        encode=lambda samples: {"latent": np.asarray(samples, np.float32)},
        decode=lambda codes: decode(codes["latent"]),
    )


def _digest(graphs: Graph, elements: np.ndarray) -> bytes:
    """Return a digest that identifies these molecules."""
    return hashlib.sha256(b"".join(x.tobytes() for x in (*graphs, elements))).digest()
