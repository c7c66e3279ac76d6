"""Molecules as graphs: from SMILES to codes of atoms and bonds, and back."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.data.molecules.files import parse, rdkit
from gan_jax.types import Graph, Sample

BONDS = 4  # none, single, double, triple; aromatic bonds alternate between single and double
MAX_ATOMS = 100
# Why molecules are dropped; each counts for the first reason that applies.
MISSING, REACTION, UNREADABLE = "missing", "reactions", "that RDKit cannot read"
WILDCARD, FRAGMENTS = "with wildcards (*)", "of several fragments"
CHARGED, RADICAL, ISOTOPE = "with charged atoms", "with radicals", "with isotopes"
BOND, VALENCE, DUPLICATE = "with bonds beyond triple or dative", "with an unusual number of hydrogens", "duplicates"
TOO_LARGE = "with more than {} atoms"
OPTIONS = {FRAGMENTS: "largest_fragment=True keeps the largest", CHARGED: "charges=True keeps them"}


class Encoded(NamedTuple):
    """Molecules as codes, and what was dropped."""

    nodes: np.ndarray  # [M, atoms] uint8, 0 for no atom
    bonds: np.ndarray  # [M, atoms, atoms] uint8
    elements: np.ndarray  # their symbols [T], charged ones such as N+1, most frequent (code 1) first
    reasons: np.ndarray  # why molecules were dropped [R]
    counts: np.ndarray  # how many, for each reason [R]
    sizes: np.ndarray  # [MAX_ATOMS + 1] number of molecules with as many atoms, or more for the last, too large ones included
    ignored: np.ndarray  # [2] number of SMILES with stereochemistry, and of CXSMILES extensions


def encode(smiles: Sequence[str], atoms: int, charges: bool = False, largest_fragment: bool = False) -> Encoded:
    """Convert SMILES to codes, without unusable molecules and duplicates."""
    Chem = rdkit()
    by_smiles, dropped, sizes = {}, Counter(), np.zeros(MAX_ATOMS + 1, np.int64)
    stereo = sum(any(mark in text.split()[0] for mark in "@/\\") for text in smiles if text)
    extensions = sum(len(text.split(maxsplit=1)) > 1 and " |" in text for text in smiles)
    for text in smiles:
        molecule, reason = read_molecule(text)
        if molecule is not None:
            if largest_fragment:
                molecule = _largest_fragment(molecule)
            reason = _unusable(molecule, charges)
        if reason is None:
            size = molecule.GetNumAtoms()
            sizes[min(size, MAX_ATOMS)] += 1
            reason = TOO_LARGE.format(atoms) if size > atoms else None
        if reason is None:
            canonical = plain_smiles(molecule)
            if canonical not in by_smiles:
                molecule = Chem.MolFromSmiles(canonical)  # puts the atoms in canonical order
                Chem.Kekulize(molecule, clearAromaticFlags=True)
                by_smiles[canonical] = molecule
                continue
            reason = DUPLICATE
        dropped[reason] += 1
    kinds = [[_symbol(atom) for atom in molecule.GetAtoms()] for molecule in by_smiles.values()]
    names, counts = np.unique([symbol for symbols in kinds for symbol in symbols], return_counts=True)
    elements = names[np.lexsort((names, -counts))] if kinds else np.array([], "U2")
    codes = {symbol: i for i, symbol in enumerate(elements, 1)}
    nodes, bonds = np.zeros((len(by_smiles), atoms), np.uint8), np.zeros((len(by_smiles), atoms, atoms), np.uint8)
    for row, (molecule, symbols) in enumerate(zip(by_smiles.values(), kinds, strict=True)):
        nodes[row, : len(symbols)] = [codes[symbol] for symbol in symbols]
        for bond in molecule.GetBonds():
            i, j = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
            bonds[row, i, j] = bonds[row, j, i] = int(bond.GetBondTypeAsDouble())
    reasons = np.array(list(dropped), str), np.array(list(dropped.values()), np.int64)
    return Encoded(nodes, bonds, elements, *reasons, sizes, np.array([stereo, extensions]))


def read_molecule(text: str) -> tuple[Any, str | None]:
    """Return the molecule of a SMILES, without stereochemistry, and None; or None and why it is not a molecule."""
    if not text:
        return None, MISSING
    if ">" in text.split()[0].replace("->", ""):
        return None, REACTION
    molecule = parse(text)
    if molecule is None or not molecule.GetNumAtoms():
        return None, UNREADABLE
    if any(atom.GetAtomicNum() == 0 for atom in molecule.GetAtoms()):
        return None, WILDCARD
    rdkit().RemoveStereochemistry(molecule)
    return molecule, None


def plain_smiles(molecule: Any) -> str:
    """Return the canonical SMILES of a molecule, the same for all ways of writing it, without stereochemistry."""
    return rdkit().MolToSmiles(molecule)


def _largest_fragment(molecule: Any) -> Any:
    """Return the fragment with the most atoms, hydrogens included, by RDKit's rule; counter-ions and solvents are dropped."""
    from rdkit.Chem.MolStandardize import rdMolStandardize

    return rdMolStandardize.LargestFragmentChooser().choose(molecule)


def _unusable(molecule: Any, charges: bool) -> str | None:
    """Return why a molecule cannot be a graph of atoms and bonds."""
    Chem, atoms = rdkit(), list(molecule.GetAtoms())
    kinds = {Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE, Chem.BondType.AROMATIC}
    if len(Chem.GetMolFrags(molecule)) > 1:
        return FRAGMENTS
    if not charges and any(atom.GetFormalCharge() for atom in atoms):
        return CHARGED
    if any(atom.GetNumRadicalElectrons() for atom in atoms):
        return RADICAL
    if any(atom.GetIsotope() for atom in atoms):
        return ISOTOPE
    if any(bond.GetBondType() not in kinds for bond in molecule.GetBonds()):
        return BOND
    return None if _hydrogens_follow(molecule) else VALENCE


def _hydrogens_follow(molecule: Any) -> bool:
    """Whether the graph determines the numbers of hydrogens, which it does not contain."""
    stated = [atom.GetIdx() for atom in molecule.GetAtoms() if atom.GetNoImplicit()]
    if not stated:
        return True
    bare = rdkit().RWMol(molecule)
    rdkit().Kekulize(bare, clearAromaticFlags=True)
    for index in stated:
        bare.GetAtomWithIdx(index).SetNoImplicit(False)
        bare.GetAtomWithIdx(index).SetNumExplicitHs(0)
    bare.UpdatePropertyCache(strict=False)
    atoms = [(bare.GetAtomWithIdx(index), molecule.GetAtomWithIdx(index)) for index in stated]
    return all(a.GetTotalNumHs() == b.GetTotalNumHs() for a, b in atoms)


def _symbol(atom: Any) -> str:
    charge = atom.GetFormalCharge()
    return f"{atom.GetSymbol()}{charge:+d}" if charge else atom.GetSymbol()


def decode_graphs(elements: Sequence[str], graphs: Graph) -> list[Any]:
    """Convert codes to RDKit molecules, None for invalid ones."""
    from gan_jax.data.molecules.metrics import molecule_of

    return [molecule_of(*codes, elements) for codes in zip(*graphs, strict=True)]


def one_hot(stored: Graph, kinds: int) -> Graph:
    """Convert codes [..., N] and [..., N, N] to float32 [..., N, kinds] and [..., N, N, BONDS], in NumPy or inside jit."""
    nodes, bonds = (
        (codes[..., None] == np.arange(size, dtype=codes.dtype).reshape(*(1,) * codes.ndim, -1)).astype(np.float32)
        for codes, size in zip(stored, (kinds, BONDS), strict=True)
    )
    return Graph(nodes, bonds)


def most_likely(samples: Sample) -> Any:
    """Convert one-hot or soft samples to the most likely types, uint8: atoms [B, N] and bonds [B, N, N], or symbols [B, T]."""
    return jax.tree.map(lambda x: np.asarray(x).argmax(axis=-1).astype(np.uint8), samples)
