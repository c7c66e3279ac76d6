"""Each view of a generator's latents: what stands where in its picture."""

import io
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

SIDE = 6


class Plain(nn.Module):
    """z and the class fill an image's first row and its second."""

    num_classes: int = 10
    conditional: bool = True

    @nn.compact
    def __call__(self, z, label, train):
        x = jnp.zeros((len(z), 8, 8, 1)).at[:, 0, :, 0].set(z)
        return x.at[:, 1, 0, 0].set(label / 16.0) if self.conditional else x


class Mapped(nn.Module):
    """z -> w, twice 2 z + 1, over two layers -> an image of z in the first row, w in the second and third."""

    num_classes: int = 10

    @nn.compact
    def __call__(self, z, label, train, w=None):
        self.variable("average", "w", jnp.ones, 8)
        if w is None:
            w = jnp.repeat(2 * z[:, None] + 1, 2, axis=1)
            self.sow("intermediates", "w", w)
        return jnp.zeros((len(z), 8, 8, 1)).at[:, 0, :, 0].set(z).at[:, 1:3, :, 0].set(w)


class Judge(nn.Module):
    """Tells twice the image's first row as features."""

    def __call__(self, x, label, train):
        return x.sum(axis=(1, 2, 3)), 2 * x[:, 0, :, 0]


@pytest.fixture(scope="module")
def digits():
    data = load("digits", 0, 8)
    return replace(data, shown=SIDE**2, show=lambda x: {"": np.asarray(x)})


def seen(data, generator, label=None) -> LoadedGenerator:
    game = SimpleNamespace(
        generator=generator, discriminator=Judge(), z_dim=8, sample_shape=(8, 8, 1), real_labelled=True, pack=1,
        label=jax.ShapeDtypeStruct((), jnp.int32),
    )  # fmt: skip
    return LoadedGenerator(Config(), data, game, {"average": {"w": jnp.ones(8)}}, {}, jax.random.key(0), label)


def grid(files: Files) -> np.ndarray:
    """[rows, columns, 8, 8]"""
    x = files[""]
    side = int(len(x) ** 0.5)
    return x.reshape(side, side, 8, 8)


def z_of(count: int) -> np.ndarray:
    return latents(SimpleNamespace(z_dim=8), jax.random.key(0), count)


@pytest.fixture(autouse=True)
def told(monkeypatch):
    """Whether a generator uses labels is found by tracing a whole game."""
    for module in (views, sample):
        monkeypatch.setattr(module, "conditional", lambda game: getattr(game.generator, "conditional", True))


def test_interpolation_is_an_arc_in_z_and_a_line_in_w(digits):
    found = grid(views.interpolation(seen(digits, Plain())))
    np.testing.assert_allclose(found[:, :, 0].reshape(-1, 8), interpolation(z_of(2 * SIDE), SIDE**2), atol=1e-6)
    np.testing.assert_allclose(found[:, :, 1, 0], np.arange(SIDE)[:, None].repeat(SIDE, axis=1) / 16)  # a class a row
    mapped = seen(digits, Mapped())
    np.testing.assert_allclose(grid(views.interpolation(mapped, space="z"))[:, :, 0], found[:, :, 0], atol=1e-6)
    line, z = grid(views.interpolation(mapped)), z_of(2 * SIDE)
    np.testing.assert_allclose(line[:, -1, 2], 2 * z[1::2] + 1, atol=1e-5)
    np.testing.assert_allclose(line[:, :, 1], np.linspace(line[:, 0, 1], line[:, -1, 1], SIDE, axis=1), atol=1e-5)
    np.testing.assert_allclose(line[:, :, 0], z[::2, None].repeat(SIDE, axis=1), atol=1e-6)  # a row has one noise
    with pytest.raises(InputError, match="space must be z for"):
        views.interpolation(seen(digits, Plain()), space="w")


def test_truncation_by_bounds_or_by_psi(digits):
    found, z = grid(views.truncation(seen(digits, Plain()), values=(0.1, 1.0))), z_of(2)
    np.testing.assert_allclose(found[:, :, 0], np.stack([truncate(z, 0.1), truncate(z, 1.0)], axis=1), atol=1e-6)
    found = grid(views.truncation(seen(digits, Mapped()), values=(0.0, 0.5, 1.0)))
    np.testing.assert_allclose(found[:, 0, 1:3], 1.0)
    np.testing.assert_allclose(found[:, 1, 1], 1 + z_of(3), atol=1e-6)
    np.testing.assert_allclose(found[:, 2, 2], 1 + 2 * z_of(3), atol=1e-6)
    assert grid(views.truncation(seen(digits, Plain()))).shape[0] == SIDE
    with pytest.raises(InputError, match="values must be finite numbers of at least 0"):
        views.truncation(seen(digits, Plain()), values=(-1.0,))


def test_mixing_takes_coarse_from_the_row_and_fine_from_the_column(digits):
    found = grid(views.mixing(seen(digits, Mapped())))
    np.testing.assert_array_equal(found[:, :, 1], found[:, :1, 1].repeat(SIDE, axis=1))
    np.testing.assert_array_equal(found[:, :, 2], found[:1, :, 2].repeat(SIDE, axis=0))
    np.testing.assert_array_equal(found[0, 0, 1], found[0, 0, 2])  # samples as they are: the corner, and
    heads = 2 * z_of(2 * SIDE - 1) + 1
    np.testing.assert_allclose(found[:, 0, 1], heads[:SIDE], atol=1e-6)
    np.testing.assert_allclose(found[0, 1:, 2], heads[SIDE:], atol=1e-6)
    with pytest.raises(InputError, match="layers must be from 1 to 1, got 2"):
        views.mixing(seen(digits, Mapped()), layers=2)
    with pytest.raises(InputError, match="has no w: only a generator with a mapping network has"):
        views.mixing(seen(digits, Plain()))


@pytest.mark.parametrize(("count", "shown"), [(3, [0, 1, 2, 0, 1, 2]), (10, [0, 2, 4, 5, 7, 9])])
def test_classes_by_latents(digits, count, shown):
    found = grid(views.classes(seen(digits, Plain(count))))
    np.testing.assert_allclose(found[:, :, 1, 0], np.broadcast_to(np.array(shown) / 16, (SIDE, SIDE)))
    period = min(count, SIDE)  # so many columns have one latent
    z = found[:, :, 0].reshape(-1, period, 8)
    np.testing.assert_allclose(z, z_of(len(z))[:, None].repeat(period, axis=1), atol=1e-6)
    with pytest.raises(InputError, match="not given classes"):
        views.classes(seen(digits, Plain(conditional=False)))


def test_neighbours_are_the_nearest_training_images(digits, tmp_path):
    (tmp_path / "mine.py").write_text("def pixels(samples):\n    return samples.reshape(len(samples), -1)\n")
    found = grid(views.neighbours(seen(digits, Plain()), extractor=f"{tmp_path}/mine.py:pixels"))
    assert not found[:, 1].any()  # the gap
    bank = digits.to_float(digits.train.samples)[..., 0]
    apart = ((found[:, 0, None].astype(np.float64) - bank) ** 2).sum(axis=(2, 3))
    np.testing.assert_array_equal(found[:, 2:], bank[apart.argsort(axis=1)[:, : SIDE - 2]])


def test_a_walk_is_a_film(digits):
    shown = replace(digits, show=load("digits", 0, 8).show)
    for generator in (Plain(), Mapped()):
        (film,) = views.walk(seen(shown, generator), seconds=0.5, rate=10, count=4, stops=3).values()
        with Image.open(io.BytesIO(film)) as image:
            assert (image.format, image.n_frames, image.info["duration"]) == ("GIF", 5, 100)
    with pytest.raises(InputError, match="not as pictures"):
        views.walk(seen(digits, Plain()), count=1)
    with pytest.raises(InputError, match="format must be gif or mp4"):
        views.walk(seen(shown, Plain()), format="avi")


def test_a_film_for_everybody(digits):
    pytest.importorskip("imageio_ffmpeg", reason="needs imageio: pip install 'gan_jax[video]'")
    shown = replace(digits, show=load("digits", 0, 8).show)
    (film,) = views.walk(seen(shown, Plain()), seconds=0.5, rate=10, count=1, format="mp4").values()
    assert film[4:8] == b"ftyp"


@pytest.mark.parametrize(
    ("generator", "space", "on"), [(Plain(), "z", "pixels"), (Mapped(), "w", "pixels"), (Plain(), "z", "features")]
)
def test_projection_of_held_out_images(digits, generator, space, on):
    """What the generator can show comes near: a row of pixels from z; of two rows that one w makes, the mean."""
    files = views.projection(seen(digits, generator), on=on, steps=300, tries=2, rate=0.05)
    found, target = grid(files), digits.to_float(digits.test.samples[:SIDE])[..., 0]
    np.testing.assert_array_equal(found[:, 0], target)
    assert not found[:, 1].any()
    nearest = target[:, 1:3].mean(axis=1) if space == "w" else target[:, 0]
    np.testing.assert_allclose(found[:, -1, 1 if space == "w" else 0], nearest, atol=0.02)
    with np.load(io.BytesIO(files[".npz"])) as stored:
        assert stored[space].shape == (SIDE, 8) and stored["images"].shape == (SIDE, 8, 8, 1)
        assert stored["distance"].shape == (SIDE,)


def test_projection_of_a_file(digits, tmp_path):
    Image.new("RGB", (30, 20), (255, 255, 255)).save(tmp_path / "white.png")
    found = views.projection(seen(digits, Plain(), label="3"), image=str(tmp_path / "white.png"), steps=2)[""]
    assert found.shape == (SIDE, 8, 8, 1) and (found[0] == 1).all()
    assert (found[2:, 1, 0, 0] == np.float32(3 / 16)).all()
    with pytest.raises(InputError, match="--label must say what"):
        views.projection(seen(digits, Plain()), image=str(tmp_path / "white.png"))
    with pytest.raises(InputError, match="cannot read the image"):
        views.projection(seen(digits, Plain(), label="3"), image=str(tmp_path / "none.png"))
    with pytest.raises(InputError, match="on must be 'pixels' or"):
        views.projection(seen(digits, Plain()), on="ears")


def test_a_label_is_a_class_by_name_or_number(digits):
    named = replace(digits, classes=("ten", "2", "one", *"defghij"))
    for text, label in (("one", 2), ("2", 1), ("3", 3)):
        assert seen(named, Plain(), text).labels(2).tolist() == [label, label]
    with pytest.raises(InputError, match="a class from 0 to 9, or of ten, 2, one, d, e, f, g, h, i, j, got three"):
        seen(named, Plain(), "three").labels(2)
    with pytest.raises(InputError, match="a class from 0 to 9, got one"):
        seen(digits, Plain(), "one").labels(2)
