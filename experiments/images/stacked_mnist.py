"""Stacked MNIST: three digits as the channels of one image, 1,000 modes; how many of them does the generator find?

    python experiments/train.py experiments/images/stacked_mnist.py

Scored as in VEEGAN (Srivastava et al. 2017, arXiv:1705.07761): 26,000 samples, a classifier of ours on each channel.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

MNIST = load_recipe(Path(__file__).with_name("mnist_dcgan.py"))
CONFIG = replace(MNIST, name="stacked_mnist", data="stacked:tfds:mnist", steps=30_000, eval_samples=26_000)
