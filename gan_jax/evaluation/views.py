"""Views of a generator's latent space, each `f(generator, *, options) -> {file suffix: content}`. Each public function here is
a value of `sample.py --view`. A picture has the rows and columns of a grid of samples, unless its view says otherwise.
"""

import io
import math
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import chi2
from tqdm import tqdm

from gan_jax.errors import InputError
from gan_jax.evaluation import animation
from gan_jax.evaluation.generator import LoadedGenerator
from gan_jax.evaluation.latents import loop, principal_directions, project, truncate
from gan_jax.evaluation.sample import conditional
from gan_jax.game.state import apply
from gan_jax.models.mapping import synthesize
from gan_jax.types import Array, DiscriminatorOutput

Files = dict[str, bytes]


def interpolation(generator: LoadedGenerator, *, space: str | None = None) -> Files:
    """Each row leads in equal steps from one latent to another: along a line in w if the generator has a w, otherwise along an
    arc in z. `space` ("z" or "w") overrides the choice."""
    size = generator.grid_size
    return generator.data.show(generator.interpolate(generator.z(2 * size), generator.labels(size), size, space))


def truncation(generator: LoadedGenerator, *, values: Sequence[float] = ()) -> Files:
    """Each row is one latent, truncated less and less from left to right: from the average sample to full variety. `values`,
    one per column, are psi if the generator has a w (Karras et al. 2019, arXiv:1812.04948, appendix B), otherwise bounds on
    z."""
    if not all(type(value) in (int, float) and 0 <= value < math.inf for value in values):
        raise InputError(f"truncation: values must be finite numbers of at least 0, got {values}")
    size = len(values) or generator.grid_size
    z, label = generator.z(size), generator.labels(size)
    if not generator.has_w:
        bounds = np.maximum(values or np.geomspace(0.1, 4, size), 1e-6)
        truncated = np.stack([truncate(z, bound) for bound in bounds], axis=1)
        return generator.data.show(generator.sample(_flatten_grid(truncated), _repeat_rows(label, size)))
    psi = np.asarray(values or np.linspace(0, 1, size), np.float32)[None, :, None, None]
    average, w = np.asarray(generator.variables["average"]["w"]), generator.styles(z, label)[:, None]
    truncated = _flatten_grid(average + psi * (w - average))
    return generator.data.show(generator.synthesize(_repeat_rows(z, size), _repeat_rows(label, size), truncated))


def mixing(generator: LoadedGenerator, *, layers: int | None = None) -> Files:
    """The first column and the first row are samples. Every other cell takes the w of its row's sample in the first `layers`
    layers (default: half of them) and that of its column's sample in the finer ones.

    Source: Karras et al. 2019 (StyleGAN), arXiv:1812.04948, section 3.1 and figure 3."""
    size = generator.grid_size
    z, label = generator.z(2 * size - 1), generator.labels(2 * size - 1)
    w = generator.styles(z, label)
    layers = w.shape[1] // 2 if layers is None else layers
    if type(layers) is not int or not 0 < layers < w.shape[1]:
        raise InputError(f"mixing: layers must be from 1 to {w.shape[1] - 1}, got {layers}")
    # The top left sample heads both the first row and the first column.
    coarse, fine = w[:size, None, :layers], w[None, [0, *range(size, len(w))], layers:]
    mixed = np.concatenate([coarse.repeat(size, axis=1), fine.repeat(size, axis=0)], axis=2)
    row_label = None if label is None else label[:size]
    samples = generator.synthesize(_repeat_rows(z[:size], size), _repeat_rows(row_label, size), _flatten_grid(mixed))
    return generator.data.show(samples)


def directions(generator: LoadedGenerator, *, distance: float = 3.0) -> Files:
    """Each row leads from -`distance` to `distance` along one of the directions in which the generator's first linear maps
    change most, strongest first (`principal_directions`): the maps of w to all styles if the generator has a w, otherwise its
    first dense layer. All rows pass through the same sample, half-way.

    Source: Shen and Zhou 2021 (SeFa), arXiv:2007.06600."""
    if not 0 < distance < math.inf:
        raise InputError(f"directions: distance must be above 0, got {distance}")
    size = generator.grid_size
    z, label = generator.z(1), generator.labels(1)
    chosen = principal_directions(_first_weights(generator, z.shape[1]))[:size]
    shift = np.linspace(-distance, distance, size, dtype=np.float32)[None, :, None] * chosen[:, None]
    count = len(chosen) * size
    if not generator.has_w:
        return generator.data.show(generator.sample(_flatten_grid(z[None] + shift), _repeat_rows(label, count)))
    w = generator.styles(z, label) + _flatten_grid(shift)[:, None]
    return generator.data.show(generator.synthesize(_repeat_rows(z, count), _repeat_rows(label, count), w))


def classes(generator: LoadedGenerator) -> Files:
    """Columns are classes, evenly spread over all of them if there are more than columns; each row is a latent. If the classes
    fit several times into a row, it has several latents."""
    game = generator.game
    if game.label is None or game.label.shape != () or not conditional(game):
        raise InputError("classes: this generator is not conditional on classes; train one with --g_condition")
    count, size = game.generator.num_classes, generator.grid_size
    columns = np.arange(count) if count <= size else np.linspace(0, count - 1, size).round()
    width = size // len(columns) * len(columns)
    label = np.tile(columns, width * width // len(columns)).astype(np.int32)
    z = generator.z(len(label) // len(columns))
    return generator.data.show(generator.sample(_repeat_rows(z, len(columns)), label))


def neighbours(generator: LoadedGenerator, *, extractor: str | None = None) -> Files:
    """Each row is a sample and, after a gap, its nearest training images in the features of an extractor (one of those of
    evaluate.py), nearest first: memorised images resemble their neighbours."""
    from gan_jax.data.images.metrics import choose_extractor, image_set

    _require_images(generator, "neighbours")
    data, size = generator.data, generator.grid_size
    extract = choose_extractor(data, extractor or generator.config.extractor)
    train_features = image_set(data, "train", extract, data.train.count).features.astype(np.float64)
    samples = generator.sample(generator.z(size), generator.labels(size))
    features = extract.features(samples)[0].astype(np.float64)
    # Squared distances without |features|^2, which is constant within a row.
    distance = (train_features**2).sum(axis=1) - 2 * features @ train_features.T
    nearest = distance.argsort(axis=1, kind="stable")[:, : size - 2]
    rows = [samples[:, None], np.zeros_like(samples[:, None]), data.to_float(data.train.samples[nearest])]
    return data.show(_flatten_grid(np.concatenate(rows, axis=1)))


def walk(
    generator: LoadedGenerator, *, seconds: float = 6.0, rate: int = 20, stops: int = 4, count: int = 16, format: str = "gif"
) -> Files:
    """An animation of `count` samples whose latents pass through `stops` latents each and return to the first, at `rate` frames
    per second: a gif, or an mp4 (`pip install 'gan_jax[video]'`). A generator with a w receives constant noise."""
    if format not in ("gif", "mp4"):
        raise InputError(f"walk: format must be gif or mp4, got {format}")
    if format == "mp4":
        animation.ffmpeg()  # a missing one is reported before the samples are generated
    frames = round(seconds * rate)
    if min(frames, stops, count) < 1:
        raise InputError(f"walk: no frames to show with seconds {seconds}, rate {rate}, stops {stops} and count {count}")
    z, label = generator.z(stops * count).reshape(stops, count, -1), generator.labels(count)
    path = loop(z, frames)
    frames_per_call, pictures = max(1, 500 // count), []
    for start in tqdm(range(0, frames, frames_per_call), desc="walking", leave=False, disable=None):
        latent = path[start : start + frames_per_call]
        frame_label = None if label is None else np.concatenate([label] * len(latent))
        if generator.has_w:
            noise, w = np.concatenate([z[0]] * len(latent)), generator.styles(_flatten_grid(latent), frame_label)
            samples = generator.synthesize(noise, frame_label, w)
        else:
            samples = generator.sample(_flatten_grid(latent), frame_label)
        for i in range(0, len(latent) * count, count):
            shown = generator.data.show(jax.tree.map(lambda x, i=i: x[i : i + count], samples))
            if ".png" not in shown:
                formats = ", ".join(shown)
                raise InputError(f"walk: samples of {generator.data.name} are shown as {formats}, not as pictures")
            pictures.append(shown[".png"])
    return {f".{format}": (animation.gif if format == "gif" else animation.mp4)(pictures, rate)}


def projection(
    generator: LoadedGenerator,
    *,
    image: str | None = None,
    space: str | None = None,
    on: str = "pixels",
    steps: int = 300,
    tries: int = 4,
    rate: float = 0.1,
) -> Files:
    """Search for the latent whose sample is most similar to an image: G has not learnt an image that it cannot reproduce.

    Each row is a held-out image (or the only row is `image`, a file), a gap, and samples along the best of `tries` searches of
    `steps` steps. The distance is the mean squared difference `on` the "pixels" or on the "features" of D. An .npz holds the
    final samples, their latents and their distances."""
    _require_images(generator, "projection")
    if min(steps, tries) < 1 or not rate > 0:
        raise InputError(f"projection: steps, tries and rate must be above 0, got {steps}, {tries} and {rate}")
    target, target_label = _targets(generator, image)
    size, in_w = generator.grid_size, generator.latent_space(space) == "w"
    z, label = generator.z(len(target) * tries), _repeat_rows(target_label, tries)
    # 0.1% of the latents of N(0, 1) are longer than this.
    start, radius = z, math.sqrt(chi2.ppf(0.999, z.shape[1]))
    if in_w:  # start half-way between w and its average, which is closer to all targets
        w, radius = generator.styles(z, label), None
        start = (w[:, 0] + np.asarray(generator.variables["average"]["w"])) / 2

    def sample(latent: Array) -> Array:
        network = generator.game.generator
        if not in_w:
            return apply(network, generator.variables, latent, label, train=False)[0]
        return synthesize(network, generator.variables, z, label, jnp.repeat(latent[:, None], w.shape[1], axis=1))

    distance_of = _distance(generator, on, _repeat_rows(target, tries), label)
    kept = sorted({0, *np.geomspace(1, steps, size - 3).round().astype(int).tolist()})
    path, distance = project(lambda latent: distance_of(sample(latent)), start, kept, rate, radius)
    best = distance[-1].reshape(-1, tries).argmin(axis=1) + tries * np.arange(len(target))
    samples = jax.jit(sample)
    stages = [np.asarray(samples(latent))[best] for latent in path]
    columns = [target, np.zeros_like(target), *[stages[0]] * (size - 2 - len(stages)), *stages]
    latents = {"z": z[best], "w": path[-1][best]} if in_w else {"z": path[-1][best]}
    archive = io.BytesIO()
    np.savez_compressed(archive, **generator.data.pack(stages[-1]), **latents, distance=distance[-1][best])
    return generator.data.show(_flatten_grid(np.stack(columns, axis=1))) | {".npz": archive.getvalue()}


def _first_weights(generator: LoadedGenerator, z_dim: int) -> np.ndarray:
    """The first linear maps of w or, without one, of z: [W or Z, F]."""
    network, params = generator.game.generator, generator.variables.get("params", {})
    if generator.has_w:
        return np.asarray(network.affine_weights(params))
    if "Dense_0" not in params:
        raise InputError(f"directions: model {generator.config.model} has no dense layer that reads z")
    kernel = np.asarray(params["Dense_0"]["kernel"])[:z_dim]  # further rows read the label
    return np.pad(kernel, ((0, z_dim - len(kernel)), (0, 0)))  # in BigGAN it reads only the first numbers of z


def _flatten_grid(x: np.ndarray) -> np.ndarray:
    """[rows, columns, ...] -> [rows * columns, ...]"""
    return x.reshape(-1, *x.shape[2:])


def _repeat_rows(x: np.ndarray | None, times: int) -> np.ndarray | None:
    return None if x is None else np.repeat(x, times, axis=0)


def _require_images(generator: LoadedGenerator, view: str) -> None:
    shape = generator.data.sample_shape
    if type(shape) is not tuple or len(shape) != 3:
        raise InputError(f"{view} is for images, but samples of {generator.data.name} have shape {shape}")


def _targets(generator: LoadedGenerator, image: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The images to project, [N, H, W, C], and their labels."""
    data, game = generator.data, generator.game
    if image is None:
        held_out = data.test.take(slice(generator.grid_size))
        use_data_labels = generator.label is None and game.real_labelled
        label = held_out.labels if use_data_labels else generator.labels(generator.grid_size)
        return data.to_float(held_out.samples), label
    from PIL import Image, ImageOps

    if generator.label is None and game.label is not None and conditional(game):
        raise InputError(f"projection: set --label to the class of {image}")
    height, width, channels = data.sample_shape
    try:
        with Image.open(Path(image).expanduser()) as opened:
            fitted = ImageOps.fit(opened.convert("L" if channels == 1 else "RGB"), (width, height))
    except (OSError, ValueError) as error:
        raise InputError(f"projection: cannot read the image {image}: {error}") from error
    return np.asarray(fitted, np.float32).reshape(1, height, width, channels) / 127.5 - 1, generator.labels(1)


def _distance(generator: LoadedGenerator, on: str, target: np.ndarray, label: np.ndarray | None) -> Callable[[Array], Array]:
    """Return the function from samples [N, H, W, C] to their mean squared differences [N] from `target`."""
    game = generator.game

    def features(x: Array) -> Array:
        if on == "pixels":
            return x
        d_label = label if game.real_labelled else None
        output = apply(game.discriminator, generator.d_variables, x, d_label, train=False)[0]
        d_features = DiscriminatorOutput(*output).features if isinstance(output, tuple) else None
        if d_features is None:
            raise InputError(f"projection: D of {generator.config.model} returns no features; set on='pixels'")
        return d_features

    if on not in ("pixels", "features") or (on == "features" and game.pack > 1):
        raise InputError(f"projection: on must be 'pixels' or, if D receives single samples (pack 1), 'features', got {on!r}")
    target_features = jax.jit(features)(target)
    return lambda x: jnp.square(features(x) - target_features).reshape(len(target_features), -1).mean(axis=1)
