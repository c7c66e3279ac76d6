"""Molecules: graphs of atoms and bonds, from files of SMILES.

A sample is a one-hot `Graph`: the type of the atom at each node, or none, and the type of the bond between two nodes, or none.
"""

import csv
import hashlib
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any, NamedTuple

import jax
import numpy as np

from gan_jax.data.dataset import Data, Measure, Protocol, Source, Split
from gan_jax.data.molecules import autoencoder, selfies
from gan_jax.data.paths import locate
from gan_jax.data.text import corpus
from gan_jax.errors import InputError
from gan_jax.spec.expressions import bind, parse_call
from gan_jax.storage.cache import cached
from gan_jax.types import Graph, Sample

FORMS = ("graph", "selfies", "latent")
BONDS = 4  # none, single, double, triple; aromatic bonds alternate between single and double
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


class Form(NamedTuple):
    """A representation of molecules for networks."""

    stored: Any  # all molecules, as in a Split
    names: dict[str, np.ndarray]  # what the codes stand for: names of elements or symbols
    to_float: Callable[[Any], Sample]
    to_molecules: Callable[[Any], list[Any]]  # stored molecules -> RDKit molecules
    encode: Callable[[Sample], dict[str, np.ndarray]]  # samples as networks generate them -> arrays for an .npz
    decode: Callable[[dict[str, np.ndarray]], list[Any]]  # these arrays -> RDKit molecules, None for invalid ones


def molecules(
    data_dir: str | None = None, *, path: str | None = None, atoms: int = 9, charges: bool = False, form: str = "graph"
) -> Source:
    """Read the molecules with at most `atoms` heavy atoms from a file of SMILES: a csv with a column `smiles`, else one SMILES
    per line; or from `tfds:qm9/original`, or another prepared data set with a feature `SMILES`. A tenth is held out. Without
    `path`, the data are a hundred small well-known molecules.

    RDKit sanitises the molecules; stereochemistry is removed, atoms are put in canonical order, and aromatic bonds become
    single and double bonds. Duplicates and molecules with radicals, isotopes, several fragments or, without `charges`, charged
    atoms are dropped; the result is cached. If `form` is "selfies", a sample is a one-hot sequence of symbols [T, V], for text
    networks. If it is "latent", a sample is the code of an autoencoder of SMILES, which is trained first; options of
    `autoencoder.vectors` follow in brackets: "latent(size=64)". Raises InputError if RDKit is missing, if the file cannot be
    read, or if too few molecules remain.
    """
    if type(atoms) is not int or not 2 <= atoms <= 100:
        raise InputError(f"data molecules: atoms must be a whole number from 2 to 100, got {atoms!r}")
    kind, options = parse_call(form) if isinstance(form, str) else (form, {})
    if kind not in FORMS:
        raise InputError(f"data molecules: form must be one of {', '.join(FORMS)}, got {form!r}")
    _rdkit()
    nodes, bonds, elements = encode(SMALL_MOLECULES, atoms) if path is None else _file(path, data_dir, atoms, charges)
    # A fixed random order, so that the held-out molecules represent a sorted file.
    order = np.random.RandomState(0).permutation(len(nodes))
    count = round(HELD_OUT * len(order))
    if count < MIN_TRAIN // 2 or len(order) - count < MIN_TRAIN:
        raise InputError(f"data molecules: {path} has too few usable molecules of at most {atoms} atoms: {len(order)}")
    graphs, train, test = Graph(nodes[order], bonds[order]), slice(count, None), slice(count)
    if kind == "latent":
        vectors = bind("data molecules", kind, autoencoder.vectors, options)
        representation = _latent(graphs, elements, partial(vectors, train_rows=train))
    else:
        representation = bind("data molecules", kind, _graph if kind == "graph" else _selfies, options)(graphs, elements)
    return Source(
        train=Split(_take(representation.stored, train), None),
        test=Split(_take(representation.stored, test), None),
        num_classes=0,
        to_float=representation.to_float,
        show=partial(_show, representation),
        export=partial(_export, representation),
        pack=partial(_pack, representation),
        evaluator=partial(_evaluator, representation),
        num_shown=25,
    )


def _graph(graphs: Graph, elements: np.ndarray) -> Form:
    to_molecules = partial(decode_graphs, elements.tolist())
    return Form(
        stored=graphs,
        names={"elements": elements},
        to_float=partial(one_hot, kinds=len(elements) + 1),
        to_molecules=to_molecules,
        encode=lambda samples: most_likely(samples)._asdict(),
        decode=lambda codes: to_molecules(Graph(**codes)),
    )


def _selfies(graphs: Graph, elements: np.ndarray) -> Form:
    ids, symbols = selfies.encode(lambda: decode_graphs(elements.tolist(), graphs), _digest(graphs, elements))
    return Form(
        stored=ids,
        names={"symbols": symbols},
        to_float=partial(corpus.one_hot, size=len(symbols) + 1),
        to_molecules=partial(selfies.decode, symbols.tolist()),
        encode=lambda samples: {"selfies": most_likely(samples)},
        decode=lambda codes: selfies.decode(symbols.tolist(), codes["selfies"]),
    )


def _latent(graphs: Graph, elements: np.ndarray, autoencode: Callable[..., tuple[np.ndarray, Callable]]) -> Form:
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


def one_hot(stored: Graph, kinds: int) -> Graph:
    """Convert codes [..., N] and [..., N, N] to float32 [..., N, kinds] and [..., N, N, BONDS], in NumPy or inside jit."""
    nodes, bonds = (
        (codes[..., None] == np.arange(size, dtype=codes.dtype).reshape(*(1,) * codes.ndim, -1)).astype(np.float32)
        for codes, size in zip(stored, (kinds, BONDS), strict=True)
    )
    return Graph(nodes, bonds)


def encode(smiles: Sequence[str], atoms: int, charges: bool = False) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Convert SMILES to codes of atoms [M, atoms] and bonds [M, atoms, atoms], uint8, without unusable molecules and
    duplicates. The third value is the symbols of the elements [T], charged ones such as N+1, most frequent (code 1) first."""
    Chem = _rdkit()
    by_smiles = {}
    for text in smiles:
        molecule = Chem.MolFromSmiles(text)
        if molecule is None or not 1 <= molecule.GetNumAtoms() <= atoms or not _usable(molecule, charges):
            continue
        Chem.RemoveStereochemistry(molecule)
        canonical = Chem.MolToSmiles(molecule)
        if canonical not in by_smiles and "." not in canonical:
            molecule = Chem.MolFromSmiles(canonical)  # puts the atoms in canonical order
            Chem.Kekulize(molecule, clearAromaticFlags=True)
            by_smiles[canonical] = molecule
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
    return nodes, bonds, elements


def _usable(molecule: Any, charges: bool) -> bool:
    atoms = molecule.GetAtoms()
    return not any((a.GetFormalCharge() and not charges) or a.GetNumRadicalElectrons() or a.GetIsotope() for a in atoms)


def _symbol(atom: Any) -> str:
    charge = atom.GetFormalCharge()
    return f"{atom.GetSymbol()}{charge:+d}" if charge else atom.GetSymbol()


def _file(path: str, data_dir: str | None, atoms: int, charges: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    content = _content(path, data_dir)
    digest = hashlib.sha256(f"{atoms}{' charges' * charges} {content}".encode()).hexdigest()[:32]
    return cached(f"molecules-{digest}.npz", ("nodes", "bonds", "elements"), lambda: encode(_smiles(content), atoms, charges))


def _content(path: str, data_dir: str | None) -> str:
    if path.startswith("tfds:"):
        from gan_jax.data.tfds import texts

        return "\n".join(texts(path.removeprefix("tfds:"), data_dir, "SMILES"))
    file = locate(path, data_dir)
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"data molecules: {file} cannot be read as UTF-8: {error}") from error


def _smiles(content: str) -> list[str]:
    """Return the column `smiles` of a csv, else the first word of each line."""
    lines = content.splitlines()
    header = [name.strip().lower() for name in lines[0].split(",")] if lines else []
    if "smiles" not in header:
        return [line.split()[0] for line in lines if line.strip()]
    column = header.index("smiles")
    return [row[column].strip() for row in csv.reader(lines[1:]) if len(row) > column]


def _rdkit() -> Any:
    """Import RDKit's Chem module and silence its messages about rejected molecules."""
    try:
        from rdkit import Chem, RDLogger
    except ImportError as error:
        raise InputError(f"data molecules need RDKit: pip install 'gan_jax[molecules]' ({error})") from error
    RDLogger.DisableLog("rdApp.*")
    return Chem


def decode_graphs(elements: Sequence[str], graphs: Graph) -> list[Any]:
    """Convert codes to RDKit molecules, None for invalid ones."""
    from gan_jax.data.molecules.metrics import molecule_of

    return [molecule_of(*codes, elements) for codes in zip(*graphs, strict=True)]


def _show(form: Form, samples: Sample) -> dict[str, bytes]:
    """Return drawings of the structures, and their SMILES."""
    from gan_jax.data.molecules.drawing import picture

    return {".svg": picture(form.decode(form.encode(samples))), **_export(form, samples)}


def _export(form: Form, samples: Sample) -> dict[str, bytes]:
    """Return a SMILES a line, empty for invalid samples."""
    return {".smi": "".join(f"{smiles}\n" for smiles in _pack(form, samples)["smiles"]).encode()}


def _pack(form: Form, samples: Sample) -> dict[str, np.ndarray]:
    """Return the codes, the names that they stand for, and SMILES, empty for invalid samples."""
    from gan_jax.data.molecules.metrics import smiles_of

    codes = form.encode(samples)
    smiles = np.array(["" if molecule is None else smiles_of(molecule) for molecule in form.decode(codes)])
    return {**codes, **form.names, "smiles": smiles}


def most_likely(samples: Sample) -> Any:
    """Convert one-hot or soft samples to the most likely types, uint8: atoms [B, N] and bonds [B, N, N], or symbols [B, T]."""
    return jax.tree.map(lambda x: np.asarray(x).argmax(axis=-1).astype(np.uint8), samples)


def _take(samples: Any, rows: slice) -> Any:
    return jax.tree.map(lambda x: x[rows], samples)


def _train_smiles(form: Form, data: Data) -> set[str]:
    """Return the canonical SMILES of the training molecules. Cached: a hundred thousand take a minute."""
    from gan_jax.data.molecules.metrics import smiles_of

    digest = hashlib.sha256(f"{version('rdkit')} {data.checksum} {form.names}".encode()).hexdigest()[:32]

    def compute() -> tuple[np.ndarray]:
        return (np.array([smiles_of(molecule) for molecule in form.to_molecules(data.train.samples) if molecule is not None]),)

    return set(cached(f"smiles-{digest}.npz", ("smiles",), compute)[0].tolist())


def _evaluator(form: Form, data: Data, protocol: Protocol = Protocol()) -> Measure:
    from gan_jax.data.molecules.metrics import molecule_metrics

    if protocol.extractor or not set(protocol.metrics) <= {"fcd", "all"}:
        raise InputError(f"{data.name} is evaluated by RDKit: leave off --extractor, and --metrics other than fcd")
    chemnet = "fcd" in protocol.metrics or ("all" in protocol.metrics and find_spec("fcd") is not None)
    first = slice(protocol.max_samples)
    held_out = [molecule for molecule in form.to_molecules(_take(data.test.samples, first)) if molecule is not None]

    def real(count: int) -> list[Any]:
        """Return training molecules after conversion to the networks' representation and back."""
        return form.decode(form.encode(data.to_float(_take(data.train.samples, slice(count)))))

    measure = molecule_metrics(_train_smiles(form, data), held_out, real, protocol.errors, chemnet)

    def measure_samples(samples: Sample, label: np.ndarray | None = None) -> dict[str, float]:
        return measure(form.decode(form.encode(_take(samples, first))))

    description = (
        f"molecules compared by RDKit with {data.test.count:,} held-out ones of {data.name}; novel: not among the "
        f"{data.train.count:,} training ones; values of real molecules: of training ones, in the networks' representation"
    )
    facts = {"data": data.name, "checksum": data.checksum, "held_out": data.test.count, "train": data.train.count}
    return Measure(measure_samples, description, facts)
