"""Drawings of molecules."""

from collections.abc import Sequence
from typing import Any

from gan_jax.data.molecules.metrics import PROPERTIES, properties

COLUMNS, TILE = 5, (180, 170)  # columns of a picture, and size of a tile in pixels


def picture(molecules: Sequence[Any]) -> bytes:
    """Return an SVG of the structures with their properties; invalid samples, None, have an empty tile."""
    from rdkit import Chem
    from rdkit.Chem.Draw import rdMolDraw2D

    legends = []
    for molecule in molecules:
        values = {} if molecule is None else properties(molecule)
        legends.append(", ".join(f"{PROPERTIES[name]} {value:.2f}" for name, value in values.items()) or "not valid")
    rows = -(-len(molecules) // COLUMNS)
    drawing = rdMolDraw2D.MolDraw2DSVG(COLUMNS * TILE[0], rows * TILE[1], *TILE)
    drawing.DrawMolecules([Chem.Mol() if molecule is None else molecule for molecule in molecules], legends=legends)
    drawing.FinishDrawing()
    return drawing.GetDrawingText().encode()
