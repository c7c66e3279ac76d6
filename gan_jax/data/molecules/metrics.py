"""Metrics of generated molecules, computed by RDKit as defined by MOSES.

Source: Polykovskiy et al. 2020 (MOSES), arXiv:1811.12823, section 3, also for valid, unique and novel. Their product, "vun", is
the fraction of all samples that are distinct new molecules.
"""

import functools
import importlib.util
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gan_jax.errors import needs
from gan_jax.metrics.jackknife import MIN_SAMPLES, standard_error

PROPERTIES = {"qed": "QED", "logp": "logP", "sa": "SA"}
MAX_COMPARED = 1_000  # maximum number of molecules whose fingerprints and properties are computed, in about a second
BITS = 1_024  # of a Morgan fingerprint of radius 2


def molecule_metrics(
    train_smiles: set[str],
    held_out: Sequence[Any],
    real: Callable[[int], list[Any]],
    errors: bool,
    chemnet: bool = False,
    whole: bool = False,
) -> Callable[[Any], dict[str, float]]:
    """Return a function from molecules, with None for each invalid sample, to metrics. Each NAME comes with its value for the
    same number of `real` molecules: NAME_floor for distances to `held_out`, else NAME_real. `train_smiles` are those of the
    training molecules; `chemnet` adds `chemnet_distance` as `fcd`. If `whole`, `held_out` are all real molecules: the
    properties of all molecules are compared, and there are no floors, since `held_out` contains `real`."""
    compared = slice(None if whole else MAX_COMPARED)
    held_out_properties = _properties(held_out[compared])
    held_out_scaffolds = scaffolds(held_out)
    held_out_smiles = [smiles_of(molecule) for molecule in held_out] if chemnet else []

    def statistic(samples: list[Any]) -> dict[str, float]:
        valid = [molecule for molecule in samples if molecule is not None]
        result = fractions([smiles_of(m) for m in valid], len(samples), train_smiles)
        if not valid:
            return result | {"intdiv": 0.0}
        result["intdiv"] = internal_diversity(valid[:MAX_COMPARED])
        result["scaffold"] = cosine(scaffolds(valid), held_out_scaffolds)
        for name, values in _properties(valid[compared]).items():
            result[name] = float(np.mean(values))
            result[f"{name}_w1"] = wasserstein(values, held_out_properties[name])
        if chemnet:
            result["fcd"] = chemnet_distance([smiles_of(m) for m in valid], held_out_smiles)
        return result

    @functools.lru_cache(maxsize=2)
    def reference(n: int) -> dict[str, float]:
        values = {name: value for name, value in statistic(real(n)).items() if name not in ("novel", "vun")}
        floors = {} if whole else {f"{name}_floor": value for name, value in values.items() if _is_distance(name)}
        return floors | {f"{name}_real": value for name, value in values.items() if not _is_distance(name)}

    def measure(samples: list[Any]) -> dict[str, float]:
        result = statistic(samples)
        if errors and len(samples) >= MIN_SAMPLES:
            all_smiles = np.array(["" if molecule is None else smiles_of(molecule) for molecule in samples])

            def statistic_of_smiles(smiles: np.ndarray) -> dict[str, float]:
                return fractions([s for s in smiles if s], len(smiles), train_smiles)

            result |= {f"{name}_error": value for name, value in standard_error(statistic_of_smiles, (all_smiles,)).items()}
        return result | reference(len(samples))

    return measure


def _is_distance(name: str) -> bool:
    return name.endswith("_w1") or name == "fcd"


def fractions(smiles: Sequence[str], count: int, train_smiles: set[str]) -> dict[str, float]:
    """Return fractions of `count` samples, given the canonical SMILES of the valid ones: `valid` among all samples, `unique`
    among the valid ones, `novel` (not in `train_smiles`) among the unique ones, and their product `vun`."""
    unique = set(smiles)
    novel = unique - train_smiles
    return {
        "valid": len(smiles) / count,
        "unique": len(unique) / max(1, len(smiles)),
        "novel": len(novel) / max(1, len(unique)),
        "vun": len(novel) / count,
    }


def molecule_of(nodes: np.ndarray, bonds: np.ndarray, elements: Sequence[str]) -> Any:
    """Return the molecule of atoms [N] and bonds [N, N] (codes, 0 for none), with `elements` such as C or N+1. None if RDKit
    rejects it, if it has several fragments or no atom, or if a bond leads to an empty node."""
    from rdkit import Chem

    if not (nodes > 0).any() or (bonds[nodes == 0] > 0).any():
        return None
    kinds = (None, Chem.BondType.SINGLE, Chem.BondType.DOUBLE, Chem.BondType.TRIPLE)
    molecule, indices = Chem.RWMol(), {}
    for node in np.flatnonzero(nodes):
        symbol = elements[nodes[node] - 1].rstrip("+-0123456789")
        atom = Chem.Atom(symbol)
        atom.SetFormalCharge(int(elements[nodes[node] - 1][len(symbol) :] or 0))
        indices[node] = molecule.AddAtom(atom)
    for i, j in zip(*np.nonzero(np.triu(bonds, 1)), strict=True):
        molecule.AddBond(indices[i], indices[j], kinds[bonds[i, j]])
    if Chem.SanitizeMol(molecule, catchErrors=True) or len(Chem.GetMolFrags(molecule)) > 1:
        return None
    return molecule.GetMol()


def smiles_of(molecule: Any) -> str:
    """Return the canonical SMILES of a molecule."""
    from rdkit import Chem

    return Chem.MolToSmiles(molecule)


def properties(molecule: Any) -> dict[str, float]:
    """Return the drug-likeness QED (Bickerton et al. 2012), Crippen's logP, and the synthetic accessibility SA (Ertl and
    Schuffenhauer 2009), from 1 (easy) to 10."""
    from rdkit.Chem import QED, Crippen

    return {"qed": QED.qed(molecule), "logp": Crippen.MolLogP(molecule), "sa": _sascorer().calculateScore(molecule)}


def internal_diversity(molecules: Sequence[Any]) -> float:
    """MOSES's IntDiv_1: 1 - the mean Tanimoto similarity of Morgan fingerprints over all pairs, including self-pairs."""
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=BITS)
    bits = np.stack([generator.GetFingerprintAsNumPy(molecule) for molecule in molecules]).astype(np.float32)
    intersection = bits @ bits.T
    sizes = bits.sum(axis=1)
    union = sizes[:, None] + sizes[None] - intersection
    return float(1 - np.where(union > 0, intersection / np.maximum(union, 1), 1.0).mean())


def scaffolds(molecules: Sequence[Any]) -> Counter:
    """Count the Bemis-Murcko scaffolds, as SMILES, of those molecules that have at least two rings; None is skipped."""
    from rdkit.Chem.Scaffolds import MurckoScaffold

    counts: Counter = Counter()
    for molecule in molecules:
        if molecule is not None and molecule.GetRingInfo().NumRings() >= 2:
            counts[smiles_of(MurckoScaffold.GetScaffoldForMol(molecule))] += 1
    return counts


def cosine(p: Counter, q: Counter) -> float:
    """Cosine similarity of two vectors of counts; 0 if one is empty."""
    product = sum(p[key] * q[key] for key in p.keys() & q.keys())
    norms = [sum(value**2 for value in counts.values()) ** 0.5 for counts in (p, q)]
    return product / (norms[0] * norms[1]) if all(norms) else 0.0


def wasserstein(p: Sequence[float], q: Sequence[float]) -> float:
    """1-Wasserstein distance between two samples of real numbers."""
    from scipy.stats import wasserstein_distance

    return float(wasserstein_distance(p, q))


def chemnet_distance(smiles: Sequence[str], reference: Sequence[str]) -> float:
    """Frechet distance between the ChemNet activations of two sets of molecules, by the package `fcd`, which contains the
    weights and runs on PyTorch: a hundred molecules take seconds on a CPU. Raises InputError if it is not installed.

    Source: Preuer et al. 2018, arXiv:1803.09518."""
    with needs("the Frechet ChemNet distance needs fcd", "fcd"):
        from fcd import get_fcd
    return float(get_fcd(list(smiles), list(reference), device="cpu"))


def _properties(molecules: Sequence[Any]) -> dict[str, list[float]]:
    by_molecule = [properties(molecule) for molecule in molecules]
    return {name: [values[name] for values in by_molecule] for name in PROPERTIES}


@functools.cache
def _sascorer() -> Any:
    """Load the SA score, a contributed module that RDKit ships outside its package."""
    from rdkit.Chem import RDConfig

    path = Path(RDConfig.RDContribDir) / "SA_Score" / "sascorer.py"
    spec = importlib.util.spec_from_file_location("sascorer", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["sascorer"] = module
    spec.loader.exec_module(module)
    return module
