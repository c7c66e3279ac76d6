"""Feature extractors by name: `f(data, *, options) -> Extractor`. Each public function here is a value of `--extractor`.

Distances between features depend on the features: report an Extractor's `name` with every number.
"""

import hashlib
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from tqdm import tqdm

from gan_jax.data.dataset import Data
from gan_jax.errors import InputError
from gan_jax.metrics.features.extractor import Extractor
from gan_jax.metrics.features.network import DIMENSION, Network, extract
from gan_jax.storage.cache import cache_path, cached, read_cache, write_cache
from gan_jax.storage.files import digest
from gan_jax.storage.tensor_files import load_tensors
from gan_jax.storage.weights import CLIP, DINOV2, INCEPTION, LPIPS, RESNET50, SWAV, VGG16, Weights, sha256

_VERSION = 2  # of everything that determines the classifier's weights: raise it when the network or its training changes
_SEED = 0
_SCALE_SAMPLES = 10_000  # training samples that set the scale of random features


def classifier(data: Data) -> Extractor:
    """Return a small network trained on the data's own classes, from the cache or trained now (seconds; under a minute for
    60,000 28x28 images on two cores). Its features are [N, 64], its logits those of the data's classes; its name includes its
    accuracy on the held-out split.

    Cached in $GAN_JAX_CACHE (~/.cache/gan_jax) by the data's checksum, which depends on how the data is split. An invalid cache
    file is replaced; if the directory is not writable, the next run trains again. Raises InputError if the
    data's labels are not classes, or its samples are not images.
    """
    from gan_jax.metrics.features.classifier import fit, num_steps

    labels = data.train.labels
    if not data.num_classes or labels is None or labels.ndim != 1:
        shape = "" if labels is None else f" (labels {labels.shape})"
        raise InputError(
            f"--extractor classifier needs classes: {data.name} has {data.num_classes} classes{shape}; try random, or inception"
        )
    if len(data.sample_shape) != 3:
        raise InputError(f"--extractor classifier needs images: samples of {data.name} are {data.sample_shape}")
    network = Network(data.num_classes)
    path = cache_path(f"classifier-v{_VERSION}-{data.checksum[:32]}.npz")
    images = jax.ShapeDtypeStruct((1, *data.sample_shape), jnp.float32)
    abstract = jax.eval_shape(network.init, jax.random.key(_SEED), images)["params"]
    params = _cached_params(path, abstract)
    if params is None:
        size = data.train.count
        steps = num_steps(size)
        note = (
            f"training a classifier, in whose features samples are compared: {steps} steps on {size:,} images; kept in {path}"
        )
        tqdm.write(note, file=sys.stderr)
        params = fit(network, data.train.samples, labels, to_float=data.to_float)
        write_cache(path, {name: np.asarray(array) for name, array in flatten_dict(params, sep="/").items()})

    def features(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return extract(network, params, samples)

    def test_accuracy() -> list[np.ndarray]:
        _, logits = features(data.to_float(data.test.samples))
        return [np.asarray((logits.argmax(axis=1) == data.test.labels).mean())]

    weights_hash = digest(params)
    accuracy = float(cached(_cache_name("accuracy", data, weights_hash), ["accuracy"], test_accuracy)[0])
    name = f"classifier of {data.name} (seed {_SEED}, test accuracy {accuracy:.1%})"
    return Extractor(features, name, weights_hash, "none")


def random(data: Data) -> Extractor:
    """Return the same network, untrained; features [N, 64] are centred and scaled so that training samples have mean 0 and mean
    variance 1. For smoke tests, and for images without classes.

    Distances between random features rank gross differences correctly and do not depend on content.
    Source: Naeem et al. 2020, arXiv:2002.09797, section 5 (random embeddings).
    """
    network = Network(num_classes=1)
    images = np.zeros((1, *data.sample_shape), np.float32)
    params = jax.jit(network.init)(jax.random.key(_SEED), images)["params"]

    def centre_and_scale() -> list[np.ndarray]:
        train, _ = extract(network, params, data.to_float(data.train.samples[:_SCALE_SAMPLES]))
        return [train.mean(axis=0), np.asarray(np.sqrt(train.var(axis=0).mean()))]

    centre, scale = cached(_cache_name("random", data, digest(params)), ["centre", "scale"], centre_and_scale)

    def features(samples: np.ndarray) -> tuple[np.ndarray, None]:
        return (extract(network, params, samples)[0] - centre) / max(scale, 1e-12), None

    name = f"random features of {data.name} ({DIMENSION} of an untrained network, seed {_SEED})"
    return Extractor(features, name, digest((params, centre, scale)), "none")


def _cache_name(what: str, data: Data, weights_hash: str) -> str:
    """The name of a cached file with values that depend on the data and on a network."""
    return f"{what}-{hashlib.sha256(f'{data.checksum} {weights_hash}'.encode()).hexdigest()[:32]}.npz"


def inception(
    data: Data, *, weights: str | None = None, tap: int = 2048, bias: bool = False, resize: str = "tensorflow"
) -> Extractor:
    """Return the network of the FID (`metrics/features/inception.py`), with weights from a file or the downloaded ones. Any
    file with its tensors is recognised: pytorch-fid's, NVIDIA's TorchScript, a .safetensors or an .npz."""
    from gan_jax.metrics.features import inception
    from gan_jax.metrics.features.inception_tensors import FID_NETWORK, in_names_of_pytorch_fid, network_digest

    tensors, path, file_hash = _read("inception", weights, INCEPTION)
    tensors = in_names_of_pytorch_fid(tensors)
    network_hash = FID_NETWORK if file_hash == INCEPTION.sha256 else network_digest(tensors)
    try:
        return inception.extractor(tensors, path, network_hash, tap=tap, bias=bias, resize=resize)
    except ValueError as error:
        raise InputError(f"--extractor inception: {error}") from error


def dinov2(data: Data, *, weights: str | None = None) -> Extractor:
    """Return DINOv2 (`metrics/features/dinov2.py`), with weights from a file or the downloaded ones."""
    from gan_jax.metrics.features import dinov2

    return dinov2.extractor(*_read("dinov2", weights, DINOV2))


def resnet50(data: Data, *, weights: str | None = None) -> Extractor:
    """Return torchvision's ResNet-50 (`metrics/features/resnet50.py`), with weights from a file or the downloaded ones."""
    from gan_jax.metrics.features import resnet50

    return resnet50.extractor(*_read("resnet50", weights, RESNET50))


def swav(data: Data, *, weights: str | None = None) -> Extractor:
    """Return SwAV's ResNet-50 (`metrics/features/resnet50.py`), with weights from a file or the downloaded ones."""
    from gan_jax.metrics.features import resnet50

    return resnet50.extractor(*_read("swav", weights, SWAV), swav=True)


def clip(data: Data, *, weights: str | None = None) -> Extractor:
    """Return the image tower of CLIP ViT-B/32 (`metrics/features/clip.py`), with weights from a file or the downloaded ones."""
    from gan_jax.metrics.features import clip

    return clip.extractor(*_read("clip", weights, CLIP))


def vgg16(data: Data, *, weights: str | None = None, lpips: str | None = None) -> Extractor:
    """Return VGG-16 (`metrics/features/vgg16.py`), with NVIDIA's weights, downloaded or from a file, or torchvision's from a
    file. `lpips` is the file of LPIPS's weights, which NVIDIA's contains: with either, `--path_length` is perceptual."""
    from gan_jax.metrics.features import vgg16

    linear = None if lpips is None else load_tensors(_weights_file("vgg16", lpips, LPIPS))
    return vgg16.extractor(*_read("vgg16", weights, VGG16), linear=linear)


def _cached_params(path: Path, abstract: dict) -> dict | None:
    """Return the cached parameters, or None unless the file is undamaged and has all expected names, shapes and types, and only
    finite values."""
    expected = flatten_dict(abstract, sep="/")
    params = read_cache(path)
    if params is None or params.keys() != expected.keys():
        return None
    for name, array in params.items():
        if (array.shape, array.dtype) != (expected[name].shape, expected[name].dtype) or not np.isfinite(array).all():
            return None
    return unflatten_dict(params, sep="/")


def _read(name: str, weights: str | None, published: Weights) -> tuple[dict[str, np.ndarray], Path, str]:
    """The tensors of the file `weights`, or of the downloaded one, its path and its sha256."""
    path = _weights_file(name, weights, published)
    return load_tensors(path), path, sha256(path)


def _weights_file(name: str, weights: str | None, published: Weights) -> Path:
    if weights is None:
        paths = [cache_path(file) for file in published.files]
        path = next((path for path in paths if path.is_file()), paths[0])
    else:
        path = Path(weights).expanduser()
    if not path.is_file():
        remedy = f"gan_jax weights {published.name} fetches them"
        if weights is None:
            raise InputError(f"--extractor {name}: its weights are not in {path}: {remedy}, {name}(weights='PATH') uses others")
        raise InputError(f"--extractor {name}: no file {path}; {remedy}")
    return path
