"""Convert BigGAN-deep from tensors with the names of pytorch-pretrained-biggan, a port of the published generators."""

from itertools import count
from typing import Any

import numpy as np

from gan_jax.errors import InputError
from gan_jax.pretrained.tensors import Tensors, count_consecutive

IMAGE_CHANNELS = 3  # the last layer of the port computes `width` channels, of which only these are used


def biggan_deep(tensors: Tensors, truncation: float) -> dict[str, Any]:
    """Fill G's variables for latents scaled by `truncation`: the running statistics are those recorded for that truncation, and
    the weights that multiply z are scaled by it. Return the fields of a Config of such a network. Raises InputError for a
    truncation outside (0, 1].

    Spectrally normalised weights are divided by their norm as estimated by the stored vectors of the power iteration, u W v."""
    if not 0 < truncation <= 1:
        raise InputError(f"needs a --truncation above 0 and at most 1, got {truncation}")
    embedding_size, classes = tensors.shape("embeddings.weight")
    z_dim = tensors.shape("generator.gen_z.weight_orig")[1] - embedding_size
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

    def conv(name: str, path: str, channels: int | None = None) -> None:
        kernel = normalised(name).transpose(2, 3, 1, 0)[..., :channels]
        tensors.put(f"g/params/{path}/kernel", f"{name}.weight_orig", kernel)

    def conv_bias(name: str, channels: int | None = None) -> None:
        path = f"Conv_{next(convs)}"
        conv(name, path, channels)
        tensors.fill(f"g/params/{path}/bias", f"{name}.bias", lambda x: x[:channels])

    def norm(name: str) -> str:
        path = f"BatchNorm_{next(norms)}"
        for ours, theirs in (("mean", "running_means"), ("var", "running_vars")):
            # Recorded for len(x) truncations, evenly spaced from 0 to 1.
            tensors.fill(f"g/batch_stats/{path}/{ours}", f"{name}.{theirs}", lambda x: x[round(truncation * (len(x) - 1))])
        return f"g/params/{path}"

    tensors.fill("g/params/shared/kernel", "embeddings.weight", np.transpose)
    tensors.fill(f"{dense('generator.gen_z')}/bias", "generator.gen_z.bias")
    layers = {name.split(".")[2] for name in tensors.names("generator.layers.")}
    blocks = attention = 0
    for layer in range(len(layers)):
        name = f"generator.layers.{layer}"
        if f"{name}.gamma" in tensors.unused:
            attention = 4 << blocks // 2
            for ours, theirs in (("theta", "theta"), ("phi", "phi"), ("g", "g"), ("o", "o_conv")):
                conv(f"{name}.snconv1x1_{theirs}", f"SelfAttention_0/{ours}")
            tensors.fill("g/params/SelfAttention_0/gain", f"{name}.gamma", lambda x: x.reshape(()))
            continue
        blocks += 1
        for i in range(count_consecutive(tensors.unused, f"{name}.conv_", ".bias")):
            norm(f"{name}.bn_{i}")
            dense(f"{name}.bn_{i}.scale")
            dense(f"{name}.bn_{i}.offset")
            conv_bias(f"{name}.conv_{i}")
    last_norm = norm("generator.bn")
    tensors.fill(f"{last_norm}/scale", "generator.bn.weight")
    tensors.fill(f"{last_norm}/bias", "generator.bn.bias")
    conv_bias("generator.conv_to_rgb", IMAGE_CHANNELS)
    return {
        "model": f"biggan_deep(spectral=False, attention={attention})",
        "data": f"blank(side={4 << blocks // 2}, planes={IMAGE_CHANNELS}, classes={classes})",
        "z_dim": z_dim,
        "g_width": width,
        "d_width": width,
    }
