"""Class-conditional UCI digits: labels concatenated to G's latents, projection in D (Miyato and Koyama 2018, arXiv:1802.05637).

    python experiments/train.py experiments/images/digits_conditional.py

Measured on two shared CPU cores, jax 0.10.2, seed 0: 49 s from command to report. Real images in brackets: fd 1.28 (1.21),
inception score 9.70 (9.57), precision .976 (.971), recall .80 (.958); 99.1% of samples are classified as their label.
Samples are closer to the 898 training images than held-out images are (nearest_train .88; the recipe without labels: 1.07).

`python experiments/sample.py RUN_DIR --label 3` draws one class; grids have one class per column.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

DIGITS = load_recipe(Path(__file__).with_name("digits.py"))
CONFIG = replace(DIGITS, name="digits_conditional", g_condition="concat", d_condition="projection")
