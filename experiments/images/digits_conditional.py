"""UCI digits by class: the label goes to G beside its latents, to D as a projection (Miyato and Koyama 2018, arXiv:1802.05637).

    python experiments/train.py experiments/images/digits_conditional.py

`python experiments/sample.py RUN_DIR --label 3` draws one class; the grids have a class a column.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

DIGITS = load_recipe(Path(__file__).with_name("digits.py"))
CONFIG = replace(DIGITS, name="digits_conditional", g_condition="concat", d_condition="projection")
