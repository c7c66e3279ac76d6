"""Molecules: SMILES, SELFIES and graphs, their metrics and drawings."""
