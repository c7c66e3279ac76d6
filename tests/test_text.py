"""Text: how files become sequences, the metrics against counts by hand, and the character networks."""

import json
import os
import sys
from dataclasses import replace
from math import log2

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.config import Config
from gan_jax.data import Protocol, load
from gan_jax.data.text import one_hot, text
from gan_jax.errors import InputError
from gan_jax.metrics.text import distinct, jensen_shannon, ngrams, words
from gan_jax.models.text_resnet import Discriminator, Generator
from gan_jax.train import train

REAL = os.environ.get("GAN_JAX_DATA")


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(f"line {i} of é" for i in range(40)) + "\n\n", encoding="utf-8")
    return path


def decode(source, split="train"):
    return source.pack(source.to_float(getattr(source, split).samples))["text"].tolist()


def test_a_line_is_a_sample(corpus):
    source = text(path=str(corpus), length=12)
    assert decode(source, "test") == ["line 0 of é", "line 1 of é", "line 2 of é", "line 3 of é"]
    assert decode(source)[-1] == "line 39 of é"[:12] and len(decode(source)) == 36
    assert source.train.samples.dtype == np.uint8 and source.train.samples.shape == (36, 12)
    assert source.test.samples[0, -1] == 0  # eleven characters and nothing


def test_words_and_windows(corpus):
    source = text(path=str(corpus), length=4, level="word")
    assert decode(source)[0] == "line 4 of é"
    source = text(path=str(corpus), length=5, windows=True)
    whole = corpus.read_text(encoding="utf-8")
    assert decode(source, "test") + decode(source) == [whole[i : i + 5] for i in range(0, len(whole) - 4, 5)]


def test_a_test_file_is_held_out(corpus, tmp_path):
    held = tmp_path / "held.txt"
    held.write_text("x\n" * 12)
    source = text(str(tmp_path), path="corpus.txt", test="held.txt")
    assert decode(source, "test") == ["x"] * 12 and len(decode(source)) == 40


@pytest.mark.skipif(REAL is None, reason="needs tiny Shakespeare below $GAN_JAX_DATA")
def test_tiny_shakespeare_is_read_without_tensorflow():
    source = text(REAL, path="tfds:tiny_shakespeare", length=64)
    assert decode(source)[0].startswith("First Citizen:") and len(decode(source)) == 15_685
    assert len(decode(source, "test")) == 871
    assert "tensorflow" not in sys.modules
    with pytest.raises(InputError, match=r"tfds:mnist: a feature `text` is needed, it has image, label"):
        text(REAL, path="tfds:mnist")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"path": "nowhere.txt"}, "no file or folder 'nowhere.txt': looked for"),
        ({"level": "letter"}, "level must be one of char, word, got 'letter'"),
        ({"length": 3}, "length must be a whole number of at least 4, got 3"),
        ({"test": "a.txt"}, "test is for a path of your own"),
    ],
)
def test_what_is_refused(options, words):
    with pytest.raises(InputError, match=words):
        text(**options)


def test_files_that_are_no_text(tmp_path):
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    with pytest.raises(InputError, match=r"has too few samples: 2 and 0 of 32 symbols"):
        text(path=str(tmp_path / "few.txt"))
    (tmp_path / "binary.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary.txt cannot be read as UTF-8"):
        text(path=str(tmp_path / "binary.txt"))
    with pytest.raises(InputError, match="no --extractor and no --metrics"):
        data = load("text", 0, 8)
        data.evaluator(data, Protocol(extractor="random"))


def test_symbols_are_one_hot_on_the_host_and_inside_jit():
    ids = np.array([[2, 0]], np.uint8)
    expected = [[[0, 0, 1], [1, 0, 0]]]
    np.testing.assert_array_equal(one_hot(ids, 3), expected)
    np.testing.assert_array_equal(jax.jit(lambda x: one_hot(x, 3))(ids), expected)


def test_ngrams_by_hand():
    ids = np.array([[1, 2, 1, 0], [1, 2, 0, 0]])
    assert dict(ngrams(ids, 1)) == {(1,): 3, (2,): 2}
    assert dict(ngrams(ids, 2)) == {(1, 2): 2, (2, 1): 1}
    assert dict(ngrams(ids, 4)) == {}
    assert distinct(ids, 2) == 2 / 3 and distinct(ids, 4) == 0


def test_the_divergence_by_hand():
    p, q = ngrams(np.array([[1, 1, 2]]), 1), ngrams(np.array([[2, 3, 3]]), 1)
    a, b, m = (2 / 3, 1 / 3, 0), (0, 1 / 3, 2 / 3), (1 / 3, 1 / 3, 1 / 3)
    expected = sum(x * log2(x / y) for half in (a, b) for x, y in zip(half, m, strict=True) if x) / 2
    assert jensen_shannon(p, q) == pytest.approx(expected)
    assert jensen_shannon(p, p) == 0
    assert jensen_shannon(p, ngrams(np.array([[4]]), 1)) == 1 == jensen_shannon(p, ngrams(np.array([[0]]), 1))


def test_words_that_may_be_cut_off_do_not_count():
    symbols = [" ", "a", "b"]
    ids = np.array([[2, 3, 1, 2], [2, 3, 1, 0], [2, 0, 0, 0]])
    assert list(words(ids, symbols)) == ["ab", "ab", "a"]


def test_the_evaluator_tells_text_from_noise():
    data = load("text", 0, 8)
    measure = data.evaluator(data, Protocol(errors=True))
    real = measure(data.to_float(data.train.samples[:400]), None)
    assert all(real[f"jsd{n}"] == real[f"jsd{n}_floor"] for n in (1, 2, 3, 4))
    assert real["words"] == 1.0 == real["words_real"]
    assert 0 < real["jsd4_error"] < 0.1
    noise = np.random.RandomState(0).rand(400, *data.sample_shape)
    found = measure(noise, None)
    assert found["jsd4"] > 0.9 > 0.3 > real["jsd4"] and found["words"] < 0.2 and found["unique"] == 1.0


def test_the_networks():
    """Probabilities come out; every parameter has a gradient, also of a gradient penalty."""
    shape = (6, 5)
    generator, discriminator = Generator(shape, width=4, depth=1), Discriminator(shape, width=4, depth=1)
    z = jax.random.normal(jax.random.key(0), (3, 2))

    @jax.jit
    def gradients(z):
        g = generator.init(jax.random.key(1), z, None, train=True)
        d = discriminator.init(jax.random.key(2), jnp.ones((3, *shape)), None, train=True)

        def score(g, d):
            x = generator.apply(g, z, None, train=True)
            logits = lambda x: discriminator.apply(d, x, None, train=True)[0]  # noqa: E731
            return logits(x).sum() + (jax.grad(lambda x: logits(x).sum())(x) ** 2).sum(), x

        return jax.grad(score, argnums=(0, 1), has_aux=True)(g, d)

    found, x = gradients(z)
    np.testing.assert_allclose(x.sum(axis=-1), 1.0, rtol=1e-5)
    assert x.shape == (3, *shape) and (x > 0).all()
    for path, leaf in jax.tree_util.tree_leaves_with_path(found):
        assert np.isfinite(leaf).all() and np.abs(leaf).max() > 0, path
    with pytest.raises(ValueError, match=r"text_resnet needs sequences \(T, V\)"):
        Generator((8, 8, 1)).init(jax.random.key(0), z, None, train=True)


def test_a_run_shows_what_it_writes(tmp_path):
    config = Config(data="text(length=16)", model="text_resnet", z_dim=4, g_width=4, g_depth=1, d_width=4, d_depth=1)
    config = replace(config, batch=8, steps=2, eval_samples=100, loss="wasserstein", penalty="gradient_penalty")
    page = train(config, tmp_path / "run").read_text()
    assert "jsd4" in page and "Jensen" in page
    lines = (tmp_path / "run" / "samples" / "step-00000002.txt").read_text().splitlines()
    assert len(lines) == 40 and lines[0] in page.replace("&#x27;", "'")
    logged = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0 < logged["eval/jsd1_floor"] < logged["eval/jsd1"] <= 1
