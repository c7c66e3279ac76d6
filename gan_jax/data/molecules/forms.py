"""The representations of molecules for networks: graphs, sequences of SELFIES and latent codes."""

import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from gan_jax.data.molecules import autoencoder, selfies
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
    facts: dict[str, Any]  # the arguments of `graph_decoder`, `selfies_decoder` or `latent_decoder`


class Decoder(NamedTuple):
    """The fields of a `Form` that need no molecules."""

    names: dict[str, np.ndarray]
    encode: Callable[[Sample], dict[str, np.ndarray]]
    decode: Callable[[dict[str, np.ndarray]], list[Any]]


def graph_decoder(elements: np.ndarray) -> Decoder:
    to_molecules = partial(decode_graphs, elements.tolist())
    return Decoder({"elements": elements}, lambda x: most_likely(x)._asdict(), lambda codes: to_molecules(Graph(**codes)))


def selfies_decoder(symbols: np.ndarray) -> Decoder:
    return Decoder(
        names={"symbols": symbols},
        encode=lambda samples: {"selfies": most_likely(samples)},
        decode=lambda codes: selfies.decode(symbols.tolist(), codes["selfies"]),
    )


def latent_decoder(**facts: Any) -> Decoder:
    """For the arguments see `autoencoder.decoder`."""
    decode = autoencoder.decoder(**facts)
    return Decoder({}, lambda samples: {"latent": np.asarray(samples, np.float32)}, lambda codes: decode(codes["latent"]))


DECODERS = {"graph": graph_decoder, "selfies": selfies_decoder, "latent": latent_decoder}


def graph_of_atoms(graphs: Graph, elements: np.ndarray) -> Form:
    return Form(
        stored=graphs,
        to_float=partial(one_hot, kinds=len(elements) + 1),
        to_molecules=partial(decode_graphs, elements.tolist()),
        facts={"elements": elements},
        **graph_decoder(elements)._asdict(),
    )


def selfies_sequence(graphs: Graph, elements: np.ndarray) -> Form:
    ids, symbols = selfies.encode(lambda: decode_graphs(elements.tolist(), graphs), _digest(graphs, elements))
    return Form(
        stored=ids,
        to_float=partial(corpus.one_hot, size=len(symbols) + 1),
        to_molecules=partial(selfies.decode, symbols.tolist()),
        facts={"symbols": symbols},
        **selfies_decoder(symbols)._asdict(),
    )


def latent_code(graphs: Graph, elements: np.ndarray, autoencode: Callable[..., tuple[np.ndarray, dict]]) -> Form:
    to_molecules = partial(decode_graphs, elements.tolist())
    vectors, facts = autoencode(lambda: to_molecules(graphs), digest=_digest(graphs, elements))
    return Form(
        stored={"graph": graphs, "latent": vectors},
        to_float=lambda stored: stored["latent"],
        to_molecules=lambda stored: to_molecules(stored["graph"]),
        facts=facts,
        **latent_decoder(**facts)._asdict(),
    )


def _digest(graphs: Graph, elements: np.ndarray) -> bytes:
    """Return a digest that identifies these molecules."""
    return hashlib.sha256(b"".join(x.tobytes() for x in (*graphs, elements))).digest()
