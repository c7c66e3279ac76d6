"""Drawings of molecules."""

import re
from collections.abc import Sequence
from typing import Any

from gan_jax.data.molecules.metrics import properties, smiles_of
from gan_jax.imaging import vector

COLUMNS, WIDTH, STRUCTURE, HEIGHT = 5, 190, 130, 192  # molecules beside each other; a tile and the structure in it, in pixels
NAMES = {"qed": "drug-likeness", "logp": "logP", "sa": "accessibility"}
# Colours of the elements that can be read on light and on dark paper; carbon has the colour of the text.
PALETTE = {7: (0.24, 0.47, 0.95), 8: (0.88, 0.24, 0.2), 9: (0.15, 0.6, 0.45), 16: (0.7, 0.53, 0.05), 17: (0.15, 0.6, 0.25)}
MAX_NAME = 28  # characters of a SMILES under a structure


def picture(molecules: Sequence[Any]) -> bytes:
    """Return an SVG of the structures, each with its SMILES, its formula and its properties, in the order of the samples. Those
    that are not molecules, None, are counted, not drawn: they would be most of the picture early in training."""
    valid = [molecule for molecule in molecules if molecule is not None]
    body = vector.text(0, 14, f"{len(valid)} of {len(molecules)} samples are molecules", 13)
    for i, molecule in enumerate(valid):
        body += f'<g transform="translate({i % COLUMNS * WIDTH} {26 + i // COLUMNS * HEIGHT})">{_tile(molecule)}</g>'
    listed = ", ".join(smiles_of(molecule) for molecule in valid[:8]) + (", ..." if len(valid) > 8 else "")
    description = f"{len(valid)} of {len(molecules)} samples are molecules{f': {listed}' if valid else ''}"
    return vector.document(COLUMNS * WIDTH, 26 + -(-len(valid) // COLUMNS) * HEIGHT, body, description)


def _tile(molecule: Any) -> str:
    from rdkit.Chem.rdMolDescriptors import CalcMolFormula

    name = smiles_of(molecule)
    name = name if len(name) <= MAX_NAME else f"{name[: MAX_NAME - 1]}…"
    values = ", ".join(f"{NAMES[key]} {value:.2f}" for key, value in properties(molecule).items())
    lines = (vector.text(WIDTH / 2, STRUCTURE + 14, name, min(11.0, 1.65 * WIDTH / max(len(name), 1)), "middle"),)
    lines += (vector.text(WIDTH / 2, STRUCTURE + 28, CalcMolFormula(molecule), 10.5, "middle", "muted"),)
    first, _, rest = values.rpartition(", ")
    for i, text in enumerate((first, rest)):
        lines += (vector.text(WIDTH / 2, STRUCTURE + 41 + 12 * i, text, 10, "middle", "muted"),)
    return _structure(molecule) + "".join(lines)


def _structure(molecule: Any) -> str:
    """The elements of RDKit's drawing, with its black as the colour of the text."""
    from rdkit.Chem.Draw import rdMolDraw2D

    drawing = rdMolDraw2D.MolDraw2DSVG(WIDTH, STRUCTURE, -1, -1, True)  # True: letters as text, not as outlines
    options = drawing.drawOptions()
    options.clearBackground = False
    options.setAtomPalette({6: (0, 0, 0), -1: (0, 0, 0), **PALETTE})
    options.fixedBondLength, options.padding = 24, 0.06
    rdMolDraw2D.PrepareAndDrawMolecule(drawing, molecule)
    drawing.FinishDrawing()
    content = re.search(r"<svg[^>]*>(.*)</svg>", drawing.GetDrawingText(), re.DOTALL)[1]
    # Without comments and values that are the default anyway, which are most of the file.
    content = re.sub(r"<!--.*?-->| class='[^']*'|\n|fill-rule:evenodd;|stroke-line\w+:\w+;|;?stroke-opacity:1", "", content)
    return content.replace("#000000", "var(--ink)")
