"""Molecules as graphs of atoms and bonds, from files of SMILES.

A sample is a one-hot `Graph`: the type of the atom at each node, or none, and the type of the bond between two nodes, or none.
"""

import hashlib
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np

from gan_jax.data.dataset import Format, Presentation, Source, Split
from gan_jax.data.molecules import autoencoder
from gan_jax.data.molecules.evaluator import evaluator
from gan_jax.data.molecules.files import Smiles, rdkit, read_smiles
from gan_jax.data.molecules.forms import DECODERS, Decoder, Form, graph_of_atoms, latent_code, selfies_sequence
from gan_jax.data.molecules.graphs import MAX_ATOMS, OPTIONS, TOO_LARGE, Encoded, encode
from gan_jax.data.paths import locate
from gan_jax.data.reading import counted, split_rows
from gan_jax.errors import InputError
from gan_jax.spec.expressions import bind, parse_call
from gan_jax.storage.cache import cached
from gan_jax.types import Graph, Sample

FORMS = ("graph", "selfies", "latent")
HELD_OUT = 0.1  # fraction of the molecules
MIN_TRAIN = 10  # training molecules; at least half as many must be held out
# The data set if no `path` is given.
SMALL_MOLECULES = """
C CC CCC CCCC CC(C)C C=C CC=C C#C CC#C C1CC1 C1CCC1 C1CCCC1 C1CCCCC1 O CO CCO CCCO CC(C)O OCCO OCC(O)CO COC CCOCC C1CO1
C1CCOC1 C1COCCO1 C=O CC=O CCC=O CC(C)=O O=CO CC(=O)O CCC(=O)O CC(=O)OC CCOC(C)=O OC(=O)C(=O)O O=C(O)CO CC(O)C(=O)O N CN CCN
CNC CN(C)C NCCN NCCO C1CCNC1 C1CCNCC1 C1COCCN1 NC=O CC(N)=O CN(C)C=O NC(N)=O NCC(=O)O CC(N)C(=O)O C#N CC#N C=CC#N N#CC#N
c1ccccc1 Cc1ccccc1 Oc1ccccc1 Nc1ccccc1 Fc1ccccc1 c1ccncc1 c1ccoc1 c1cc[nH]c1 c1cnc[nH]1 c1cncnc1 FC FCF FC(F)F FC(F)(F)F
CC(F)F OCC(F)(F)F C1=CCCCC1 C1=CCCC1 C=CC=C CC(C)=C O=C1CCCC1 O=C1CCCCC1 O=C1CCO1 O=C1CCCN1 CC1CO1 CC1CCO1 OC1CCCC1 CCCCCCC
CC(C)(C)C CC(C)(C)O CCCCO CCCCCO CCC(C)C COCCOC COC=O CC(C)C=O OCC1CO1 CC(=O)CC(C)=O CNC(C)=O CCNCC NC1CC1 OC1CC1 CC1CC1
""".split()


def molecules(
    data_dir: str | None = None,
    *,
    path: str | None = None,
    column: str | int | None = None,
    atoms: int = 9,
    charges: bool = False,
    largest_fragment: bool = False,
    form: str = "graph",
) -> Source:
    """Read the molecules with at most `atoms` heavy atoms from a file of SMILES: one per line, or in a column of a delimited
    file, which is found by its header or its content, or named by `column` (see `files.read_smiles`); or from
    `tfds:qm9/original`, or another prepared data set with a feature `SMILES`, or `column`. A random tenth is held out. Without
    `path`, the data are a hundred small well-known molecules.

    RDKit sanitises the molecules; stereochemistry is removed, atoms are put in canonical order, and aromatic bonds become
    single and double bonds. Duplicates and molecules with radicals, isotopes, several fragments or, without `charges`, charged
    atoms are dropped, as are wildcards and reactions; the notes count them. With `largest_fragment`, salts and solvates are
    reduced to their largest fragment, whose charge remains. The result is cached. If `form` is "selfies", a sample is a one-hot
    sequence of symbols [T, V], for text networks. If it is "latent", a sample is the code of an autoencoder of SMILES, which
    is trained first; options of `autoencoder.vectors` follow in brackets: "latent(size=64)". Raises InputError if RDKit is
    missing, if the file cannot be read, or if too few molecules remain.
    """
    if type(atoms) is not int or not 2 <= atoms <= MAX_ATOMS:
        raise InputError(f"data molecules: atoms must be a whole number from 2 to {MAX_ATOMS}, got {atoms!r}")
    kind, options = parse_call(form) if isinstance(form, str) else (form, {})
    if kind not in FORMS:
        raise InputError(f"data molecules: form must be one of {', '.join(FORMS)}, got {form!r}")
    rdkit()
    smiles = Smiles(SMALL_MOLECULES, ()) if path is None else _smiles(path, data_dir, column)
    encoded = _encoded(smiles.texts, atoms, charges, largest_fragment)
    notes = (*smiles.notes, *_notes(encoded, atoms))
    train_rows, test_rows = split_rows(len(encoded.nodes), HELD_OUT)
    if len(test_rows) < MIN_TRAIN // 2 or len(train_rows) < MIN_TRAIN:
        found = "; ".join([str(len(encoded.nodes)), *notes])
        needed = f"a tenth is held out, which must be at least {MIN_TRAIN // 2}"
        raise InputError(f"data molecules: {path} has too few usable molecules of at most {atoms} atoms: {found}; {needed}")
    order, count = np.concatenate([test_rows, train_rows]), len(test_rows)
    graphs, train, test = Graph(encoded.nodes[order], encoded.bonds[order]), slice(count, None), slice(count)
    if kind == "latent":
        vectors = bind("data molecules", kind, autoencoder.vectors, options)
        representation = latent_code(graphs, encoded.elements, partial(vectors, train_rows=train))
    else:
        convert = graph_of_atoms if kind == "graph" else selfies_sequence
        representation = bind("data molecules", kind, convert, options)(graphs, encoded.elements)
    stored = Split(representation.stored, None)
    return Source(
        train=stored.take(train),
        test=stored.take(test),
        num_classes=0,
        to_float=representation.to_float,
        show=partial(_show, representation),
        export=partial(_export, representation),
        pack=partial(_pack, representation),
        evaluator=partial(evaluator, representation),
        num_shown=25,
        notes=notes,
        format=Format("molecules", {"form": kind, **representation.facts}),
    )


def presentation(form: str, **facts: Any) -> Presentation:
    """Return the presentation of molecules in the representation `form`, one of `FORMS`, that `facts` describe."""
    rdkit()
    decoder = DECODERS[form](**facts)
    return Presentation(
        show=partial(_show, decoder),
        pack=partial(_pack, decoder),
        decode=lambda samples: _pack(decoder, samples)["smiles"].tolist(),
        export=partial(_export, decoder),
    )


def _smiles(path: str, data_dir: str | None, column: str | int | None) -> Smiles:
    if not path.startswith("tfds:"):
        return read_smiles(locate(path, data_dir), column)
    from gan_jax.data.tfds import texts

    if type(column) is int:
        raise InputError(f'data molecules: {path} has features, not columns: name one, as in column="SMILES"')
    splits = texts(path.removeprefix("tfds:"), data_dir, column or "SMILES")
    return Smiles([text for split in splits for text in split.split("\n")], ())


def _encoded(smiles: list[str], atoms: int, charges: bool, largest_fragment: bool) -> Encoded:
    """Return the codes of molecules, with what was dropped. Cached."""
    settings = f"{version('rdkit')} {atoms} {charges} {largest_fragment}"
    digest = hashlib.sha256("\n".join([settings, *smiles]).encode()).hexdigest()[:32]
    return Encoded(
        *cached(f"molecules-{digest}.npz", Encoded._fields, lambda: encode(smiles, atoms, charges, largest_fragment))
    )


def _notes(encoded: Encoded, atoms: int) -> tuple[str, ...]:
    dropped = dict(zip(encoded.reasons.tolist(), encoded.counts.tolist(), strict=True))
    used = len(encoded.nodes)
    reasons = {reason + (f" ({OPTIONS[reason]})" if reason in OPTIONS else ""): count for reason, count in dropped.items()}
    notes = counted(used, used + sum(dropped.values()), "molecules", reasons)
    if TOO_LARGE.format(atoms) in dropped:
        fractions = encoded.sizes.cumsum() / encoded.sizes.sum()
        limits = {percent: int(np.argmax(fractions >= percent / 100)) for percent in (50, 90, 99)}
        advice = [f"atoms={limit} admits {percent}%" for percent, limit in limits.items() if atoms < limit < MAX_ATOMS]
        notes += (f"of otherwise usable molecules, {', '.join(advice)}",) if advice else ()
    for number, what in zip(encoded.ignored.tolist(), ("stereochemistry", "a CXSMILES extension"), strict=True):
        notes += (f"{number:,} SMILES have {what}, which is ignored",) if number else ()
    return notes


def _show(form: Form | Decoder, samples: Sample) -> dict[str, bytes]:
    """Return drawings of the structures, and their SMILES."""
    from gan_jax.data.molecules.drawing import picture

    return {".svg": picture(form.decode(form.encode(samples))), **_export(form, samples)}


def _export(form: Form | Decoder, samples: Sample) -> dict[str, bytes]:
    """Return a SMILES a line, empty for invalid samples."""
    return {".smi": "".join(f"{smiles}\n" for smiles in _pack(form, samples)["smiles"]).encode()}


def _pack(form: Form | Decoder, samples: Sample) -> dict[str, np.ndarray]:
    """Return the codes, the names that they stand for, and SMILES, empty for invalid samples."""
    from gan_jax.data.molecules.metrics import smiles_of

    codes = form.encode(samples)
    smiles = np.array(["" if molecule is None else smiles_of(molecule) for molecule in form.decode(codes)])
    return {**codes, **form.names, "smiles": smiles}
