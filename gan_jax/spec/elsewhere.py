"""What methods are called elsewhere, in the literature and in other programs, and what to type for them here."""

import re
from collections.abc import Iterable

from gan_jax.errors import InputError, unknown

# What is named -> {its names elsewhere, as letters and digits, between spaces: what to type}.
_ADVICE = {
    "loss": {
        "wgan w": "use --loss wasserstein, with --d_clip 0.01 (WGAN) or --penalty gradient_penalty --gamma 10 (WGAN-GP)",
        "wgangp": "use --loss wasserstein --penalty gradient_penalty --gamma 10",
        "lsgan ls mse l2": "use --loss least_squares",
        "gan vanilla dcgan bce ns nsgan logistic softplus": "use --loss non_saturating, or minimax, the value function",
        "rgan rpgan rsgan": "use --loss relativistic",
        "ragan rasgan": "use --loss relativistic_average",
        "r3gan": "use --loss relativistic --penalty r1_r2 (images/cifar10_r3gan is the whole recipe)",
        "mmdgan": "use --loss mmd",
    },
    "penalty": {
        "gp 1gp wgangp": "use --penalty gradient_penalty --gamma 10",
        "0gp": "use --penalty 'gradient_penalty(center=0)'",
        "cr crgan": "use --penalty consistency",
        "bcr": "use --penalty balanced_consistency",
        "zcr": "use --penalty latent_consistency",
        "icr": "use --penalty improved_consistency",
        "maxgp": "use --penalty max_gradient_penalty",
        "sn spectral spectralnorm": "use --d_norm spectral, which is an option of the networks",
        "clip clipping weightclipping": "use --d_clip 0.01",
    },
    "augment": {"diffaug diffaugment": "use --augment 'color + translation + cutout'"},
    "model": {
        "stylegan stylegan2ada": "use --model stylegan2",
        "sngan": "use --model resnet (images/cifar10_sngan is the whole recipe)",
        "sagan": "use --model 'resnet(attention=16, spectral=True)' (images/cifar10_sagan is the whole recipe)",
    },
}


def unknown_name(what: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name of a function or a network that is not in `known`, as `errors.unknown`; with what to type instead if
    other programs use the name."""
    letters = re.sub("[^a-z0-9]", "", name.lower())
    for names, advice in _ADVICE.get(what, {}).items():
        if letters in names.split():
            return InputError(f"unknown {what} {name!r}: {advice}")
    return unknown(what, name, known)
