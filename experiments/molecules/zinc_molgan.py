"""MolGAN (De Cao and Kipf 2018, arXiv:1805.11973) on drug-like molecules of up to 24 atoms, for a GPU.

    python experiments/train.py experiments/molecules/zinc_molgan.py --data 'molecules(path="mine.smi", atoms=24, charges=True)'

Networks twice as wide as the paper's, whose size is that of qm9_molgan.py; larger batches, more steps. z is 128 numbers and
1,464 for the noise: for other atoms, or more kinds of them, the error says how many. Not run by us at this size; we know of no
published figure, and a graph at one stroke gets harder with every atom.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

QM9 = load_recipe(Path(__file__).with_name("qm9_molgan.py"))
DATA = {"data": 'molecules(path="zinc_smiles/zinc_100k_24heavy.csv", atoms=24, charges=True)', "z_dim": 1_592}
EVERY = {"steps": 200_000, "schedule_steps": 200_000, "eval_every": 20_000, "save_every": 20_000, "eval_samples": 10_000}
CONFIG = replace(QM9, name="zinc_molgan", **DATA, g_width=256, d_width=128, batch=512, **EVERY)
