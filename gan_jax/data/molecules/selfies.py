"""Molecules as SELFIES: sequences of symbols, each of which is a sound molecule, whatever a network writes.

Source: Krenn et al. 2020, arXiv:1905.13741.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gan_jax.errors import InputError
from gan_jax.storage.cache import cached


def sequences(molecules: Callable[[], Sequence[Any]], told: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Molecules -> symbols' numbers [M, T] uint8, 0 where a sequence has ended, and the symbols, number 1 first, by how often
    they come. T is the length of the longest. Cached under `told`, which must tell the molecules."""
    package = _package()

    def made() -> tuple[np.ndarray, np.ndarray]:
        from gan_jax.data.molecules.metrics import smiles_of

        written = [list(package.split_selfies(package.encoder(smiles_of(molecule)))) for molecule in molecules()]
        return numbered(written)

    told = hashlib.sha256(told + package.__version__.encode()).hexdigest()[:32]
    return tuple(cached(f"selfies-{told}.npz", ("ids", "symbols"), made))


def numbered(written: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Sequences of symbols -> what `sequences` returns. Raises InputError for more than 255 different ones."""
    counted = Counter(symbol for each in written for symbol in each)
    symbols = sorted(counted, key=lambda symbol: (-counted[symbol], symbol))
    if len(symbols) > 255:
        raise InputError(f"data molecules: {len(symbols)} different symbols, more than 255")
    numbers = {symbol: i for i, symbol in enumerate(symbols, 1)}
    ids = np.zeros((len(written), max(map(len, written))), np.uint8)
    for row, each in enumerate(written):
        ids[row, : len(each)] = [numbers[symbol] for symbol in each]
    return ids, np.array(symbols)


def read(symbols: Sequence[str], ids: np.ndarray) -> list[Any]:
    """Numbers [N, T] -> RDKit's molecules; None for one without an atom, or that RDKit refuses."""
    from rdkit import Chem

    package = _package()
    found = []
    for row in ids:
        text = package.decoder("".join(symbols[i - 1] for i in row if i))
        molecule = Chem.MolFromSmiles(text) if text else None
        found.append(molecule if molecule is not None and molecule.GetNumAtoms() else None)
    return found


def _package() -> Any:
    try:
        import selfies
    except ImportError as error:
        raise InputError(f"data molecules as SELFIES need a package: pip install 'gan_jax[molecules]' ({error})") from error
    return selfies
