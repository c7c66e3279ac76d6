"""A few hundred of your own images with FastGAN (Liu et al. 2021, arXiv:2101.04775), at 256 pixels, in hours on one GPU.

    gan_jax train images/folder_fastgan --data 'mirrored:folder(path="photos", side=256)'
    --model 'fastgan(perceptual="gan_jax.data.images.perceptual:lpips")'    after `gan_jax weights vgg16`, or your own

Time: needs a GPU, not run by us

The authors' networks, hinge loss with random margins, DiffAugment's color and translation, and D's three reconstructions, whose
errors their code sums over the batch: gamma is its size. It is not their run to the letter:

- without `perceptual`, reconstructions are compared by absolute differences, not by LPIPS, whose weights have to be fetched;
- D's branch for small images receives G's image at every second pixel; their G has a second output of 128 pixels for it;
- the random margins of the hinge are averaged out, and each image reconstructs a random quarter of its own;
- G's images go through tanh, as theirs do at 1,024 pixels only.

Their table has nine data sets of 65 to 1,000 images at 256 and 1,024 pixels.
"""

from gan_jax.config import Config

CONFIG = Config(
    data='mirrored:folder(path="photos", side=256)',
    model="fastgan",
    loss="gan_jax.models.fastgan:random_margin_hinge",
    penalty="gan_jax.models.fastgan:reconstruction",
    gamma=8.0,
    augment="color + translation",
    z_dim=256,
    g_lr=2e-4,
    d_lr=2e-4,
    b1=0.5,
    b2=0.999,
    ema=0.999,
    batch=8,
    steps=50_000,
    eval_every=5_000,
    eval_samples=1_000,
)
