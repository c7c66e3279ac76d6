"""Class-conditional Fashion-MNIST, 28x28: the game of mnist_conditional.py, trained longer, since clothes have texture.

    gan_jax train images/fashion_mnist_conditional

Time: not measured
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

MNIST = load_recipe(Path(__file__).with_name("mnist_conditional.py"))
CONFIG = replace(MNIST, name="fashion_mnist_conditional", data="tfds:fashion_mnist", steps=24_000)
