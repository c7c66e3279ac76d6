"""Views: ways to look at a generator's latents, each `f(seen, *, options) -> {suffix: content of a file}`. Each public function
here is a value of `sample.py --view`. Rows and columns of a picture are those of a grid of samples, if nothing else is said.
"""

import io
import math
import shutil
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import jax
import jax.numpy as jnp
import numpy as np
from scipy.stats import chi2
from tqdm import tqdm

from gan_jax.errors import InputError
from gan_jax.evaluation.generator import Seen
from gan_jax.evaluation.latents import loop, project, spherical, truncated
from gan_jax.evaluation.sample import (
    conditional,
)
from gan_jax.game.state import apply
from gan_jax.models.mapping import synthesize
from gan_jax.types import Array, Judgement

Files = dict[str, bytes]


def interpolation(seen: Seen, *, space: str | None = None) -> Files:
    """Each row leads in equal steps from one latent to another: in w along a line where there is a w, else in z along an arc.
    `space` says which."""
    side, share = seen.side, np.linspace(0, 1, seen.side, dtype=np.float32)
    z, label = seen.z(2 * side), seen.labels(side)
    if _space(seen, space) == "z":
        path = np.asarray(spherical(z[::2, None], z[1::2, None], share[:, None]))
        return seen.data.show(seen.sample(_flat(path), _each(label, side)))
    start, end = (seen.styles(z[i::2], label)[:, None] for i in range(2))
    path = start + share[:, None, None] * (end - start)
    return seen.data.show(seen.synthesize(_each(z[::2], side), _each(label, side), _flat(path)))


def truncation(seen: Seen, *, values: Sequence[float] = ()) -> Files:
    """Each row is one latent, truncated less and less from left to right: from what all have in common to all there is.
    `values` are the columns': psi where there is a w (Karras et al. 2019, arXiv:1812.04948, appendix B), else bounds on z."""
    if not all(type(value) in (int, float) and 0 <= value < math.inf for value in values):
        raise InputError(f"truncation: values must be finite numbers of at least 0, got {values}")
    side = len(values) or seen.side
    z, label = seen.z(side), seen.labels(side)
    if not seen.mapped:
        bounds = np.maximum(values or np.geomspace(0.1, 4, side), 1e-6)
        cut = np.stack([truncated(z, bound) for bound in bounds], axis=1)
        return seen.data.show(seen.sample(_flat(cut), _each(label, side)))
    psi = np.asarray(values or np.linspace(0, 1, side), np.float32)[:, None, None]
    average, w = np.asarray(seen.variables["average"]["w"]), seen.styles(z, label)[:, None]
    return seen.data.show(seen.synthesize(_each(z, side), _each(label, side), _flat(average + psi * (w - average))))


def mixing(seen: Seen, *, layers: int | None = None) -> Files:
    """The first column and the first row are samples; where a row and a column cross, the first `layers` layers (if not said,
    half of them) have the w of the row's and the finer ones that of the column's.

    Source: Karras et al. 2019 (StyleGAN), arXiv:1812.04948, section 3.1 and figure 3."""
    side = seen.side
    z, label = seen.z(2 * side - 1), seen.labels(2 * side - 1)
    w = seen.styles(z, label)
    layers = w.shape[1] // 2 if layers is None else layers
    if type(layers) is not int or not 0 < layers < w.shape[1]:
        raise InputError(f"mixing: layers must be from 1 to {w.shape[1] - 1}, got {layers}")
    # The corner is a sample that crosses itself.
    coarse, fine = w[:side, None, :layers], w[None, [0, *range(side, len(w))], layers:]
    mixed = np.concatenate([coarse.repeat(side, axis=1), fine.repeat(side, axis=0)], axis=2)
    return seen.data.show(
        seen.synthesize(_each(z[:side], side), _each(None if label is None else label[:side], side), _flat(mixed))
    )


def classes(seen: Seen) -> Files:
    """Each column is a class (of many, evenly spread ones) and each row a latent (where classes are few, several)."""
    if seen.game.label is None or seen.game.label.shape != () or not conditional(seen.game):
        raise InputError("classes: this generator is not given classes; train one with --g_condition")
    count = seen.game.generator.num_classes
    shown = np.arange(count) if count <= seen.side else np.linspace(0, count - 1, seen.side).round()
    side = seen.side // len(shown) * len(shown)
    label = np.tile(shown, side * side // len(shown)).astype(np.int32)
    return seen.data.show(seen.sample(_each(seen.z(len(label) // len(shown)), len(shown)), label))


def neighbours(seen: Seen, *, extractor: str | None = None) -> Files:
    """Each row is a sample and, after a gap, the training images that are nearest to it in the features of an extractor (as
    evaluate.py has them), nearest first: what was memorised looks alike."""
    from gan_jax.data.images.metrics import extractor_of, side_of

    _images(seen, "neighbours")
    extract = extractor_of(seen.data, extractor or seen.config.extractor)
    bank = side_of(seen.data, "train", extract, seen.data.train.count).features.astype(np.float64)
    samples = seen.sample(seen.z(seen.side), seen.labels(seen.side))
    features = extract.features(samples)[0].astype(np.float64)
    apart = (bank**2).sum(axis=1) - 2 * features @ bank.T  # squared distances but for |features|^2, which is a row's own
    nearest = apart.argsort(axis=1, kind="stable")[:, : seen.side - 2]
    rows = [samples[:, None], np.zeros_like(samples[:, None]), seen.data.to_float(seen.data.train.samples[nearest])]
    return seen.data.show(_flat(np.concatenate(rows, axis=1)))


def walk(seen: Seen, *, seconds: float = 6.0, rate: int = 20, stops: int = 4, count: int = 16, format: str = "gif") -> Files:
    """A film of `count` samples whose latents walk through `stops` others and back, at `rate` pictures a second; a gif, or
    an mp4 (`pip install 'gan_jax[video]'`). In w where there is one, under the same noise throughout."""
    if format not in ("gif", "mp4"):
        raise InputError(f"walk: format must be gif or mp4, got {format}")
    frames = round(seconds * rate)
    if min(frames, stops, count) < 1:
        raise InputError(f"walk: seconds {seconds}, rate {rate}, stops {stops} and count {count} make no film")
    z, label = seen.z(stops * count).reshape(stops, count, -1), seen.labels(count)
    path = loop(z, frames)
    together, pictures = max(1, 500 // count), []
    for start in tqdm(range(0, frames, together), desc="walking", leave=False, disable=None):
        latent = path[start : start + together]
        told = None if label is None else np.concatenate([label] * len(latent))
        if seen.mapped:
            samples = seen.synthesize(np.concatenate([z[0]] * len(latent)), told, seen.styles(_flat(latent), told))
        else:
            samples = seen.sample(_flat(latent), told)
        for i in range(0, len(latent) * count, count):
            shown = seen.data.show(jax.tree.map(lambda x, i=i: x[i : i + count], samples))
            if ".png" not in shown:
                raise InputError(f"walk: samples of {seen.data.name} are shown as {', '.join(shown)}, not as pictures")
            pictures.append(shown[".png"])
    return {f".{format}": (_gif if format == "gif" else _mp4)(pictures, rate)}


def projection(
    seen: Seen,
    *,
    image: str | None = None,
    space: str | None = None,
    on: str = "pixels",
    steps: int = 300,
    tries: int = 4,
    rate: float = 0.1,
) -> Files:
    """Each row is a held-out image, a gap, then samples on the way, in so many `steps`, to the latent whose sample is most like
    it, of `tries` beginnings the best: what G cannot show, it has not learnt. Or the row is the `image`, a file. Mean squares
    `on` the "pixels", or on the "features" of D. An .npz keeps the last samples, their latents and distances."""
    _images(seen, "projection")
    if min(steps, tries) < 1 or not rate > 0:
        raise InputError(f"projection: steps, tries and rate must be above 0, got {steps}, {tries} and {rate}")
    target, label = _targets(seen, image)
    side, mapped = seen.side, _space(seen, space) == "w"
    z, told = seen.z(len(target) * tries), _each(label, tries)
    # Of all lengths that N(0, 1) has, one in a thousand is greater.
    start, radius = z, math.sqrt(chi2.ppf(0.999, z.shape[1]))
    if mapped:  # from half-way to the average, as styles differ least there
        w, radius = seen.styles(z, told), None
        start = (w[:, 0] + np.asarray(seen.variables["average"]["w"])) / 2

    def sample(latent: Array) -> Array:
        if not mapped:
            return apply(seen.game.generator, seen.variables, latent, told, train=False)[0]
        return synthesize(seen.game.generator, seen.variables, z, told, jnp.repeat(latent[:, None], w.shape[1], axis=1))

    apart = _distance(seen, on, _each(target, tries), told)
    kept = sorted({0, *np.geomspace(1, steps, side - 3).round().astype(int).tolist()})
    path, distance = project(lambda latent: apart(sample(latent)), start, kept, rate, radius)
    best = distance[-1].reshape(-1, tries).argmin(axis=1) + tries * np.arange(len(target))
    samples = jax.jit(sample)
    stages = [np.asarray(samples(latent))[best] for latent in path]
    stages = [target, np.zeros_like(target), *[stages[0]] * (side - 2 - len(stages)), *stages]
    archive = io.BytesIO()
    found = {"z": z[best], "w": path[-1][best]} if mapped else {"z": path[-1][best]}
    np.savez_compressed(archive, **seen.data.pack(stages[-1]), **found, distance=distance[-1][best])
    return seen.data.show(_flat(np.stack(stages, axis=1))) | {".npz": archive.getvalue()}


def _space(seen: Seen, space: str | None) -> str:
    known = ("z", "w") if seen.mapped else ("z",)
    if space not in (None, *known):
        raise InputError(f"space must be {' or '.join(known)} for {seen.config.model}, got {space}")
    return space or known[-1]


def _flat(x: np.ndarray) -> np.ndarray:
    """[rows, columns, ...] -> [rows * columns, ...]"""
    return x.reshape(-1, *x.shape[2:])


def _each(x: np.ndarray | None, times: int) -> np.ndarray | None:
    return None if x is None else np.repeat(x, times, axis=0)


def _images(seen: Seen, view: str) -> None:
    shape = seen.data.sample_shape
    if type(shape) is not tuple or len(shape) != 3:
        raise InputError(f"{view} is for images, and samples of {seen.data.name} are {shape}")


def _targets(seen: Seen, image: str | None) -> tuple[np.ndarray, np.ndarray | None]:
    """The images to be projected [N, H, W, C] and their labels."""
    if image is None:
        held = seen.data.test.take(slice(seen.side))
        own = seen.label is None and seen.game.real_labelled
        return seen.data.to_float(held.samples), held.labels if own else seen.labels(seen.side)
    from PIL import Image, ImageOps

    if seen.label is None and seen.game.label is not None and conditional(seen.game):
        raise InputError(f"projection: --label must say what {image} shows")
    height, width, planes = seen.data.sample_shape
    try:
        with Image.open(Path(image).expanduser()) as opened:
            fitted = ImageOps.fit(opened.convert("L" if planes == 1 else "RGB"), (width, height))
    except (OSError, ValueError) as error:
        raise InputError(f"projection: cannot read the image {image}: {error}") from error
    return np.asarray(fitted, np.float32).reshape(1, height, width, planes) / 127.5 - 1, seen.labels(1)


def _distance(seen: Seen, on: str, target: np.ndarray, label: np.ndarray | None) -> Callable[[Array], Array]:
    """samples [N, H, W, C] -> their mean squared differences [N] to `target`"""

    def features(x: Array) -> Array:
        if on == "pixels":
            return x
        d_label = label if seen.game.real_labelled else None
        judged = apply(seen.game.discriminator, seen.d_variables, x, d_label, train=False)[0]
        found = Judgement(*judged).features if isinstance(judged, tuple) else None
        if found is None:
            raise InputError(f"projection: D of {seen.config.model} tells no features; say on='pixels'")
        return found

    if on not in ("pixels", "features") or (on == "features" and seen.game.pack > 1):
        raise InputError(f"projection: on must be 'pixels' or, of a D that sees samples one by one, 'features', got {on!r}")
    wanted = jax.jit(features)(target)
    return lambda x: jnp.square(features(x) - wanted).reshape(len(wanted), -1).mean(axis=1)


def _gif(pictures: list[bytes], rate: int) -> bytes:
    from PIL import Image

    first, *others = (Image.open(io.BytesIO(picture)).convert("RGB").quantize(128) for picture in pictures)
    film = io.BytesIO()
    first.save(film, "GIF", save_all=True, append_images=others, duration=round(1000 / rate), loop=0)
    return film.getvalue()


def _mp4(pictures: list[bytes], rate: int) -> bytes:
    executable = shutil.which("ffmpeg")
    if executable is None:
        try:
            from imageio_ffmpeg import get_ffmpeg_exe
        except ImportError as error:
            raise InputError("walk: mp4 needs ffmpeg: pip install 'gan_jax[video]'; or say format='gif'") from error
        executable = get_ffmpeg_exe()
    even = ["-vf", "crop=floor(iw/2)*2:floor(ih/2)*2", "-pix_fmt", "yuv420p"]  # what every player knows
    with TemporaryDirectory() as folder:
        film = Path(folder) / "walk.mp4"
        command = [executable, "-loglevel", "error", "-f", "image2pipe", "-framerate", str(rate), "-i", "-", *even, str(film)]
        done = subprocess.run(command, input=b"".join(pictures), capture_output=True)
        if done.returncode:
            raise InputError(f"walk: {executable} failed: {done.stderr.decode(errors='replace').strip().splitlines()[-1:]}")
        return film.read_bytes()
