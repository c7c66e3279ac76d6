"""QM9 molecules with MolGAN (De Cao and Kipf 2018, arXiv:1805.11973), without its reward.

    gan_jax train molecules/qm9_molgan

Time: 6 to 10 min on one core
Measured: 15.1 +- .5% of samples are new molecules, 3 seeds

Gumbel noise replaces the paper's soft choices, which after 12,000 steps with three d_steps gave 20.9% new molecules in 5,000
samples with seed 0 and 6.2% with seed 1. Longer is not better: 16,000 steps of seed 0 gave 10.9%, 21% of the valid ones unique.

On one of two CPU cores, while other jobs used the other one, jax 0.10.2, of 5,000 samples: seed 0: 73.9% valid x 31.2% unique x
62.1% novel = 14.3%; 1: .671 x .343 x .652 = .150; 2: .727 x .360 x .611 = .160. Further differences from the authors'
example_GAN.py, whose settings are not those of the paper's experiments: half the learning rate, which falls; b1 .5, b2 .9; 32
numbers in z, there 8; two D steps for four; an average of G.
"""

from gan_jax.config import Config

CONFIG = Config(
    data='molecules(path="qm9_smiles/small_mols.csv")',
    model='molgan(relaxation="gumbel")',
    z_dim=245,  # 32, plus 213 for the noise
    loss="wasserstein",
    penalty="gradient_penalty",
    gamma=10.0,
    d_steps=2,
    g_lr=5e-4,
    g_lr_final=5e-5,
    d_lr=5e-4,
    d_lr_final=5e-5,
    b1=0.5,
    b2=0.9,
    steps=6_000,
    eval_every=2_000,
    eval_samples=5_000,
)
