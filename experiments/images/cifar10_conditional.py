"""Class-conditional CIFAR-10 for two CPU cores: DCGAN's networks at full width (Radford et al. 2016, arXiv:1511.06434), with
spectral norm and the hinge loss; labels in G's batch norm, and projection in D (Miyato and Koyama 2018, arXiv:1802.05637).

    gan_jax train images/cifar10_conditional

Time: 70 min of CPU time
Measured: fid10k_test 51.8, fd .069 (real .047), one seed

Measured on one of two CPU cores, while other jobs used the other one, jax 0.10.2, seed 0: 77 min from command to report, 70 min
of CPU time; images and labels of CIFAR-10 from an .npz. In the features of a classifier with 59.6% test accuracy, real images
in brackets: fd .069 (.047), inception score 3.06 (3.10), precision .888 (.895), recall .888 (.905), coverage .960 (.973); 60.4%
of samples are classified as their label. The grid looks like CIFAR-10: ships, lorries and horses can be recognised; animals are
often malformed. With the network of the FID, against all test images: fid10k_test 51.8, kid .0331 ± .0004; published for
StudioGAN's DCGAN without labels: FID 48.3, by another protocol (50,000 samples against the training images).
"""

from gan_jax.config import Config

CONFIG = Config(
    data="tfds:cifar10",
    model="dcgan",
    g_width=64,
    d_width=64,
    d_norm="spectral",
    g_condition="norm",
    d_condition="projection",
    loss="hinge",
    g_lr=1e-3,
    g_lr_final=1e-4,
    d_lr=2e-3,
    d_lr_final=2e-4,
    batch=64,
    steps=13_000,
    eval_every=6_500,
    save_every=1_000,
)
