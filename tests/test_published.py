"""The map to the papers: the published size of each network, and for each recipe every setting that its paper or the authors'
code states, with the differences that were chosen.

A difference between a recipe and its row fails, unless the row declares it; the recipe's docstring repeats each declaration.
Parameters are counted on abstract arrays."""

import ast
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import pytest

from gan_jax.config import Config, load_recipe
from gan_jax.game.resolve import find_networks

ROOT = Path(__file__).parents[1]
PATHS = {path.stem: path for path in sorted((ROOT / "experiments").glob("*/*.py"))}


class Network(NamedTuple):
    """A published size: parameters of G and D, exact, or in millions to two digits if the source says no more; None if the
    source has none. `label` is the shape of a label; () is a class."""

    source: str
    config: Config  # of which only the networks matter
    shape: tuple[int, ...]
    classes: int
    g: float | None
    d: float | None
    label: tuple[int, ...] = ()


BIGGAN = "printed by the authors' PyTorch code for ImageNet, without the state of batch norm"
STYLEGAN2 = "printed by the authors' code"
R3GAN = "table 9 of arXiv:2501.05441; by layer, two blocks per size of 768 channels, 96 groups of 16 in the middle"
LABELLED = {"g_condition": "concat", "d_condition": "projection"}
# fmt: off
NETWORKS = {
    "sngan-32": Network("arXiv:1802.05957, tables 4 and 5, by layer", Config(model="resnet", z_dim=128),
        (32, 32, 3), 0, 4_276_739, 1_053_825),
    "sagan-32": Network("SNGAN's, with arXiv:1805.08318's four maps without bias and a gain at 16x16 in each player, by layer",
        Config(model="resnet(attention=16, spectral=True)", z_dim=128),
        (32, 32, 3), 0, 4_276_739 + 81_921, 1_053_825 + 20_481),
    "biggan-32": Network("StudioGAN's big_resnet, src/models/big_resnet.py, by layer",
        load_recipe(PATHS["cifar10_biggan"]), (32, 32, 3), 10, 9_416_196, 2_415_170),
    "biggan-32, one chunk of z": Network("BigGAN-PyTorch's launch_cifar_ema.sh: 64 channels, no shared embedding, by layer",
        Config(model="biggan(hierarchy=False, attention=0)", g_width=64, d_width=64, z_dim=128),
        (32, 32, 3), 10, 4_304_387, 4_207_361),
    "biggan-128": Network(BIGGAN, Config(model="biggan", z_dim=120), (128, 128, 3), 1000, 70_433_988, 87_982_370),
    "biggan-256": Network(BIGGAN, Config(model="biggan", z_dim=119), (256, 256, 3), 1000, 82_108_548, 99_225_890),
    "biggan_deep-128": Network("pytorch-pretrained-biggan, less 125 unused channels of G's last layer; D as printed",
        Config(model="biggan_deep", z_dim=128), (128, 128, 3), 1000, 50_244_484, 34_590_210),
    "biggan_deep-256": Network("the same", Config(model="biggan_deep", z_dim=128),
        (256, 256, 3), 1000, 55_736_708, 38_247_426),
    "biggan_deep-512": Network("the same", Config(model="biggan_deep", z_dim=128),
        (512, 512, 3), 1000, 56_019_780, 38_301_122),
    "stylegan2-1024": Network(f"{STYLEGAN2}, configuration F", Config(model="stylegan2(base=32768)", z_dim=512),
        (1024, 1024, 3), 0, 30_370_060, 29_012_513),
    "stylegan2-256": Network(STYLEGAN2, Config(model="stylegan2", z_dim=512), (256, 256, 3), 0, 24_767_458, 24_001_089),
    "stylegan2-256-wide": Network(STYLEGAN2, Config(model="stylegan2(base=32768)", z_dim=512),
        (256, 256, 3), 0, 30_034_338, 28_864_129),
    "stylegan2-32": Network("stylegan2-ada-pytorch, --cfg=cifar: 512 channels, 2 mapping layers, no residuals; by layer",
        load_recipe(PATHS["cifar10_stylegan2_ada"]), (32, 32, 3), 0, 19_947_539, 20_720_641),
    "stylegan2-32, labels": Network("the same with --cond=1: embeddings of 10 classes, w from 1,024 numbers, 8 layers in D",
        Config(model="stylegan2(base=32768, mapping=2, mixing=0.0, residual=False)", z_dim=512, g_condition="norm",
            d_condition="projection"),
        (32, 32, 3), 10, 19_947_539 + 11 * 512 + 512**2,
        20_720_641 - 513 + 512**2 + 512 + 11 * 512 + 8 * (512**2 + 512)),
    "r3gan-stacked-mnist": Network(R3GAN, Config(model="r3gan"), (32, 32, 3), 0, 20.73, 20.68),
    "r3gan-32": Network(R3GAN, load_recipe(PATHS["cifar10_r3gan"]), (32, 32, 3), 10, 20_781_952, 21_280_512),
    "r3gan-64": Network(R3GAN, load_recipe(PATHS["ffhq64_r3gan"]), (64, 64, 3), 0, 22_429_824, 22_381_440),
    "r3gan-256": Network(R3GAN, load_recipe(PATHS["ffhq256_r3gan"]), (256, 256, 3), 0, 23.06, 23.01),
    "r3gan-imagenet-32": Network(R3GAN, load_recipe(PATHS["imagenet32_r3gan"]), (32, 32, 3), 1000, 82.91, 86.55),
    "r3gan-imagenet-64": Network(R3GAN, load_recipe(PATHS["imagenet64_r3gan"]), (64, 64, 3), 1000, 103_570_432, 107_205_120),
    "hifigan-v1": Network("arXiv:2010.05646, table 1 (13.92 million), by layer; D of spectrograms in place of scales",
        load_recipe(PATHS["ljspeech_hifigan"]), (8_192, 1), 32 * 80, 13_926_017, 41_386_672, (32 * 80,)),
    "hifigan-v2": Network("arXiv:2010.05646, table 1 (.92 million), by layer",
        Config(model="hifigan", g_width=128, z_dim=1, d_outputs=256), (8_192, 1), 32 * 80, 925_985, None, (32 * 80,)),
    "vocos": Network("arXiv:2306.00814, table 6 (13.5 million), by layer; 100 bands",
        Config(model="vocos(bands=100)", z_dim=1, d_outputs=512), (16_384, 1), 64 * 100, 13_531_650, None, (64 * 100,)),
    "wavegan": Network("arXiv:1802.04208, tables 3 and 4, d = 64, c = 1, by layer", Config(model="wavegan", z_dim=100),
        (16_384, 1), 0, 19_065_345, 17_427_969),
}
# fmt: on
SLOW = {"biggan_deep-512"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in NETWORKS])
def test_parameters(name):
    row = NETWORKS[name]
    label = jnp.zeros((4, *row.label), jnp.float32 if row.label else jnp.int32) if row.classes else None
    inputs = (jnp.zeros((4, row.config.z_dim)), jnp.zeros((4, *row.shape)))
    for network, x, published in zip(find_networks(row.config, row.shape, row.classes), inputs, (row.g, row.d), strict=True):
        if published is None:
            continue
        variables = jax.eval_shape(lambda x, network=network: network.init(jax.random.key(0), x, label, train=True), x)
        size = sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(variables["params"]))
        assert published == (size if type(published) is int else round(size / 1e6, 2)), (type(network).__module__, size)


@dataclass(frozen=True)
class Published:
    """What the paper or the authors' code states, by field of Config, or by "g.FIELD" and "d.FIELD" of the networks.

    `protocol`: how the figure that the docstring quotes was taken, in the docstring's words. `differences`: field -> the words
    in the docstring that declare it. `others`: differences in what is no field, in the docstring's words. `shape` and `classes`
    of the data."""

    source: str
    settings: dict[str, Any]
    protocol: str | None = None
    differences: dict[str, str] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    shape: tuple[int, ...] = (32, 32, 3)
    classes: int = 10


def adam(rate: float, b1: float, b2: float) -> dict[str, Any]:
    return {"g_lr": rate, "d_lr": rate, "b1": b1, "b2": b2}


CONSTANT = {"g_lr_final": None, "d_lr_final": None}
EPSILON = {"g_optimizer": "adam(eps=1e-6)", "d_optimizer": "adam(eps=1e-6)"}
STUDIOGAN = {  # src/config.py, whose values each configuration below overwrites in part
    **{"data": "mirrored:tfds:cifar10", "batch": 64, "z_dim": 128, "latent": "normal", "ema": 0.0, "augment": None},
    **{"d_steps": 5, "steps": 100_000, "penalty": None},
    **(adam(2e-4, 0.5, 0.999) | CONSTANT | EPSILON),
}
CONDITIONAL = {"g_condition": "norm", "d_condition": "projection", "loss": "hinge"}
STUDIOGAN_PROTOCOL = "50,000 samples against the train split, TensorFlow's Inception, standing statistics, best checkpoint"
STUDIOGAN_OTHERS = ("mixed precision", "epsilon 1e-4", "one label for each pair of real and fake samples")
WGAN_GP = {"loss": "wasserstein", "penalty": "gradient_penalty", "gamma": 10.0, "latent": "normal", **CONSTANT}
R3GAN_GAME = {
    **{"model": "r3gan", "z_dim": 64, "latent": "normal", "loss": "relativistic", "penalty": "r1_r2", "d_steps": 1},
    **{"schedule": "cosine", "g_lr": 2e-4, "g_lr_final": 5e-5, "d_lr": 2e-4, "d_lr_final": 5e-5, "b1": 0.0, "b2": 0.9},
    **{"b2_final": 0.99, "ema_half_life": 0.0, "ema_ramp": None, "augment_p": 0.0, "g.width": 768, "d.width": 768},
}
R3GAN_IMAGENET = R3GAN_GAME | {
    **{"batch": 4096, "steps": 1e9 / 4096, "schedule_steps": 200_000_000 / 4096, "ema_half_life_final": 5e7},
    **{"g.width": 1536, "d.width": 1536, "g.condition": "concat", "d.condition": "projection"},
}

RECIPES = {
    "cifar10_dcgan": Published(
        "StudioGAN, src/configs/CIFAR10/DCGAN.yaml",
        STUDIOGAN | {"loss": "non_saturating", "d_steps": 2, "steps": 200_000, "g.norm": "batch", "d.norm": "batch"},
        STUDIOGAN_PROTOCOL,
        others=(
            "seven convolutions",
            "sums over positions",
            "last layer of 3x3",
            "orthogonal initial weights",
            "epsilon 1e-4",
            "mixed precision",
        ),
    ),
    "cifar10_wgan_gp": Published(
        "mimicry 0.1.16, README and torch_mimicry/nets/wgan_gp; earlier versions have layer norm in D",
        WGAN_GP
        | adam(2e-4, 0.0, 0.9)
        | {"g_lr_final": 0.0, "d_lr_final": 0.0, "schedule": "linear", "g_optimizer": "adam", "d_optimizer": "adam"}
        | {"data": "tfds:cifar10", "batch": 64, "z_dim": 128, "d_steps": 5, "steps": 100_000, "ema": 0.0}
        | {"d.norm": "none", "d.condition": "none", "g.condition": "none", "g.width": 64, "d.width": 64},
        "50,000 samples against the train split, TensorFlow's Inception, the last of 100,000 steps",
        others=("bilinear interpolation", "mean over positions"),
    ),
    "cifar10_sngan": Published(
        "StudioGAN, src/configs/CIFAR10/SNGAN.yaml",
        STUDIOGAN | CONDITIONAL | {"d.norm": "spectral", "g.spectral": False, "g.width": 64, "d.width": 64},
        STUDIOGAN_PROTOCOL,
        others=(*STUDIOGAN_OTHERS, "there orthogonal", "without a bias"),
    ),
    "cifar10_sagan": Published(
        "StudioGAN, src/configs/CIFAR10/SAGAN.yaml",
        STUDIOGAN | CONDITIONAL | {"d.norm": "spectral", "g.spectral": True, "g.attention": 16, "d.attention": 16},
        STUDIOGAN_PROTOCOL,
        others=("those of cifar10_sngan.py", "no spectral norm of G's class tables"),
    ),
    "cifar10_biggan": Published(
        "StudioGAN, src/configs/CIFAR10/BigGAN-Mod.yaml; 200,000 steps are those of BigGAN-DiffAug.yaml",
        STUDIOGAN
        | CONDITIONAL
        | {"z_dim": 80, "ema": 0.9999, "ema_start": 1_000, "g.attention": 16, "d.attention": 16, "g.hierarchy": True}
        | {"g.width": 96, "d.width": 48, "d.norm": "spectral"},  # D's blocks: 2 x 96 channels there, 4 x 48 here
        STUDIOGAN_PROTOCOL,
        others=STUDIOGAN_OTHERS,
    ),
    "cifar10_stylegan2_ada": Published(
        "stylegan2-ada-pytorch, train.py, cfg 'cifar', and training_loop.py",
        {
            **{"data": "tfds:cifar10", "z_dim": 512, "latent": "normal", "loss": "non_saturating", "d_steps": 1, "batch": 64},
            **{"penalty": "r1", "gamma": 0.01, "penalty_every": 16, "g_penalty": None},
            **{"augment": "ada", "augment_target": 0.6, "augment_kimg": 500.0},
            **{"g_lr": 0.0025 * 4 / 5, "d_lr": 0.0025 * 16 / 17, "b1": 0.0},
            **{"g_optimizer": f"adam(b2={0.99 ** (4 / 5):.5f})", "d_optimizer": f"adam(b2={0.99 ** (16 / 17):.5f})"},
            **{"ema_half_life": 500e3, "ema_ramp": 0.05, "steps": 100_000_000 // 64, **CONSTANT},
            **{"g.mapping": 2, "d.label_mapping": 8, "g.mixing": 0.0, "d.residual": False, "d.group": 32, "g.base": 32_768},
        },
        "50,000 samples against all training images, best checkpoint, means of 5 runs",
        others=("float16", "not each fourth", "a step of its own", "one label for each pair of real and fake samples"),
        classes=0,
    ),
    "folder_stylegan2": Published(
        "stylegan2-ada-pytorch, train.py, cfg 'auto' at 128 pixels, batch 64",
        {
            **{"z_dim": 512, "loss": "non_saturating", "penalty": "r1", "gamma": 0.0002 * 128**2 / 64, "penalty_every": 16},
            **{"g_penalty": "path_length", "g_gamma": 2.0, "g_penalty_every": 4, "batch": 64, "steps": 25_000_000 // 64},
            **{
                "augment": "ada",
                "augment_target": 0.6,
                "augment_kimg": 500.0,
                "g_lr": 0.0025 * 4 / 5,
                "d_lr": 0.0025 * 16 / 17,
            },
            **{"g_optimizer": f"adam(b2={0.99 ** (4 / 5):.5f})", "d_optimizer": f"adam(b2={0.99 ** (16 / 17):.5f})", "b1": 0.0},
            **{"ema_half_life": 64 * 10 / 32 * 1000, "ema_ramp": 0.05},
            **{"g.mapping": 2, "g.mixing": 0.9, "d.group": 4, "g.base": 16_384, "d.base": 16_384, "d.residual": True},
        },
        others=("float16", "a step of its own"),
        shape=(128, 128, 3),
        classes=0,
    ),
    "cifar10_r3gan": Published(
        "arXiv:2501.05441, table 9, and the authors' code",
        R3GAN_GAME
        | {"data": "mirrored:tfds:cifar10", "batch": 512, "steps": 250_000_000 // 512, "schedule_steps": 20_000_000 / 512}
        | {"gamma": 0.05, "gamma_final": 0.005, "augment_p_final": 0.55, "ema_half_life_final": 5e6}
        | {"g.condition": "concat", "d.condition": "projection", "model": "r3gan(bfloat16=3)"},
        "50,000 samples against the whole training split",
    ),
    "ffhq64_r3gan": Published(
        "arXiv:2501.05441, table 9, and the authors' code",
        R3GAN_GAME
        | {"batch": 256, "steps": 100_000_000 // 256, "schedule_steps": 20_000_000 / 256, "gamma": 2.0, "gamma_final": 0.2}
        | {"augment_p_final": 0.3, "ema_half_life_final": 5e5, "model": "r3gan(bfloat16=4)"},
        "50,000 samples against all 70,000 images",
        shape=(64, 64, 3),
        classes=0,
    ),
    "ffhq256_r3gan": Published(
        "arXiv:2501.05441, table 9, and the authors' code",
        R3GAN_GAME
        | {"batch": 256, "steps": 200_000_000 // 256, "schedule_steps": 20_000_000 / 256, "gamma": 150.0, "gamma_final": 15.0}
        | {"augment_p_final": 0.3, "ema_half_life_final": 5e5, "model": "r3gan(bfloat16=4)"},
        "50,000 samples against all 70,000 images",
        shape=(256, 256, 3),
        classes=0,
    ),
    "imagenet32_r3gan": Published(
        "arXiv:2501.05441, table 9, and the authors' code",
        R3GAN_IMAGENET | {"gamma": 0.5, "gamma_final": 0.05, "augment_p_final": 0.5, "model": "r3gan(group=32, bfloat16=3)"},
        "50,000 samples against the whole training split",
        classes=1000,
    ),
    "imagenet64_r3gan": Published(
        "arXiv:2501.05441, table 9, and the authors' code",
        R3GAN_IMAGENET
        | {"gamma": 1.0, "gamma_final": 0.1, "augment_p_final": 0.4}
        | {"model": "r3gan(group=32, taper_above=64, bfloat16=4)"},
        "50,000 samples against the whole training split",
        shape=(64, 64, 3),
        classes=1000,
    ),
    "folder_fastgan": Published(
        "the authors' train.py",
        adam(2e-4, 0.5, 0.999)
        | CONSTANT
        | {"batch": 8, "z_dim": 256, "steps": 50_000, "augment": "color + translation", "ema": 0.999},
        shape=(256, 256, 3),
        classes=0,
    ),
    "ljspeech_hifigan": Published(
        "arXiv:2010.05646, section 3, and the authors' config_v1.json and train.py, whose 3,100 epochs are 2.5 million steps",
        adam(2e-4, 0.8, 0.99)
        | CONSTANT
        | {"batch": 16, "steps": 2_500_000, "ema": 0.0, "loss": "vocoder_least_squares"}
        | {"g_optimizer": "adamw(weight_decay=0.01)", "d_optimizer": "adamw(weight_decay=0.01)", "g.width": 512},
        "crowd-sourced ratings of 50 utterances",
        {"g_lr_final": "cosine learning rates", "d_lr_final": "cosine learning rates"},
        ("spectrogram discriminators", "a fixed cut into clips", "up to half the sample rate"),
        shape=(8_192, 1),
        classes=2_560,
    ),
    "ljspeech_vocos": Published(
        "arXiv:2306.00814, section 4.1; the authors' configs/vocos.yaml and experiment.py have AdamW(5e-4; .8, .9)",
        adam(2e-4, 0.9, 0.999)
        | {"g_lr_final": 0.0, "d_lr_final": 0.0, "schedule": "cosine", "batch": 16, "steps": 1_000_000, "ema": 0.0}
        | {"g_optimizer": "adamw(weight_decay=0.01)", "d_optimizer": "adamw(weight_decay=0.01)", "loss": "vocoder_hinge"},
        "of LibriTTS; the paper does not name the recordings",
        others=("equal weights for all discriminators", "a fixed cut into clips", "no random gain"),
        shape=(16_384, 1),
        classes=5_120,
    ),
    "spoken_digits_wavegan": Published(
        "arXiv:1802.04208, appendix D, and the authors' train_wavegan.py",
        WGAN_GP
        | adam(1e-4, 0.5, 0.9)
        | {"latent": "uniform", "z_dim": 100, "batch": 64, "d_steps": 5, "steps": 200_000, "ema": 0.0}
        | {"d.shuffle": 2, "g.condition": "none", "d.condition": "none", "g.width": 64, "d.width": 64},
        "50,000 samples in the authors' classifier",
        {"g.condition": "conditioned on the digit", "d.condition": "conditioned on the digit"},
        ("8,192 samples at 8 kHz",),
        shape=(8_192, 1),
    ),
    "billion_word_characters": Published(
        "arXiv:1704.00028, section 5.5, and the authors' gan_language.py",
        WGAN_GP | adam(1e-4, 0.5, 0.9) | {"batch": 64, "z_dim": 128, "d_steps": 10, "steps": 200_000, "ema": 0.0},
        classes=0,
    ),
    "coco_words_relgan": Published(
        "the authors' real/experiments/coco_relgan.py and real/real_gan/real_train.py",
        adam(1e-4, 0.9, 0.999)
        | {"loss": "relativistic", "batch": 64, "d_steps": 5, "steps": 2_000, "ema": 0.0, "d.embeddings": 64}
        | {"update": "annealed(steps=5000, softness=.01)", "d_optimizer": "clipped_adam", "g_optimizer": "clipped_adam"},
        others=("Theirs has dropout in D, and G moves before D does.",),
        shape=(37, 4_681),
        classes=0,
    ),
    "qm9_molgan": Published(
        "the authors' example_GAN.py and optimizers/gan.py",
        WGAN_GP | adam(1e-3, 0.9, 0.999) | {"batch": 128, "z_dim": 8, "d_steps": 4, "ema": 0.0},
        None,
        {
            **{
                "g_lr": "half the learning rate",
                "d_lr": "half the learning rate",
                "g_lr_final": "falls",
                "d_lr_final": "falls",
            },
            **{"b1": "b1 .5, b2 .9", "b2": "b1 .5, b2 .9", "z_dim": "numbers in z, there 8"},
            **{"d_steps": "two D steps", "ema": "an average of G"},
        },
        classes=0,
    ),
    "zinc_latentgan": Published(
        "MOSES, moses/latentgan/config.py",
        WGAN_GP | adam(2e-4, 0.5, 0.999) | {"batch": 64, "z_dim": 512, "d_steps": 5, "ema": 0.0},
        "30,000 samples",
        {"ema": "an average of G"},
        ("gated recurrent units", "cosine learning rate", "100,000 molecules", "2,000 epochs"),
        classes=0,
    ),
    "ctgan": Published(
        "arXiv:1907.00503, sections 4.4 and 5.3, and the authors' ctgan.py",
        WGAN_GP
        | adam(2e-4, 0.5, 0.9)
        | {"batch": 500, "pack": 10, "d_steps": 1, "steps": 300 * (26_049 // 500), "ema": 0.0, "z_dim": 128},
        None,
        {"ema": "an average of G", "z_dim": "plus the number"},
        ("no dropout and no weight decay", "conditions in place of its cross-entropy"),
        classes=0,
    ),
}

# Settings of our own, with figures measured by us or none; some play a published game on other data or at another size.
OWN = {
    *("digits", "digits_conditional", "mnist_dcgan", "mnist_conditional", "fashion_mnist_dcgan"),
    *("fashion_mnist_conditional", "fashion_mnist_r3gan"),
    *("stacked_mnist", "cifar10_conditional", "spoken_digits", "spoken_digits_vocos", "qm9_latentgan", "qm9_qed"),
    *("qm9_selfies", "zinc_molgan", "breast_cancer", "made", "coco_characters", "coco_characters_relativistic"),
    *(
        "coco_words_mle",
        "coco_words_mle_narrow",
        "coco_words_relgan_narrow",
        "shakespeare_characters",
        "grid",
        "ring",
        "ring_founding",
        "ring_pacgan",
        "spiral",
        "two_moons",
    ),
}


def docstring(name: str) -> str:
    return " ".join(ast.get_docstring(ast.parse(PATHS[name].read_text())).split())


def ours(name: str, row: Published, setting: str) -> Any:
    player, dot, attribute = setting.rpartition(".")
    config = load_recipe(PATHS[name])
    if not dot:
        return getattr(config, setting)
    return getattr(find_networks(config, row.shape, row.classes)["gd".index(player)], attribute)


def same(a: Any, b: Any) -> bool:
    """Equal, or numbers that differ by rounding to three digits."""
    numbers = all(type(x) in (int, float) for x in (a, b))
    return math.isclose(a, b, rel_tol=3e-3) if numbers else a == b


def test_every_recipe_has_one_row():
    assert not RECIPES.keys() & OWN
    assert RECIPES.keys() | OWN == PATHS.keys()


@pytest.mark.parametrize("name", RECIPES)
def test_settings_are_those_published_or_declared(name):
    row = RECIPES[name]
    differing = {setting for setting, value in row.settings.items() if not same(ours(name, row, setting), value)}
    assert differing == row.differences.keys(), {setting: ours(name, row, setting) for setting in differing}


@pytest.mark.parametrize("name", RECIPES)
def test_docstrings_declare_differences_and_protocols(name):
    row, text = RECIPES[name], docstring(name)
    for words in (*row.differences.values(), *row.others, *filter(None, [row.protocol])):
        assert words in text


@pytest.mark.parametrize("name", sorted(OWN))
def test_recipes_of_our_own_quote_no_published_figure(name):
    assert "Published" not in docstring(name)


def test_a_quoted_figure_has_a_protocol():
    quoting = {name for name in RECIPES if "Published" in docstring(name)}
    assert {name for name in quoting if RECIPES[name].protocol is None} == set()
