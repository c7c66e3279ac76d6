"""Molecules of QM9 by MolGAN (De Cao and Kipf 2018, arXiv:1805.11973), its reward left out.

    python experiments/train.py experiments/molecules/qm9_molgan.py

"""

from gan_jax.config import Config

CONFIG = Config(
    data='molecules(path="qm9_smiles/small_mols.csv")',
    model='molgan(relaxation="soft")',
    z_dim=32,
    loss="wasserstein",
    penalty="gradient_penalty",
    gamma=10.0,
    d_steps=2,
    batch=128,
    g_lr=5e-4,
    d_lr=5e-4,
    b1=0.5,
    b2=0.9,
    ema=0.999,
    steps=8_000,
    eval_every=1_000,
    save_every=2_000,
    eval_samples=5_000,
)
