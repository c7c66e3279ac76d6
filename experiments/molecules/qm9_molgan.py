"""Molecules of QM9 by MolGAN (De Cao and Kipf 2018, arXiv:1805.11973), its reward left out.

    python experiments/train.py experiments/molecules/qm9_molgan.py

Measured on two shared CPU cores, jax 0.10.2, seed 0: 20 min beside other trainings (12 of CPU time). Of 5,000 samples 81.3%
are valid, of these 45.8% unique, of these 56.0% not in the training split: 20.9% are new molecules (the paper's figures, .981,
.104 and .942, make 9.6%). With two d_steps and no decay, after 8,000 steps, 3.6 min (5.5): .786 x .358 x .581 = 16.3%.
"""

from gan_jax.config import Config

CONFIG = Config(
    data='molecules(path="qm9_smiles/small_mols.csv")',
    model="molgan",
    z_dim=32,
    loss="wasserstein",
    penalty="gradient_penalty",
    gamma=10.0,
    d_steps=3,
    g_lr=5e-4,
    g_lr_final=5e-5,
    d_lr=5e-4,
    d_lr_final=5e-5,
    b1=0.5,
    b2=0.9,
    steps=12_000,
    schedule_steps=20_000,
    eval_every=4_000,
    eval_samples=5_000,
)
