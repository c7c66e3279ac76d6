"""Metrics of generated molecules, by RDKit, with the definitions of MOSES.

Source: Polykovskiy et al. 2020 (MOSES), arXiv:1811.12823, section 3; valid, unique and novel as there, and their product, the
share of all samples that are new molecules.
"""

import functools
import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.errors import InputError
from gan_jax.metrics.jackknife import MIN_SAMPLES, standard_error

PROPERTIES = {"qed": "QED", "logp": "logP", "sa": "SA"}
COMPARED = 1_000  # molecules whose fingerprints and properties are looked at: a second a thousand
BITS = 1_024  # of a Morgan fingerprint of radius 2


def judge(
    known: set[str], held_out: Sequence[Any], real: Callable[[int], list[Any]], errors: bool, chemnet: bool = False
) -> Callable[[Any], dict[str, float]]:
    """Molecules, None for a sample that is not valid -> metrics, beside each that of as many `real` ones as NAME_real, or for a
    distance to the held-out ones, NAME_floor. `known` are the SMILES of the training molecules; `chemnet` is whether
    `chemnet_distance`, as `fcd`, is among the metrics."""
    held = _properties(held_out[:COMPARED])
    held_scaffolds = scaffolds(held_out)
    held_smiles = [smiles_of(molecule) for molecule in held_out] if chemnet else []

    def statistic(samples: list[Any]) -> dict[str, float]:
        found = [molecule for molecule in samples if molecule is not None]
        result = shares([smiles_of(m) for m in found], len(samples), known)
        if not found:
            return result | {"intdiv": 0.0}
        own = _properties(found[:COMPARED])
        result["intdiv"] = internal_diversity(found[:COMPARED])
        result["scaffold"] = cosine(scaffolds(found), held_scaffolds)
        for name, values in own.items():
            result[name] = float(np.mean(values))
            result[f"{name}_w1"] = wasserstein(values, held[name])
        if chemnet:
            result["fcd"] = chemnet_distance([smiles_of(m) for m in found], held_smiles)
        return result

    @functools.lru_cache(maxsize=2)
    def beside(n: int) -> dict[str, float]:
        of = {name: value for name, value in statistic(real(n)).items() if name not in ("novel", "vun")}
        return {
            f"{name}_floor" if name.endswith("_w1") or name == "fcd" else f"{name}_real": value for name, value in of.items()
        }

    def measure(samples: list[Any]) -> dict[str, float]:
        result = statistic(samples)
        if errors and len(samples) >= MIN_SAMPLES:
            counted = np.array(["" if molecule is None else smiles_of(molecule) for molecule in samples])

            def rows(smiles: np.ndarray) -> dict[str, float]:
                return shares([s for s in smiles if s], len(smiles), known)

            result |= {f"{name}_error": value for name, value in standard_error(rows, (counted,)).items()}
        return result | beside(len(samples))

    return measure


def shares(smiles: Sequence[str], count: int, known: set[str]) -> dict[str, float]:
    """Of `count` samples, whose valid ones have these canonical SMILES: valid, the share that is; unique, of those the share
    that differs; novel, of the unique ones the share that is not `known`; vun, their product."""
    unique = set(smiles)
    novel = unique - known
    return {
        "valid": len(smiles) / count,
        "unique": len(unique) / max(1, len(smiles)),
        "novel": len(novel) / max(1, len(unique)),
        "vun": len(novel) / count,
    }


def molecule_of(nodes: np.ndarray, bonds: np.ndarray, elements: Sequence[str]) -> Any:
    """The molecule of atoms [N] and bonds [N, N] (codes, 0 for none), atoms of `elements` such as C or N+1; None where RDKit
    refuses it, where it is in several parts or has no atom, or where a bond leads to a place without an atom."""
    from rdkit import Chem

    if not (nodes > 0).any() or (bonds[nodes == 0] > 0).any():
        return None
    kinds = (None, Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)
    molecule, places = Chem.RWMol(), {}
    for place in np.flatnonzero(nodes):
        symbol = elements[nodes[place] - 1].rstrip("+-0123456789")
        atom = Chem.Atom(symbol)
        atom.SetFormalCharge(int(elements[nodes[place] - 1][len(symbol) :] or 0))
        places[place] = molecule.AddAtom(atom)
    for i, j in zip(*np.nonzero(np.triu(bonds, 1)), strict=True):
        molecule.AddBond(places[i], places[j], kinds[bonds[i, j]])
    if Chem.SanitizeMol(molecule, catchErrors=True) or len(Chem.GetMolFrags(molecule)) > 1:
        return None
    return molecule.GetMol()


def smiles_of(molecule: Any) -> str:
    """Canonical SMILES."""
    from rdkit import Chem

    return Chem.MolToSmiles(molecule)


def properties(molecule: Any) -> dict[str, float]:
    """Drug-likeness QED (Bickerton et al. 2012), Crippen's logP, and the synthetic accessibility SA (Ertl and Schuffenhauer
    2009), from 1, easy, to 10."""
    from rdkit.Chem import QED, Crippen

    return {"qed": QED.qed(molecule), "logp": Crippen.MolLogP(molecule), "sa": _sascorer().calculateScore(molecule)}


def internal_diversity(molecules: Sequence[Any]) -> float:
    """1 - the mean Tanimoto similarity of all pairs, each with itself too, of Morgan fingerprints: IntDiv_1 of MOSES."""
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=BITS)
    bits = np.stack([generator.GetFingerprintAsNumPy(molecule) for molecule in molecules]).astype(np.float32)
    both = bits @ bits.T
    sizes = bits.sum(axis=1)
    either = sizes[:, None] + sizes[None] - both
    return float(1 - np.where(either > 0, both / np.maximum(either, 1), 1.0).mean())


def scaffolds(molecules: Sequence[Any]) -> Counter:
    """The Bemis-Murcko scaffolds with at least two rings, as SMILES, counted; of molecules that are not None."""
    from rdkit.Chem.Scaffolds import MurckoScaffold

    found: Counter = Counter()
    for molecule in molecules:
        if molecule is not None and molecule.GetRingInfo().NumRings() >= 2:
            found[smiles_of(MurckoScaffold.GetScaffoldForMol(molecule))] += 1
    return found


def cosine(p: Counter, q: Counter) -> float:
    """The cosine of the angle between two vectors of counts; 0 where one is empty."""
    product = sum(p[key] * q[key] for key in p.keys() & q.keys())
    norms = [sum(value**2 for value in counts.values()) ** 0.5 for counts in (p, q)]
    return product / (norms[0] * norms[1]) if all(norms) else 0.0


def wasserstein(p: Sequence[float], q: Sequence[float]) -> float:
    """The 1-Wasserstein distance of two samples of a number."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(p, q))


def chemnet_distance(smiles: Sequence[str], reference: Sequence[str]) -> float:
    """The Frechet distance of two sets of molecules in the activations of ChemNet, by the package `fcd`, which has its weights
    and runs on PyTorch: on a CPU it takes seconds a hundred molecules. Raises InputError where it is not installed.

    Source: Preuer et al. 2018, arXiv:1803.09518."""
    try:
        from fcd import get_fcd
    except ImportError as error:
        raise InputError(f"the Frechet ChemNet distance needs a package of its own: pip install fcd ({error})") from error
    return float(get_fcd(list(smiles), list(reference), device="cpu"))


def _properties(molecules: Sequence[Any]) -> dict[str, list[float]]:
    each = [properties(molecule) for molecule in molecules]
    return {name: [values[name] for values in each] for name in PROPERTIES}


@functools.cache
def _sascorer() -> Any:
    """The module that comes with RDKit as a contribution, outside its package."""
    from rdkit.Chem import RDConfig

    path = Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py"
    spec = importlib.util.spec_from_file_location("sascorer", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["sascorer"] = module
    spec.loader.exec_module(module)
    return module
