"""Fashion-MNIST, 28x28, by the small DCGAN of mnist_dcgan.py, for longer: clothes have texture, which digits have not.

python experiments/train.py experiments/images/fashion_mnist_dcgan.py
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

MNIST = load_recipe(Path(__file__).with_name("mnist_dcgan.py"))
CONFIG = replace(MNIST, name="fashion_mnist_dcgan", data="tfds:fashion_mnist", steps=24_000)
