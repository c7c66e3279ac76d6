"""BigGAN-deep's variables from tensors as pytorch-pretrained-biggan names them, the port of the published generators."""

from itertools import count
from typing import Any

import numpy as np

from gan_jax.errors import InputError
from gan_jax.pretrained.tensors import Tensors, count_consecutive

PLANES = 3  # its last layer makes as many as `width`, and throws all others away


def biggan_deep(tensors: Tensors, truncation: float) -> dict[str, Any]:
    """Fills G's variables: with the running statistics of z that are `truncation` times as large, and with what z is multiplied
    with as many times as large. Returns the fields of a Config of such a network. Raises InputError for a truncation outside
    (0, 1].

    A spectrally normalised weight is divided by its norm, as far as power iteration had come with u and v: u W v."""
    if not 0 < truncation <= 1:
        raise InputError(f"is to be read at a --truncation above 0 and at most 1, not {truncation}")
    embedded, classes = tensors.shape("embeddings.weight")
    z_dim = tensors.shape("generator.gen_z.weight_orig")[1] - embedded
    width = tensors.shape("generator.bn.weight")[0]
    norms, denses, convs = count(), count(), count()

    def normalised(name: str) -> np.ndarray:
        weight, u, v = (tensors.take(f"{name}.weight_{part}").astype(np.float64) for part in ("orig", "u", "v"))
        return weight / (u @ weight.reshape(len(weight), -1) @ v)

    def dense(name: str) -> str:
        kernel, path = normalised(name).T, f"g/params/Dense_{next(denses)}"
        kernel[:z_dim] *= truncation
        tensors.put(f"{path}/kernel", f"{name}.weight_orig", kernel)
        return path

    def conv(name: str, path: str, planes: int | None = None) -> None:
        kernel = normalised(name).transpose(2, 3, 1, 0)[..., :planes]
        tensors.put(f"g/params/{path}/kernel", f"{name}.weight_orig", kernel)

    def conv_bias(name: str, planes: int | None = None) -> None:
        path = f"Conv_{next(convs)}"
        conv(name, path, planes)
        tensors.fill(f"g/params/{path}/bias", f"{name}.bias", lambda x: x[:planes])

    def norm(name: str) -> str:
        path = f"BatchNorm_{next(norms)}"
        for ours, theirs in (("mean", "running_means"), ("var", "running_vars")):
            # Of as many truncations, evenly from 0 to 1.
            tensors.fill(f"g/batch_stats/{path}/{ours}", f"{name}.{theirs}", lambda x: x[round(truncation * (len(x) - 1))])
        return f"g/params/{path}"

    tensors.fill("g/params/shared/kernel", "embeddings.weight", np.transpose)
    tensors.fill(f"{dense('generator.gen_z')}/bias", "generator.gen_z.bias")
    layers = {name.split(".")[2] for name in tensors.names("generator.layers.")}
    blocks = attention = 0
    for layer in range(len(layers)):
        name = f"generator.layers.{layer}"
        if f"{name}.gamma" in tensors.left:
            attention = 4 << blocks // 2
            for ours, theirs in (("theta", "theta"), ("phi", "phi"), ("g", "g"), ("o", "o_conv")):
                conv(f"{name}.snconv1x1_{theirs}", f"SelfAttention_0/{ours}")
            tensors.fill("g/params/SelfAttention_0/gain", f"{name}.gamma", lambda x: x.reshape(()))
            continue
        blocks += 1
        for i in range(count_consecutive(tensors.left, f"{name}.conv_", ".bias")):
            norm(f"{name}.bn_{i}")
            dense(f"{name}.bn_{i}.scale")
            dense(f"{name}.bn_{i}.offset")
            conv_bias(f"{name}.conv_{i}")
    last = norm("generator.bn")
    tensors.fill(f"{last}/scale", "generator.bn.weight")
    tensors.fill(f"{last}/bias", "generator.bn.bias")
    conv_bias("generator.conv_to_rgb", PLANES)
    return {
        "model": f"biggan_deep(spectral=False, attention={attention})",
        "data": f"blank(side={4 << blocks // 2}, planes={PLANES}, classes={classes})",
        "z_dim": z_dim,
        "g_width": width,
        "d_width": width,
    }
