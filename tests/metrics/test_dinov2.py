"""DINOv2 against Hugging Face's implementation of the same random weights, and its resize against Pillow.

Where PyTorch or transformers is missing, the features that they gave stand in golden/dinov2.npz, for weights that NumPy makes
from a seed. `python tests/test_dinov2.py` writes that file anew (made with torch 2.13.0 and transformers 5.23.0).
"""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_sample_image

from gan_jax.errors import InputError
from gan_jax.metrics.features import dinov2
from gan_jax.storage.weights import load_tensors, sha256


def load(path):
    return dinov2.extractor(load_tensors(path), path, sha256(path))


GOLDEN = Path(__file__).parents[1] / "golden" / "dinov2.npz"
SIZE = {"width": 128, "depth": 2, "grid": 37}
SHAPES = {"grey": (2, 28, 28, 1), "enlarged": (1, 48, 32, 3), "shrunk": (1, 300, 260, 3)}
# Names of one block in facebook/dinov2-large, and of the official tensor that each is a third, or all, of.
BLOCK = {
    "norm1.weight": "norm1.weight", "norm1.bias": "norm1.bias", "norm2.weight": "norm2.weight", "norm2.bias": "norm2.bias",
    "attention.attention.query.weight": "attn.qkv.weight", "attention.attention.query.bias": "attn.qkv.bias",
    "attention.attention.key.weight": "attn.qkv.weight", "attention.attention.key.bias": "attn.qkv.bias",
    "attention.attention.value.weight": "attn.qkv.weight", "attention.attention.value.bias": "attn.qkv.bias",
    "attention.output.dense.weight": "attn.proj.weight", "attention.output.dense.bias": "attn.proj.bias",
    "layer_scale1.lambda1": "ls1.gamma", "layer_scale2.lambda1": "ls2.gamma", "mlp.fc1.weight": "mlp.fc1.weight",
    "mlp.fc1.bias": "mlp.fc1.bias", "mlp.fc2.weight": "mlp.fc2.weight", "mlp.fc2.bias": "mlp.fc2.bias",
}  # fmt: skip


def weights(width: int, depth: int, grid: int) -> dict[str, np.ndarray]:
    """Random tensors under the official names and of the official shapes."""
    rng = np.random.default_rng(0)

    def uniform(*shape: int, scale: float, centre: float = 0.0) -> np.ndarray:
        return (centre + scale * (2 * rng.random(shape, np.float32) - 1)).astype(np.float32)

    def linear(name: str, out: int, *fan_in: int) -> dict[str, np.ndarray]:
        matrix = uniform(out, *fan_in, scale=(3 / np.prod(fan_in)) ** 0.5)
        return {f"{name}.weight": matrix, f"{name}.bias": uniform(out, scale=0.5)}

    def norm(name: str) -> dict[str, np.ndarray]:
        return {f"{name}.weight": uniform(width, scale=0.5, centre=1), f"{name}.bias": uniform(width, scale=0.5)}

    tensors = {"cls_token": uniform(1, 1, width, scale=0.01), "mask_token": np.zeros((1, width), np.float32)}
    tensors["pos_embed"] = uniform(1, 1 + grid**2, width, scale=0.01)
    tensors |= linear("patch_embed.proj", width, 3, 14, 14)
    for i in range(depth):
        block = f"blocks.{i}"
        tensors |= norm(f"{block}.norm1") | linear(f"{block}.attn.qkv", 3 * width, width)
        tensors |= linear(f"{block}.attn.proj", width, width) | norm(f"{block}.norm2")
        tensors |= linear(f"{block}.mlp.fc1", 4 * width, width) | linear(f"{block}.mlp.fc2", width, 4 * width)
        tensors |= {f"{block}.ls{j}.gamma": uniform(width, scale=0.5, centre=0.5) for j in (1, 2)}
    return tensors | norm("norm")


def hugging_face(tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The same tensors under the names of facebook/dinov2-large."""
    renamed = {
        "embeddings.cls_token": tensors["cls_token"],
        "embeddings.mask_token": tensors["mask_token"],
        "embeddings.position_embeddings": tensors["pos_embed"],
        "embeddings.patch_embeddings.projection.weight": tensors["patch_embed.proj.weight"],
        "embeddings.patch_embeddings.projection.bias": tensors["patch_embed.proj.bias"],
        "layernorm.weight": tensors["norm.weight"],
        "layernorm.bias": tensors["norm.bias"],
    }
    for i in range(sum(name.endswith("ls1.gamma") for name in tensors)):
        for theirs, official in BLOCK.items():
            whole = tensors[f"blocks.{i}.{official}"]
            thirds = dict(zip(("query", "key", "value"), np.split(whole, 3), strict=True)) if "qkv" in official else {}
            renamed[f"encoder.layer.{i}.{theirs}"] = thirds.get(theirs.split(".")[-2], whole)
    return renamed


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    header, end = {"__metadata__": {"format": "pt"}}, 0
    for name, tensor in tensors.items():
        header[name] = {"dtype": "F32", "shape": tensor.shape, "data_offsets": [end, end + tensor.nbytes]}
        end += tensor.nbytes
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(tensor.tobytes() for tensor in tensors.values()))


def stored(name: str) -> np.ndarray:
    return (256 * np.random.default_rng(list(SHAPES).index(name)).random(SHAPES[name])).astype(np.uint8)


def samples(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / 127.5 - 1


def pillow(image: np.ndarray) -> np.ndarray:
    """[H, W, 3] uint8 -> [224, 224, 3]. Across, then down, in two calls: Pillow 13 chooses the order by itself in one."""
    across = Image.fromarray(image).resize((224, len(image)), Image.Resampling.BICUBIC)
    return np.asarray(across.resize((224, 224), Image.Resampling.BICUBIC))


def reference(directory: Path, tensors: dict[str, np.ndarray], images: np.ndarray) -> np.ndarray:
    """Features [N, D] by Hugging Face's model, but of position embeddings that the official code's call has shrunk."""
    import torch
    from transformers import Dinov2Config, Dinov2Model

    depth, width = sum(name.endswith("ls1.gamma") for name in tensors), tensors["cls_token"].size
    side = round((tensors["pos_embed"].shape[1] - 1) ** 0.5)
    patches = torch.from_numpy(tensors["pos_embed"][:, 1:]).reshape(1, side, side, width).permute(0, 3, 1, 2)
    patches = torch.nn.functional.interpolate(patches, scale_factor=(16.1 / side, 16.1 / side), mode="bicubic")
    patches = patches.permute(0, 2, 3, 1).reshape(1, -1, width).numpy()
    positions = np.concatenate([tensors["pos_embed"][:, :1], patches], axis=1)
    Dinov2Config(
        hidden_size=width, num_hidden_layers=depth, num_attention_heads=width // 64, image_size=224, patch_size=14
    ).save_pretrained(directory)
    write_safetensors(directory / "model.safetensors", hugging_face(tensors | {"pos_embed": positions}))
    model, report = Dinov2Model.from_pretrained(directory, output_loading_info=True, attn_implementation="eager")
    assert not any(report[found] for found in ("missing_keys", "unexpected_keys", "mismatched_keys")), report
    pixels = np.stack([pillow(image) for image in np.broadcast_to(images, (*images.shape[:3], 3))]) / 255
    pixels = (pixels - [0.485, 0.456, 0.406]) / [0.229, 0.224, 0.225]
    with torch.no_grad():
        return model.eval()(torch.from_numpy(pixels).float().permute(0, 3, 1, 2)).last_hidden_state[:, 0].numpy()


def relative(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest error of an image's features, over their length."""
    return float((np.linalg.norm(found - expected, axis=1) / np.linalg.norm(expected, axis=1)).max())


@pytest.fixture(scope="module")
def small() -> dict[str, np.ndarray]:
    return weights(**SIZE)


@pytest.fixture(scope="module")
def extractor(small, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "small.npz"
    np.savez(path, **small)
    return load(path)


# Measured: 6e-7. A wrong kernel or offset for the positions moves the features by 7e-5, the tanh form of GELU by 1.5e-4.
@pytest.mark.parametrize("name", SHAPES)
def test_features_are_those_of_the_reference(extractor, name):
    with np.load(GOLDEN) as golden:
        expected = golden[name]
    features, logits = extractor.features(samples(stored(name)))
    assert features.dtype == np.float32 and features.shape == (len(expected), 128) and logits is None
    assert relative(features, expected) < 1e-5


def needs_reference() -> None:
    pytest.importorskip("torch")
    pytest.importorskip("transformers")


@pytest.mark.filterwarnings("default")
def test_the_golden_features_are_what_the_reference_gives_today(small, tmp_path):
    needs_reference()
    with np.load(GOLDEN) as golden:
        for name in SHAPES:
            error = relative(reference(tmp_path, small, stored(name)), golden[name])
            assert error < 1e-5, f"golden/dinov2.npz is stale: python {__file__} writes it anew"


@pytest.mark.filterwarnings("default")
def test_the_files_that_are_published_load(small, extractor, tmp_path):
    needs_reference()
    import torch
    from transformers import Dinov2Config, Dinov2Model

    config = Dinov2Config(hidden_size=128, num_hidden_layers=2, num_attention_heads=2, image_size=518, patch_size=14)
    config.save_pretrained(tmp_path)
    write_safetensors(tmp_path / "model.safetensors", hugging_face(small))
    Dinov2Model.from_pretrained(tmp_path).save_pretrained(tmp_path / "theirs")
    torch.save({name: torch.from_numpy(tensor) for name, tensor in small.items()}, tmp_path / "official.pth")
    images = samples(stored("grey"))
    for path in (tmp_path / "theirs" / "model.safetensors", tmp_path / "official.pth"):
        np.testing.assert_array_equal(load(path).features(images)[0], extractor.features(images)[0])


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_vit_l_agrees_with_the_reference(tmp_path):
    needs_reference()
    tensors = weights(width=1024, depth=24, grid=37)
    np.savez(tmp_path / "large.npz", **tensors)
    extractor = load(tmp_path / "large.npz")
    assert extractor.name == "DINOv2 ViT-L/14"
    features, _ = extractor.features(samples(stored("enlarged")))
    assert features.shape == (1, 1024)
    assert relative(features, reference(tmp_path, tensors, stored("enlarged"))) < 1e-5


def test_hugging_faces_names_are_the_same_network(small, extractor, tmp_path):
    write_safetensors(tmp_path / "model.safetensors", hugging_face(small))
    images = samples(stored("grey"))
    found = load(tmp_path / "model.safetensors").features(images)[0]
    np.testing.assert_array_equal(found, extractor.features(images)[0])


def test_the_extractor_says_what_it_is(extractor, small, tmp_path):
    assert extractor.name == "DINOv2 of 2 blocks of width 128"
    np.savez(tmp_path / "other.npz", **small | {"norm.bias": small["norm.bias"] + 1})
    other = load(tmp_path / "other.npz")
    assert other.hash == sha256(tmp_path / "other.npz") != extractor.hash
    images = samples(stored("grey"))
    np.testing.assert_allclose(other.features(images)[0], extractor.features(images)[0] + 1, atol=1e-6)


def test_samples_are_those_of_an_image_file(extractor):
    images = samples(stored("grey"))
    expected = extractor.features(images)[0]
    np.testing.assert_array_equal(extractor.features(images.repeat(3, axis=-1))[0], expected)
    np.testing.assert_array_equal(extractor.features(images + np.float32(0.4 / 127.5))[0], expected)  # rounds to the same
    bright = np.full((1, 28, 28, 1), 1.5, np.float32)
    np.testing.assert_array_equal(extractor.features(bright)[0], extractor.features(np.minimum(bright, 1))[0])


def test_blocks_change_nothing_and_compile_nothing(extractor):
    images = samples(stored("grey"))
    one, two = extractor.features(images)[0]
    compiled = dinov2._apply._cache_size()
    many = images[np.arange(dinov2._BLOCK + 3) % 2]
    features = extractor.features(many)[0]
    np.testing.assert_array_equal(features, np.stack([one, two])[np.arange(len(many)) % 2])
    assert dinov2._apply._cache_size() == compiled


def test_positions_that_are_all_alike_stay_so_at_any_grid(small, tmp_path):
    features = []
    for grid in (16, 37):
        same = np.concatenate([small["pos_embed"][:, :1], np.broadcast_to(small["pos_embed"][:, 1:2], (1, grid**2, 128))], 1)
        np.savez(tmp_path / f"{grid}.npz", **small | {"pos_embed": same})
        features.append(load(tmp_path / f"{grid}.npz").features(samples(stored("grey")))[0])
    assert relative(*features) < 1e-6


def test_the_resize_is_pillows_to_the_last_bit():
    rng = np.random.default_rng(0)
    shapes = [(28, 28), (64, 64), (1, 5), (300, 250)]
    for image in [load_sample_image("china.jpg"), *(rng.integers(0, 256, (*shape, 3), np.uint8) for shape in shapes)]:
        found = np.asarray(dinov2._resize(image[None]))[0]
        np.testing.assert_array_equal(found, pillow(image))
        if image.shape[0] <= image.shape[1]:  # where every Pillow goes across first
            once = Image.fromarray(image).resize((224, 224), Image.Resampling.BICUBIC)
            np.testing.assert_array_equal(found, np.asarray(once))


@pytest.mark.parametrize("shape", [(2, 28, 28), (2, 28, 28, 2), (0, 28, 28, 3), (2, 0, 28, 3)])
def test_samples_that_are_no_images_are_refused(extractor, shape):
    with pytest.raises(ValueError, match=r"must be \[N, H, W, 1 or 3\] with N > 0, got"):
        extractor.features(np.zeros(shape, np.float32))


def test_samples_that_are_not_finite_are_refused(extractor):
    with pytest.raises(ValueError, match="finite"):
        extractor.features(np.full((1, 28, 28, 1), np.nan, np.float32))


def without(name: str, tensors: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {key: value for key, value in tensors.items() if name not in key}


BAD = {
    "one": (lambda t: without("blocks.1.ls2", t), r"missing: blocks\.1\.ls2\.gamma$"),
    "a third": (lambda t: without("0.attention.attention.key.b", hugging_face(t)), r"encoder\.layer\.0\.\S+\.key\.bias$"),
    "a block": (lambda t: without("blocks.0", t | {"blocks.2.x": t["norm.bias"]}), r"missing: blocks\.0\.mlp\.fc1\.bias$"),
    "the end": (lambda t: without("blocks.1", t), r"missing: blocks\.1\.attn\.proj\.bias, .* and 11 more$"),
    "another model": (lambda t: {"conv.weight": t["norm.bias"]}, r"missing: blocks\.0\.mlp\.fc1\.bias, cls_token$"),
    "registers": (lambda t: t | {"register_tokens": np.zeros((1, 4, 128))}, r"unknown: register_tokens$"),
    "width": (lambda t: t | {"cls_token": np.zeros((1, 1, 100))}, r"multiple of 64, cls_token is \(1, 1, 100\)$"),
    "patch": (lambda t: t | {"patch_embed.proj.weight": np.zeros((128, 3, 16, 16))}, r"patch_embed\S+ \(128, 3, 16, 16\)$"),
    "rank": (lambda t: t | {"patch_embed.proj.weight": np.zeros((128, 588))}, r"patch_embed\S+ \(128, 588\)$"),
    "no square": (lambda t: t | {"pos_embed": np.zeros((1, 12, 128))}, r"pos_embed \(1, 12, 128\)$"),
    "no patches": (lambda t: t | {"pos_embed": np.zeros((1, 1, 128))}, r"pos_embed \(1, 1, 128\)$"),
    "no number": (lambda t: t | {"norm.bias": np.full(128, np.nan)}, r"not finite: norm\.bias \(128,\)$"),
}


@pytest.mark.parametrize("damage", BAD)
def test_a_file_that_is_no_whole_dinov2_is_refused(small, tmp_path, monkeypatch, damage):
    monkeypatch.setattr(dinov2, "_SIZES", {128: ("XS", 2)})  # published with two blocks
    change, message = BAD[damage]
    path = tmp_path / "bad.npz"
    np.savez(path, **change(small))
    with pytest.raises(InputError, match=message) as caught:
        load(path)
    assert str(caught.value).startswith(f"{path} is not DINOv2") and "\n" not in str(caught.value)


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        tensors = weights(**SIZE)
        np.savez(GOLDEN, **{name: reference(Path(folder), tensors, stored(name)) for name in SHAPES})
