"""The tensors of the Inception network of the FID, from any project's file: one set of names, and a digest that identifies
them."""

import hashlib

import numpy as np

# Digest of the published network: the constants of TensorFlow's graph of 2015-12-05, which pytorch-fid, torch-fidelity and
# NVIDIA converted to files of their own.
FID_NETWORK = "f52412653ee45bed604b0f4fa0d3942ce5f50784fece9766dfa6cbecddbe4555"

# Layers by their names in NVIDIA's TorchScript, which are those of TensorFlow's graph, and in pytorch-fid.
_STEM = {
    "conv": "Conv2d_1a_3x3", "conv_1": "Conv2d_2a_3x3", "conv_2": "Conv2d_2b_3x3", "conv_3": "Conv2d_3b_1x1",
    "conv_4": "Conv2d_4a_3x3",
}  # fmt: skip
_GRID_35 = {
    "conv": "branch1x1", "tower.conv": "branch5x5_1", "tower.conv_1": "branch5x5_2", "tower_1.conv": "branch3x3dbl_1",
    "tower_1.conv_1": "branch3x3dbl_2", "tower_1.conv_2": "branch3x3dbl_3", "tower_2.conv": "branch_pool",
}  # fmt: skip
_TO_17 = {
    "conv": "branch3x3", "tower.conv": "branch3x3dbl_1", "tower.conv_1": "branch3x3dbl_2", "tower.conv_2": "branch3x3dbl_3",
}  # fmt: skip
_GRID_17 = {
    "conv": "branch1x1", "tower.conv": "branch7x7_1", "tower.conv_1": "branch7x7_2", "tower.conv_2": "branch7x7_3",
    "tower_1.conv": "branch7x7dbl_1", "tower_1.conv_1": "branch7x7dbl_2", "tower_1.conv_2": "branch7x7dbl_3",
    "tower_1.conv_3": "branch7x7dbl_4", "tower_1.conv_4": "branch7x7dbl_5", "tower_2.conv": "branch_pool",
}  # fmt: skip
_TO_8 = {
    "tower.conv": "branch3x3_1", "tower.conv_1": "branch3x3_2", "tower_1.conv": "branch7x7x3_1",
    "tower_1.conv_1": "branch7x7x3_2", "tower_1.conv_2": "branch7x7x3_3", "tower_1.conv_3": "branch7x7x3_4",
}  # fmt: skip
_GRID_8 = {
    "conv": "branch1x1", "tower_conv": "branch3x3_1", "tower_mixed_conv": "branch3x3_2a",
    "tower_mixed_conv_1": "branch3x3_2b", "tower_1_conv": "branch3x3dbl_1", "tower_1_conv_1": "branch3x3dbl_2",
    "tower_1_mixed_conv": "branch3x3dbl_3a", "tower_1_mixed_conv_1": "branch3x3dbl_3b", "tower_2_conv": "branch_pool",
}  # fmt: skip
_BLOCKS = {
    "mixed": ("Mixed_5b", _GRID_35), "mixed_1": ("Mixed_5c", _GRID_35), "mixed_2": ("Mixed_5d", _GRID_35),
    "mixed_3": ("Mixed_6a", _TO_17), "mixed_4": ("Mixed_6b", _GRID_17), "mixed_5": ("Mixed_6c", _GRID_17),
    "mixed_6": ("Mixed_6d", _GRID_17), "mixed_7": ("Mixed_6e", _GRID_17), "mixed_8": ("Mixed_7a", _TO_8),
    "mixed_9": ("Mixed_7b", _GRID_8), "mixed_10": ("Mixed_7c", _GRID_8),
}  # fmt: skip
LAYERS = _STEM | {
    f"{block}.{theirs}": f"{name}.{ours}" for block, (name, layers) in _BLOCKS.items() for theirs, ours in layers.items()
}
_PARTS = {"weight": "conv.weight", "beta": "bn.bias", "mean": "bn.running_mean", "var": "bn.running_var"}
_FIRST = "layers.conv.weight"


def in_names_of_pytorch_fid(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Rename the tensors of NVIDIA's `inception-2015-12-05.pt`, or of TorchScript that contains its network, as pytorch-fid and
    torch-fidelity name them; return tensors with other names unchanged. NVIDIA's batch norms store no scale, because it is
    1."""
    first = next((name for name in tensors if name == _FIRST or name.endswith(f".{_FIRST}")), None)
    if first is None:
        return tensors
    root = first.removesuffix(_FIRST)
    names = {
        f"{root}layers.{theirs}.{part}": f"{ours}.{name}" for theirs, ours in LAYERS.items() for part, name in _PARTS.items()
    }
    names |= {f"{root}output.{part}": f"fc.{part}" for part in ("weight", "bias")}
    renamed = {names.get(name, name): tensor for name, tensor in tensors.items()}
    for layer in LAYERS.values():
        if f"{layer}.bn.bias" in renamed:
            renamed[f"{layer}.bn.weight"] = np.ones_like(renamed[f"{layer}.bn.bias"])
    return renamed


def network_digest(tensors: dict[str, np.ndarray]) -> str:
    """Return the sha256 of a network's tensors as float32, with their names in pytorch-fid and shapes, in the order of their
    names. The classifier, `fc`, is not included: it does not affect features. Tensors that are not of floating-point numbers
    are left out, so that no network that has them is recognised."""
    sha = hashlib.sha256()
    parts = ("bn.bias", "bn.running_mean", "bn.running_var", "bn.weight", "conv.weight")
    for name in sorted(f"{layer}.{part}" for layer in LAYERS.values() for part in parts):
        if name in tensors and tensors[name].dtype.kind == "f":
            sha.update(f"{name} {tensors[name].shape}\n".encode())
            with np.errstate(over="ignore"):  # numbers beyond float32 become infinite: another network, too
                sha.update(np.ascontiguousarray(tensors[name], "<f4"))
    return sha.hexdigest()
