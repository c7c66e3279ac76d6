"""Your own images with StyleGAN2 and adaptive augmentation: a few thousand images of one domain, at 128 or 256 pixels.

    gan_jax train images/folder_stylegan2 --data 'mirrored:folder(path="photos", side=128)'

Time: needs a GPU, not run by us

The authors' settings for any data set (Karras et al. 2020, arXiv:2006.06676, and their code): half the channels, a mapping
network of two layers, R1 with gamma .0002 side^2 / batch (.051 at 128 pixels, .2 at 256), path length regularisation, and
learning rates and b2 corrected for lazy penalties. They train on 25 million images and often stop at five. Differences: they
use float16 at the four largest sizes; here a penalty joins the step of the loss, there it is a step of its own. Omit mirrored:
if left and right differ, as in writing. It is better to start from a published generator: `gan_jax weights`
turns its weights into a run for --fork_from.
"""

from gan_jax.config import Config

CONFIG = Config(
    data='mirrored:folder(path="photos", side=128)',
    model="stylegan2(mapping=2)",
    z_dim=512,
    loss="non_saturating",
    penalty="r1",
    gamma=0.0512,
    penalty_every=16,
    g_penalty="path_length",
    g_gamma=2.0,
    g_penalty_every=4,
    augment="ada",
    augment_target=0.6,
    augment_kimg=500.0,
    g_lr=2e-3,
    g_optimizer="adam(b2=0.99199)",
    d_lr=2.353e-3,
    d_optimizer="adam(b2=0.99059)",
    ema_half_life=20_000.0,
    ema_ramp=0.05,
    batch=64,
    steps=390_625,
    eval_every=5_000,
    save_every=1_000,
)
