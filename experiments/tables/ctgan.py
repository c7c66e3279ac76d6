"""CTGAN as published, for a table of your own: Adam(2e-4; .5, .9), batch 500, packs of 10, two layers of 256.

    gan_jax train tables/ctgan --data 'table(path="adult.csv", target="income")'

Time: not run by us

Xu et al. 2019, arXiv:1907.00503, sections 4.4 and 5.3. 300 epochs of the 26,049 training rows of Adult's file are 15,600 steps.
`--z_dim` is 128 plus the number that the error message reports. Differences from the paper: no dropout and no weight
decay; conditions in place of its cross-entropy; an average of G; our own schema (gan_jax/data/tables/schema.py,
gan_jax/models/ctgan.py).
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

MADE = load_recipe(Path(__file__).with_name("made.py"))
RATES = {"g_lr": 2e-4, "g_lr_final": None, "d_lr": 2e-4, "d_lr_final": None}
CONFIG = replace(MADE, name="ctgan", **RATES, steps=15_600, eval_every=5_200, save_every=5_200)
