"""How molecules are evaluated: generated samples, or the SMILES in a file, against the held-out molecules or all real ones."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.data.dataset import Data, FileMetrics, Measure, Protocol
from gan_jax.data.molecules.files import parse, read_samples
from gan_jax.data.molecules.forms import Form
from gan_jax.data.molecules.graphs import FRAGMENTS, plain_smiles, read_molecule
from gan_jax.data.molecules.metrics import molecule_metrics, smiles_of
from gan_jax.errors import InputError
from gan_jax.storage.cache import cached
from gan_jax.types import Sample

MIN_SAMPLES = 2  # in a file


def evaluator(form: Form, data: Data, protocol: Protocol = Protocol()) -> Measure:
    """Return the `Measure` of molecules. Those in a file are measured as they are, without stereochemistry, whatever their
    elements and sizes; a row counts as invalid if RDKit rejects it or if it has several fragments or a wildcard."""
    if protocol.extractor or not set(protocol.metrics) <= {"fcd", "all"}:
        raise InputError(f"{data.name} is evaluated by RDKit: leave off --extractor, and --metrics other than fcd")
    chemnet = "fcd" in protocol.metrics or ("all" in protocol.metrics and find_spec("fcd") is not None)
    first, num_train, num_test = slice(protocol.max_samples), data.train.count, data.test.count
    reference = _valid(form.to_molecules(_take(data.test.samples, first)))
    if protocol.whole:
        reference = _valid(form.to_molecules(data.train.samples)) + reference
        reference = [parse(smiles_of(molecule)) for molecule in reference]  # as those of a file are read

    def real(count: int) -> list[Any]:
        """Return real molecules: all, or training ones after conversion to the networks' representation and back."""
        if protocol.whole:
            return reference[:count]
        return form.decode(form.encode(data.to_float(_take(data.train.samples, slice(count)))))

    known = {smiles_of(molecule) for molecule in reference} if protocol.whole else _train_smiles(form, data)
    measure = molecule_metrics(known, reference, real, protocol.errors, chemnet, protocol.whole)

    def measure_samples(samples: Sample, label: np.ndarray | None = None) -> dict[str, float]:
        return measure(form.decode(form.encode(_take(samples, first))))

    def measure_file(path: Path) -> FileMetrics:
        texts, notes = read_samples(path)
        if len(texts) < MIN_SAMPLES:
            raise InputError(f"{path}: {len(texts)} molecules, at least {MIN_SAMPLES} are needed")
        # Some metrics compare the first molecules only, and files are often sorted.
        order = np.random.RandomState(0).permutation(len(texts))[first]
        molecules, invalid = _file_molecules([texts[row] for row in order])
        return FileMetrics(len(molecules), measure(molecules), (*notes, *invalid))

    if protocol.whole:
        description = (
            f"molecules compared by RDKit with all {len(reference):,} of {data.name}; novel: not among them; values of real "
            "molecules: of as many of them"
        )
        sizes = {"reference": len(reference)}
    else:
        description = (
            f"molecules compared by RDKit with {num_test:,} held-out ones of {data.name}; novel: not among the "
            f"{num_train:,} training ones; values of real molecules: of training ones, in the networks' representation"
        )
        sizes = {"held_out": num_test, "train": num_train}
    return Measure(measure_samples, description, {"data": data.name, "checksum": data.checksum} | sizes, measure_file)


def _file_molecules(texts: Sequence[str]) -> tuple[list[Any], tuple[str, ...]]:
    """Return the molecules, written as those of the data are, None for invalid ones; and a note on why they are invalid."""
    molecules, invalid = [], Counter()
    for text in texts:
        molecule, reason = read_molecule(text)
        plain = None if molecule is None else plain_smiles(molecule)
        if plain is not None and "." in plain:
            reason = FRAGMENTS
        if reason is not None:
            invalid[reason] += 1
        molecules.append(parse(plain) if reason is None else None)
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(invalid.items(), key=lambda x: (-x[1], x[0])))
    return molecules, (f"{invalid.total():,} of {len(texts):,} samples are invalid: {reasons}",) if reasons else ()


def _train_smiles(form: Form, data: Data) -> set[str]:
    """Return the canonical SMILES of the training molecules. Cached: a hundred thousand take a minute."""
    digest = hashlib.sha256(f"{version('rdkit')} {data.checksum} {form.names}".encode()).hexdigest()[:32]

    def compute() -> tuple[np.ndarray]:
        return (np.array([smiles_of(molecule) for molecule in _valid(form.to_molecules(data.train.samples))]),)

    return set(cached(f"smiles-{digest}.npz", ("smiles",), compute)[0].tolist())


def _valid(molecules: Sequence[Any]) -> list[Any]:
    return [molecule for molecule in molecules if molecule is not None]


def _take(samples: Any, rows: slice) -> Any:
    return jax.tree.map(lambda x: x[rows], samples)
