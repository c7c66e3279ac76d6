"""The pictures of each view of a generator's latent space."""

import io
import sys
from dataclasses import replace
from types import SimpleNamespace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from gan_jax.config import Config
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.evaluation import sample, views
from gan_jax.evaluation.generator import LoadedGenerator
from gan_jax.evaluation.latents import truncate
from gan_jax.evaluation.sample import interpolation, latents
from gan_jax.evaluation.views import Files

SIZE = 6  # rows and columns of a grid
KEY = jax.random.key(0)


class Plain(nn.Module):
    """An image with z in its first row and the class in its second."""

    num_classes: int = 10
    conditional: bool = True

    @nn.compact
    def __call__(self, z, label, train):
        x = jnp.zeros((len(z), 8, 8, 1)).at[:, 0, :, 0].set(z)
        return x.at[:, 1, 0, 0].set(label.astype(jnp.float32) / 16.0) if self.conditional else x


class Mapped(nn.Module):
    """z -> w, 2 z + 1 in each of two layers -> an image with z in its first row and w in its second and third."""

    num_classes: int = 10
    takes_w = True

    @nn.compact
    def __call__(self, z, label, train, w=None):
        self.variable("average", "w", jnp.ones, 8)
        if w is None:
            w = jnp.repeat(2 * z[:, None] + 1, 2, axis=1)
            self.sow("intermediates", "w", w)
        return jnp.zeros((len(z), 8, 8, 1)).at[:, 0, :, 0].set(z).at[:, 1:3, :, 0].set(w)


class Discriminator(nn.Module):
    """Its features are twice the image's first row."""

    def __call__(self, x, label, train):
        return x.sum(axis=(1, 2, 3)), 2 * x[:, 0, :, 0]


@pytest.fixture(scope="module")
def digits():
    data = load("digits", 0, 8)
    return replace(data, num_shown=SIZE**2, show=lambda x: {"": np.asarray(x)})


def draw_latents(key, count: int) -> jax.Array:
    return jax.random.normal(key, (count, 8))


def loaded(data, generator, label=None) -> LoadedGenerator:
    game = SimpleNamespace(
        generator=generator, discriminator=Discriminator(), z_dim=8, sample_shape=(8, 8, 1), real_labelled=True, pack=1,
        label=jax.ShapeDtypeStruct((), jnp.int32), draw_latents=draw_latents,
    )  # fmt: skip
    return LoadedGenerator(Config(), data, game, {"average": {"w": jnp.ones(8)}}, {}, *jax.random.split(KEY), label)


def grid(files: Files) -> np.ndarray:
    """[rows, columns, 8, 8]"""
    x = files[""]
    size = int(len(x) ** 0.5)
    return x.reshape(size, size, 8, 8)


def first_z(count: int) -> np.ndarray:
    return latents(SimpleNamespace(draw_latents=draw_latents), jax.random.split(KEY)[0], count)


@pytest.fixture(autouse=True)
def conditional(monkeypatch):
    """Replace `conditional`, which traces a whole game, by an attribute of the generators above."""
    for module in (views, sample):
        monkeypatch.setattr(module, "conditional", lambda game: getattr(game.generator, "conditional", True))


def test_interpolation_is_an_arc_in_z_and_a_line_in_w(digits):
    picture = grid(views.interpolation(loaded(digits, Plain())))
    np.testing.assert_allclose(picture[:, :, 0].reshape(-1, 8), interpolation(first_z(2 * SIZE), SIZE**2), atol=1e-6)
    np.testing.assert_allclose(picture[:, :, 1, 0], np.arange(SIZE)[:, None].repeat(SIZE, axis=1) / 16)  # one class per row
    mapped = loaded(digits, Mapped())
    np.testing.assert_allclose(grid(views.interpolation(mapped, space="z"))[:, :, 0], picture[:, :, 0], atol=1e-6)
    line, z = grid(views.interpolation(mapped)), first_z(2 * SIZE)
    np.testing.assert_allclose(line[:, -1, 2], 2 * z[1::2] + 1, atol=1e-5)
    np.testing.assert_allclose(line[:, :, 1], np.linspace(line[:, 0, 1], line[:, -1, 1], SIZE, axis=1), atol=1e-5)
    np.testing.assert_allclose(line[:, :, 0], z[::2, None].repeat(SIZE, axis=1), atol=1e-6)  # constant noise along a row
    with pytest.raises(InputError, match="space must be z for"):
        views.interpolation(loaded(digits, Plain()), space="w")


def test_truncation_by_bounds_or_by_psi(digits):
    picture, z = grid(views.truncation(loaded(digits, Plain()), values=(0.1, 1.0))), first_z(2)
    np.testing.assert_allclose(picture[:, :, 0], np.stack([truncate(z, 0.1), truncate(z, 1.0)], axis=1), atol=1e-6)
    picture = grid(views.truncation(loaded(digits, Mapped()), values=(0.0, 0.5, 1.0)))
    np.testing.assert_allclose(picture[:, 0, 1:3], 1.0)
    np.testing.assert_allclose(picture[:, 1, 1], 1 + first_z(3), atol=1e-6)
    np.testing.assert_allclose(picture[:, 2, 2], 1 + 2 * first_z(3), atol=1e-6)
    assert grid(views.truncation(loaded(digits, Plain()))).shape[0] == SIZE
    with pytest.raises(InputError, match="values must be finite numbers of at least 0"):
        views.truncation(loaded(digits, Plain()), values=(-1.0,))


class Mixed(nn.Module):
    """An image with a linear map of z in its first row."""

    num_classes: int = 10

    @nn.compact
    def __call__(self, z, label, train):
        return jnp.zeros((len(z), 8, 8, 1)).at[:, 0, :, 0].set(nn.Dense(8, use_bias=False)(z))


def test_directions_in_z_follow_the_first_dense_layer(digits):
    """Five columns of its kernel lie along one unit vector, two along another, one along a third; the rest of z is not read."""
    kernel = np.zeros((8, 8), np.float32)
    kernel[2, :5], kernel[6, 5:7], kernel[0, 7] = 2.0, 1.0, 7.0
    generator = replace(loaded(digits, Mixed()), variables={"params": {"Dense_0": {"kernel": kernel}}})
    picture, z = grid(views.directions(generator, distance=2.0))[:, :, 0], first_z(1)[0]
    for row, axis in ((0, 2), (1, 6), (2, 0)):
        shift = np.linspace(-2, 2, SIZE)[:, None] * np.eye(8)[axis]
        np.testing.assert_allclose(picture[row], (z + shift) @ kernel, atol=1e-5)
    np.testing.assert_allclose(picture[3:], np.broadcast_to(z @ kernel, (SIZE - 3, SIZE, 8)), atol=1e-5)
    with pytest.raises(InputError, match="no dense layer that reads z"):
        views.directions(loaded(digits, Plain()))
    with pytest.raises(InputError, match="distance must be above 0, got 0"):
        views.directions(generator, distance=0)


class Directed(Mapped):
    def affine_weights(self, params):
        return jnp.eye(8)[jnp.array([5, 5, 1])].T


def test_directions_in_w(digits):
    picture, w = grid(views.directions(loaded(digits, Directed())))[:, :, 1:3], 2 * first_z(1)[0] + 1
    for row, axis in ((0, 5), (1, 1)):
        expected = w + np.linspace(-3, 3, SIZE)[:, None] * np.eye(8)[axis]
        np.testing.assert_allclose(picture[row], expected[:, None].repeat(2, axis=1), atol=1e-5)


def test_mixing_takes_coarse_from_the_row_and_fine_from_the_column(digits):
    picture = grid(views.mixing(loaded(digits, Mapped())))
    np.testing.assert_array_equal(picture[:, :, 1], picture[:, :1, 1].repeat(SIZE, axis=1))
    np.testing.assert_array_equal(picture[:, :, 2], picture[:1, :, 2].repeat(SIZE, axis=0))
    np.testing.assert_array_equal(picture[0, 0, 1], picture[0, 0, 2])  # the first row and the first column are not mixed
    w = 2 * first_z(2 * SIZE - 1) + 1
    np.testing.assert_allclose(picture[:, 0, 1], w[:SIZE], atol=1e-6)
    np.testing.assert_allclose(picture[0, 1:, 2], w[SIZE:], atol=1e-6)
    with pytest.raises(InputError, match="layers must be from 1 to 1, got 2"):
        views.mixing(loaded(digits, Mapped()), layers=2)
    with pytest.raises(InputError, match="has no w: views in w need a mapping network"):
        views.mixing(loaded(digits, Plain()))


@pytest.mark.parametrize(("count", "expected"), [(3, [0, 1, 2, 0, 1, 2]), (10, [0, 2, 4, 5, 7, 9])])
def test_classes_in_columns(digits, count, expected):
    picture = grid(views.classes(loaded(digits, Plain(count))))
    np.testing.assert_allclose(picture[:, :, 1, 0], np.broadcast_to(np.array(expected) / 16, (SIZE, SIZE)))
    period = min(count, SIZE)  # columns that share a latent
    z = picture[:, :, 0].reshape(-1, period, 8)
    np.testing.assert_allclose(z, first_z(len(z))[:, None].repeat(period, axis=1), atol=1e-6)
    with pytest.raises(InputError, match="not conditional on classes"):
        views.classes(loaded(digits, Plain(conditional=False)))


def test_neighbours_are_the_nearest_training_images(digits, tmp_path):
    (tmp_path / "mine.py").write_text("def pixels(samples):\n    return samples.reshape(len(samples), -1)\n")
    picture = grid(views.neighbours(loaded(digits, Plain()), extractor=f"{tmp_path}/mine.py:pixels"))
    assert not picture[:, 1].any()  # the gap
    bank = digits.to_float(digits.train.samples)[..., 0]
    distance = ((picture[:, 0, None].astype(np.float64) - bank) ** 2).sum(axis=(2, 3))
    np.testing.assert_array_equal(picture[:, 2:], bank[distance.argsort(axis=1)[:, : SIZE - 2]])


def test_walk_is_an_animation(digits):
    shown = replace(digits, show=load("digits", 0, 8).show)
    for generator in (Plain(), Mapped()):
        (animation,) = views.walk(loaded(shown, generator), seconds=0.5, rate=10, count=4, stops=3).values()
        with Image.open(io.BytesIO(animation)) as image:
            assert (image.format, image.n_frames, image.info["duration"]) == ("GIF", 5, 100)
    with pytest.raises(InputError, match="not as pictures"):
        views.walk(loaded(digits, Plain()), count=1)
    with pytest.raises(InputError, match="format must be gif or mp4"):
        views.walk(loaded(shown, Plain()), format="avi")


def test_walk_as_mp4(digits):
    pytest.importorskip("imageio_ffmpeg", reason="needs imageio: pip install 'gan_jax[video]'")
    shown = replace(digits, show=load("digits", 0, 8).show)
    (animation,) = views.walk(loaded(shown, Plain()), seconds=0.5, rate=10, count=1, format="mp4").values()
    assert animation[4:8] == b"ftyp"


def test_a_walk_without_ffmpeg_is_refused_before_samples_are_generated(monkeypatch):
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(InputError, match=r"mp4 needs ffmpeg: pip install 'gan_jax\[video\]', or set format='gif' \("):
        views.walk(None, format="mp4")


@pytest.mark.parametrize(
    ("generator", "space", "on"), [(Plain(), "z", "pixels"), (Mapped(), "w", "pixels"), (Plain(), "z", "features")]
)
def test_projection_of_held_out_images(digits, generator, space, on):
    """It finds the nearest image that the generator can produce: the first row from z, the mean of two rows from a shared w."""
    files = views.projection(loaded(digits, generator), on=on, steps=300, tries=2, rate=0.05)
    picture, target = grid(files), digits.to_float(digits.test.samples[:SIZE])[..., 0]
    np.testing.assert_array_equal(picture[:, 0], target)
    assert not picture[:, 1].any()
    nearest = target[:, 1:3].mean(axis=1) if space == "w" else target[:, 0]
    np.testing.assert_allclose(picture[:, -1, 1 if space == "w" else 0], nearest, atol=0.02)
    with np.load(io.BytesIO(files[".npz"])) as stored:
        assert stored[space].shape == (SIZE, 8) and stored["images"].shape == (SIZE, 8, 8, 1)
        assert stored["distance"].shape == (SIZE,)


def test_projection_of_a_file(digits, tmp_path):
    Image.new("RGB", (30, 20), (255, 255, 255)).save(tmp_path / "white.png")
    picture = views.projection(loaded(digits, Plain(), label="3"), image=str(tmp_path / "white.png"), steps=2)[""]
    assert picture.shape == (SIZE, 8, 8, 1) and (picture[0] == 1).all()
    assert (picture[2:, 1, 0, 0] == np.float32(3 / 16)).all()
    with pytest.raises(InputError, match="set --label to the class of"):
        views.projection(loaded(digits, Plain()), image=str(tmp_path / "white.png"))
    with pytest.raises(InputError, match="cannot read the image"):
        views.projection(loaded(digits, Plain(), label="3"), image=str(tmp_path / "none.png"))
    with pytest.raises(InputError, match="on must be 'pixels' or"):
        views.projection(loaded(digits, Plain()), on="ears")


def test_label_by_name_or_number(digits):
    named = replace(digits, classes=("ten", "2", "one", *"defghij"))
    for text, label in (("one", 2), ("2", 1), ("3", 3)):
        assert loaded(named, Plain(), text).labels(2).tolist() == [label, label]
    with pytest.raises(InputError, match="a class from 0 to 9, or one of ten, 2, one, d, e, f, g, h, i, j, got three"):
        loaded(named, Plain(), "three").labels(2)
    with pytest.raises(InputError, match="a class from 0 to 9, got one"):
        loaded(digits, Plain(), "one").labels(2)
