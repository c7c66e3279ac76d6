"""LatentGAN as published (Prykhodko et al. 2019, doi:10.1186/s13321-019-0397-9), on drug-like molecules of ZINC.

    gan_jax train molecules/zinc_latentgan

Time: needs a GPU, not run by us

For other SMILES pass `--data` as below with another path. Autoencoder and GAN have the sizes of MOSES (arXiv:1811.12823), which
reports, for training on 1.6 million molecules of ZINC, .897 valid, .997 of 10,000 unique and .949 novel (of 30,000 samples).
Differences: gated recurrent units in place of LSTMs, and a cosine learning rate, in the autoencoder; 100,000 molecules; 450,000
steps, there 2,000 epochs; an average of G. qm9_latentgan.py is a version for two CPU cores.
"""

from dataclasses import replace
from pathlib import Path

from gan_jax.config import load_recipe

QM9 = load_recipe(Path(__file__).with_name("qm9_latentgan.py"))
ENCODER = "latent(size=512, width=512, layers=4, epochs=100)"
DATA = f'molecules(path="zinc_smiles/zinc_100k_24heavy.csv", atoms=24, charges=True, form="{ENCODER}")'
SCHEDULE = {"steps": 450_000, "eval_every": 50_000, "save_every": 50_000, "eval_samples": 30_000}
CONFIG = replace(QM9, name="zinc_latentgan", data=DATA, z_dim=512, batch=64, **SCHEDULE)
