"""Molecules as SELFIES: sequences of symbols that are always valid molecules, whatever a network generates.

Source: Krenn et al. 2020, arXiv:1905.13741.
"""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gan_jax.errors import InputError, needs
from gan_jax.storage.cache import cached


def encode(molecules: Callable[[], Sequence[Any]], digest: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Return the symbol numbers of molecules, [M, T] uint8, padded with 0, and the symbols, most frequent (number 1) first. T
    is the length of the longest sequence. Cached under `digest`, which must identify the molecules."""
    package = _package()

    def compute() -> tuple[np.ndarray, np.ndarray]:
        from gan_jax.data.molecules.metrics import smiles_of

        symbol_lists = [list(package.split_selfies(package.encoder(smiles_of(molecule)))) for molecule in molecules()]
        return number_symbols(symbol_lists)

    name = hashlib.sha256(digest + package.__version__.encode()).hexdigest()[:32]
    return tuple(cached(f"selfies-{name}.npz", ("ids", "symbols"), compute))


def number_symbols(sequences: Sequence[Sequence[str]]) -> tuple[np.ndarray, np.ndarray]:
    """Number the symbols of sequences; the result is that of `encode`. Raises InputError for more than 255 different
    symbols."""
    counts = Counter(symbol for sequence in sequences for symbol in sequence)
    symbols = sorted(counts, key=lambda symbol: (-counts[symbol], symbol))
    if len(symbols) > 255:
        raise InputError(f"data molecules: {len(symbols)} different symbols, more than 255")
    numbers = {symbol: i for i, symbol in enumerate(symbols, 1)}
    ids = np.zeros((len(sequences), max(map(len, sequences))), np.uint8)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = [numbers[symbol] for symbol in sequence]
    return ids, np.array(symbols)


def decode(symbols: Sequence[str], ids: np.ndarray) -> list[Any]:
    """Convert symbol numbers [N, T] to RDKit molecules; None for those without atoms, or rejected by RDKit."""
    from rdkit import Chem

    package = _package()
    molecules = []
    for row in ids:
        text = package.decoder("".join(symbols[i - 1] for i in row if i))
        molecule = Chem.MolFromSmiles(text) if text else None
        molecules.append(molecule if molecule is not None and molecule.GetNumAtoms() else None)
    return molecules


def _package() -> Any:
    with needs("molecules as SELFIES need selfies", "gan_jax[molecules]"):
        import selfies
    return selfies
