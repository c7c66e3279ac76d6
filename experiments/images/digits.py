"""UCI handwritten digits, 8x8, 1,797 real images that come with scikit-learn: the recipe that needs no network.

python experiments/train.py
"""

from gan_jax.config import Config

CONFIG = Config(
    data="digits",
    model="mlp",
    g_norm="batch",
    d_norm="spectral",
    loss="hinge",
    augment="translation",
    g_lr=8e-4,
    d_lr=8e-4,
    b1=0.0,
    b2=0.99,
    steps=20_000,
    eval_every=2_000,
    save_every=2_000,
)
