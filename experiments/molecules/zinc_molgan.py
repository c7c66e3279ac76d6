"""MolGAN (De Cao and Kipf 2018, arXiv:1805.11973) on drug-like molecules of up to 24 atoms.

    gan_jax train molecules/zinc_molgan --data 'molecules(path="mine.smi", atoms=24, charges=True)'

Time: needs a GPU, not run by us

The networks are twice as wide as in the paper and in qm9_molgan.py, with larger batches and more steps. z has 128 numbers plus
1,464 for the noise; for another number of atoms or elements, the error message says how many are needed. We know of no
published result; generating a graph in one step becomes harder with every atom.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

QM9 = load_recipe(Path(__file__).with_name("qm9_molgan.py"))
DATA = {"data": 'molecules(path="zinc_smiles/zinc_100k_24heavy.csv", atoms=24, charges=True)', "z_dim": 1_592}
SCHEDULE = {"steps": 200_000, "schedule_steps": 200_000, "eval_every": 20_000, "save_every": 20_000, "eval_samples": 10_000}
CONFIG = replace(QM9, name="zinc_molgan", **DATA, g_width=256, d_width=128, batch=512, **SCHEDULE)
