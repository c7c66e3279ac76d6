"""MNIST by class: the label scales G's norm layers, as in BigGAN, and goes to D as a projection (arXiv:1802.05637).

    python experiments/train.py experiments/images/mnist_conditional.py

`python experiments/sample.py RUN_DIR --label 3` draws one class; the grids have a class a column.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

MNIST = load_recipe(Path(__file__).with_name("mnist_dcgan.py"))
CONFIG = replace(MNIST, name="mnist_conditional", g_condition="norm", d_condition="projection")
