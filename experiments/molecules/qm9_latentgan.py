"""Molecules of QM9 by LatentGAN (Prykhodko et al. 2019, doi:10.1186/s13321-019-0397-9), at a size for two CPU cores.

    python experiments/train.py experiments/molecules/qm9_latentgan.py

An autoencoder of SMILES comes first, and is cached; the game is played with its numbers. Measured on two shared CPU cores, jax
0.10.2, seeds 0, 1, 2: 13 min of CPU time, of which the game takes 3 (2.2 with seeds 1 and 2, alone). Of 5,000 samples 78.0%,
78.8%, 78.9% are valid, of these 93% unique, of these 37% to 38% not in the training split: 26.8%, 27.6%, 27.2% are new
molecules. Wasserstein distance of QED to held-out ones .003 to .006, logP .05 to .08, SA .10 to .16, scaffold similarity .76 to
.79; of training molecules that went through the autoencoder: .005, .07, .11, .80.

It gives back only 14% of them as they were, so what it writes is its own merit too: with numbers of a normal distribution of
their covariance in the generator's place 56% are valid and 25.4% new, at .007, .11, .17 and .74.
"""

from gan_jax.config import Config

CONFIG = Config(
    data='molecules(path="qm9_smiles/small_mols.csv", form="latent(size=32, width=128, epochs=8)")',
    model="mlp",
    z_dim=32,
    **{"g_depth": 4, "g_norm": "batch", "d_depth": 2},
    loss="wasserstein",
    penalty="gradient_penalty",
    gamma=10.0,
    d_steps=5,
    **{"b1": 0.5, "b2": 0.999},
    steps=10_000,
    **{"eval_every": 2_500, "save_every": 2_500, "eval_samples": 5_000},
)
