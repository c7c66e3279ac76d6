"""QM9 molecules as SELFIES (Krenn et al. 2020, arXiv:1905.13741), which are always valid, with the text networks of WGAN-GP.

    gan_jax train molecules/qm9_selfies

Time: 3.4 to 3.9 min of CPU time
Measured: 73.1%, 69.8%, 71.7% of samples are new molecules, 3 seeds

On two shared CPU cores, jax 0.10.2, seeds 0, 1, 2. Of 5,000 samples, all are valid by construction, 92% to 93% unique. Training
molecules in brackets: scaffold similarity .58 to .68 (.92), mean QED .44 (.465), logP .66 to .77 (.30), SA 3.9 to 4.0 (4.2).
The number of atoms is not bounded: a few have more than 9.
"""

from gan_jax.config import Config

CONFIG = Config(
    data='molecules(path="qm9_smiles/small_mols.csv", form="selfies")',
    model="text_resnet",
    g_width=64,
    d_width=64,
    loss="wasserstein",
    penalty="gradient_penalty",
    gamma=10.0,
    d_steps=3,
    batch=64,
    g_lr=5e-4,
    d_lr=5e-4,
    b1=0.5,
    b2=0.9,
    ema=0.99,
    steps=1_000,
    eval_every=250,
    eval_samples=5_000,
)
