"""Fashion-MNIST, 28x28: the small DCGAN of mnist_conditional.py without labels, trained longer, since clothes have texture.

    gan_jax train images/fashion_mnist_dcgan

Time: 17 min of CPU time
Measured: fd .226 (real .067), inception score 6.61 (7.31), one seed

On two shared CPU cores, jax 0.10.2, seed 0: 24 min while other jobs ran. In the features of a classifier with 88.2% test
accuracy, real images in brackets: precision .870 (.945), recall .933 (.947), coverage .873 (.968); every class has 9.0% to
10.9% of samples. Shoes, trousers, pullovers and dresses are clean; sandals and patterns are not. 14,000 steps without other
jobs took 11 min and ended at fd .384. What helps on MNIST does not help here: with a batch of 32 and 36,000 steps, 15 minutes
on one core, a z of 16 numbers ended at .232 and one of 32 at .430 (seed 11).
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

MNIST = load_recipe(Path(__file__).with_name("mnist_conditional.py"))
CONFIG = replace(
    MNIST,
    name="fashion_mnist_dcgan",
    data="tfds:fashion_mnist",
    g_condition="none",
    d_condition="none",
    steps=24_000,
)
