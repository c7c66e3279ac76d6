"""QM9 molecules with LatentGAN (Prykhodko et al. 2019, doi:10.1186/s13321-019-0397-9), at a size for two CPU cores.

    gan_jax train molecules/qm9_latentgan

Time: 13 min of CPU time
Measured: 26.8%, 27.6%, 27.2% of samples are new molecules, 3 seeds

An autoencoder of SMILES is first trained and cached; the GAN generates its latent vectors. On two shared CPU cores, jax 0.10.2,
seeds 0, 1, 2, 3 minutes are for the GAN (the GAN alone: 2.2 with seeds 1 and 2). Of 5,000 samples 78.0%, 78.8%, 78.9% are
valid, 93% of these unique, 37% to 38% of these not in the training split. Wasserstein distance to held-out molecules: QED .003
to .006, logP .05 to .08, SA .10 to .16; scaffold similarity .76 to .79. Training molecules after the autoencoder: .005, .07,
.11, .80.

The autoencoder reconstructs only 14% of them exactly, so part of this result is due to its decoder: latents drawn from a normal
distribution with the covariance of the real ones give 56% valid and 25.4% new molecules, at .007, .11, .17 and .74.
"""

from gan_jax.config import Config

CONFIG = Config(
    data='molecules(path="qm9_smiles/small_mols.csv", form="latent(size=32, width=128, epochs=8)")',
    model="mlp",
    z_dim=32,
    g_depth=4,
    g_norm="batch",
    d_depth=2,
    loss="wasserstein",
    penalty="gradient_penalty",
    gamma=10.0,
    d_steps=5,
    b1=0.5,
    b2=0.999,
    steps=10_000,
    eval_every=2_500,
    save_every=2_500,
    eval_samples=5_000,
)
