"""Text: reading files, metrics compared with hand calculations, the oracle, and the character networks."""

import itertools
import json
import sys
from dataclasses import replace
from math import exp, log2

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from made import REAL_DATA

from gan_jax.config import Config
from gan_jax.data.dataset import Protocol
from gan_jax.data.load import load
from gan_jax.data.text.corpus import one_hot, text
from gan_jax.data.text.metrics import bleu, distinct, jensen_shannon, ngrams, self_bleu, words
from gan_jax.data.text.oracle import oracle_network
from gan_jax.errors import InputError
from gan_jax.models.text_resnet import Discriminator, Generator
from gan_jax.training.train import train


@pytest.fixture
def corpus(tmp_path):
    path = tmp_path / "corpus.txt"
    path.write_text("\n".join(f"line {i} of é" for i in range(40)) + "\n\n", encoding="utf-8")
    return path


def decode(source, split="train"):
    return source.pack(source.to_float(getattr(source, split).samples))["text"].tolist()


def test_each_line_is_a_sample(corpus):
    source = text(path=str(corpus), length=12)
    assert sorted(decode(source, "test") + decode(source)) == sorted(f"line {i} of é" for i in range(40))
    assert source.train.samples.dtype == np.uint8 and source.train.samples.shape == (36, 12)
    row = decode(source).index("line 5 of é")
    assert source.train.samples[row, -1] == 0 < source.train.samples[row, -2]  # eleven characters, then padding


def test_the_held_out_lines_represent_a_sorted_file(tmp_path):
    (tmp_path / "sorted.txt").write_text("".join(f"{letter}\n" for letter in "abcdefghij" for _ in range(100)))
    held_out = decode(text(path=str(tmp_path / "sorted.txt")), "test")
    assert len(held_out) == 100 and all(2 <= held_out.count(letter) <= 22 for letter in "abcdefghij")  # 10 expected


def test_words_and_windows(corpus):
    source = text(path=str(corpus), length=4, level="word")
    assert len(set(decode(source))) == 36 and set(decode(source, "test")) == {"line <unk> of é"}
    source = text(path=str(corpus), length=7, windows=True)
    content = corpus.read_text(encoding="utf-8").removesuffix("\n")  # ends the last line
    windows = [content[i : i + 7] for i in range(0, len(content) - 6, 7)]
    assert sorted(decode(source, "test") + decode(source)) == sorted(windows)
    assert f"the last {len(content) % 7} symbols do not fill a window and are dropped" in source.notes


def test_the_vocabulary_consists_of_the_words_of_the_training_sentences(tmp_path):
    """`vocabulary` limits it to the most frequent words. All other words become <unk>; punctuation marks are words."""
    path, test_path = tmp_path / "a.txt", tmp_path / "b.txt"
    path.write_text("a dog, a cat's dog.\n" * 4)
    test_path.write_text("a bird's dog\n" * 4)
    source = text(path=str(path), test=str(test_path), length=7, level="word")
    assert decode(source)[0] == "a dog , a cat's dog ." and decode(source, "test")[0] == "a <unk> dog"
    source = text(path=str(path), test=str(test_path), length=7, level="word", vocabulary=2)
    assert decode(source)[0] == "a dog <unk> a <unk> dog <unk>"
    np.testing.assert_array_equal(source.train.samples[0], [1, 2, 3, 1, 3, 2, 3])


def test_a_test_file_is_held_out(corpus, tmp_path):
    (tmp_path / "test.txt").write_text("x\n" * 12)
    source = text(str(tmp_path), path="corpus.txt", test="test.txt")
    assert decode(source, "test") == ["x"] * 12 and len(decode(source)) == 40


@pytest.mark.skipif(not (REAL_DATA / "tfds").is_dir(), reason=f"needs tiny Shakespeare in {REAL_DATA}/tfds")
def test_tiny_shakespeare_is_read_without_tensorflow():
    source = text(str(REAL_DATA), path="tfds:tiny_shakespeare", length=64)
    assert decode(source)[0].startswith("First Citizen:") and len(decode(source)) == 15_685
    assert len(decode(source, "test")) == 871
    assert "tensorflow" not in sys.modules
    with pytest.raises(InputError, match=r"tfds:mnist: a feature `text` is needed, it has image, label"):
        text(str(REAL_DATA), path="tfds:mnist")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"path": "nowhere.txt"}, "no file or folder 'nowhere.txt': looked for"),
        ({"level": "letter"}, "level must be one of char, word, got 'letter'"),
        ({"length": 3}, "length must be a whole number of at least 4, got 3"),
        ({"test": "a.txt"}, "test needs a path"),
        ({"vocabulary": 9}, 'vocabulary must be a whole number of at least 2, with level="word", got 9'),
        ({"oracle": 1}, "oracle must be a number of words from 2 to 65,535, got 1"),
        ({"oracle": 9, "path": "a.txt"}, "oracle can only be combined with length"),
        ({"oracle": 9, "level": "word"}, "oracle can only be combined with length"),
    ],
)
def test_invalid_options_are_rejected(options, message):
    with pytest.raises(InputError, match=message):
        text(**options)


def test_invalid_files_and_metrics_are_rejected(tmp_path):
    (tmp_path / "few.txt").write_text("one\ntwo\n")
    with pytest.raises(InputError, match=r"has too few samples: 1 and 1 of 32 symbols; windows=True cuts"):
        text(path=str(tmp_path / "few.txt"))
    (tmp_path / "binary.txt").write_bytes(b"f\xfcr\n")
    with pytest.raises(InputError, match=r"binary.txt, line 1: byte 0xfc is not UTF-8"):
        text(path=str(tmp_path / "binary.txt"))
    data = load("text", 0, 8)
    with pytest.raises(InputError, match="text has no extractor 'random': name your own embedding"):
        data.evaluator(data, Protocol(extractor="random"))
    with pytest.raises(InputError, match="unknown metric of text 'vendi'"):
        data.evaluator(data, Protocol(metrics=("vendi",)))


def test_one_hot_symbols_on_the_host_and_inside_jit():
    ids = np.array([[2, 0]], np.uint8)
    expected = [[[0, 0, 1], [1, 0, 0]]]
    np.testing.assert_array_equal(one_hot(ids, 3), expected)
    np.testing.assert_array_equal(jax.jit(lambda x: one_hot(x, 3))(ids), expected)


def test_ngrams_agree_with_a_hand_calculation():
    ids = np.array([[1, 2, 1, 0], [1, 2, 0, 0]])
    assert dict(ngrams(ids, 1)) == {(1,): 3, (2,): 2}
    assert dict(ngrams(ids, 2)) == {(1, 2): 2, (2, 1): 1}
    assert dict(ngrams(ids, 4)) == {}
    assert distinct(ids, 2) == 2 / 3 and distinct(ids, 4) == 0


def test_the_jensen_shannon_divergence_agrees_with_a_hand_calculation():
    p, q = ngrams(np.array([[1, 1, 2]]), 1), ngrams(np.array([[2, 3, 3]]), 1)
    a, b, m = (2 / 3, 1 / 3, 0), (0, 1 / 3, 2 / 3), (1 / 3, 1 / 3, 1 / 3)
    expected = sum(x * log2(x / y) for row in (a, b) for x, y in zip(row, m, strict=True) if x) / 2
    assert jensen_shannon(p, q) == pytest.approx(expected)
    assert jensen_shannon(p, p) == 0
    assert jensen_shannon(p, ngrams(np.array([[4]]), 1)) == 1 == jensen_shannon(p, ngrams(np.array([[0]]), 1))


def test_words_that_may_be_truncated_are_not_counted():
    symbols = [" ", "a", "b"]
    ids = np.array([[2, 3, 1, 2], [2, 3, 1, 0], [2, 0, 0, 0]])
    assert list(words(ids, symbols)) == ["ab", "ab", "a"]


def test_bleu_agrees_with_a_hand_calculation():
    pytest.importorskip("nltk", reason="needs nltk: pip install 'gan_jax[text]'")
    references = ["a b c d", "a a x y"]
    # "a a a b": of 4 words, a counts twice and b once; of 3 bigrams, a a and a b; the counts of 3- and 4-grams, 0, become 0.1.
    scores = bleu(["a a a b", "a b", ""], references)
    assert scores.shape == (3, 4)
    expected = [(3 / 4 * 2 / 3) ** (1 / 2), (3 / 4 * 2 / 3 * 0.1 / 2) ** (1 / 3), (3 / 4 * 2 / 3 * 0.1 / 2 * 0.1) ** (1 / 4)]
    np.testing.assert_allclose(scores[0, :3], expected)
    assert scores[1, 0] == pytest.approx(exp(1 - 4 / 2))  # all n-grams match; brevity penalty for half the length
    assert (scores[2] == 0).all()
    np.testing.assert_array_equal(self_bleu(["a b c", "a b c", "x y z"], 3)[:, 0], [1, 1, 0])


def test_a_missing_package_is_reported(monkeypatch):
    monkeypatch.setitem(sys.modules, "nltk.translate.bleu_score", None)
    with pytest.raises(InputError, match=r"BLEU needs nltk: pip install 'gan_jax\[text\]'"):
        bleu(["a"], ["a"])
    data = load('text(level="word", length=8)', 0, 8)
    with pytest.raises(InputError, match=r"BLEU needs nltk"):  # before any sample is generated
        data.evaluator(data, Protocol(metrics=("self_bleu",)))


def test_bleu_and_the_frechet_distance_are_computed_on_request(tmp_path):
    """BLEU and self-BLEU, also of identical sentences; the Fréchet distance in a user's embedding, the length of the text."""
    pytest.importorskip("nltk", reason="needs nltk: pip install 'gan_jax[text]'")
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n\ndef length(texts):\n    return np.array([[len(t)] for t in texts])\n"
    )
    data = load('text(level="word", length=8)', 0, 8)
    data = replace(data, train=data.train.take(slice(40)), test=data.test.take(slice(30)))
    protocol = Protocol(metrics=("all",), extractor=f"{tmp_path}/mine.py:length", errors=True)
    measure = data.evaluator(data, protocol)
    metrics = measure(data.to_float(data.train.samples))
    names = [f"{kind}{n}" for kind in ("bleu", "self_bleu") for n in (2, 3, 4, 5)]
    assert all(0 < metrics[name] == metrics[f"{name}_real"] < 1 and 0 < metrics[f"{name}_error"] < 0.2 for name in names)
    lengths = [np.array([len(t) for t in data.pack(data.to_float(split.samples))["text"]]) for split in (data.train, data.test)]
    expected = (lengths[0].mean() - lengths[1].mean()) ** 2 + (lengths[0].std(ddof=1) - lengths[1].std(ddof=1)) ** 2
    assert metrics["fd"] == metrics["fd_floor"] == pytest.approx(expected, rel=1e-4)
    identical = measure(data.to_float(np.repeat(data.train.samples[:1], 40, axis=0)))
    assert identical["self_bleu5"] == pytest.approx(1) and identical["bleu5_error"] == pytest.approx(0, abs=1e-9)


def test_the_oracle_is_a_probability_distribution():
    """Over all sentences of three words from four, p sums to 1; log p agrees with the LSTM's equations in float64."""
    network = oracle_network(4)
    ids = np.array(list(itertools.product(range(1, 5), repeat=3)))
    log_p = network.log_probability(ids)
    assert np.exp(log_p.sum(axis=1, dtype=np.float64)).sum() == pytest.approx(1, rel=1e-5)
    sentence, hidden, cell, expected = ids[27], np.zeros(32), np.zeros(32), []
    embedding, gates, gates_bias, scores, scores_bias = (np.float64(x) for x in network)
    for previous, word in zip([1, *sentence[:2]], sentence, strict=True):
        i, f, o, g = np.split(np.concatenate([embedding[previous - 1], hidden]) @ gates + gates_bias, 4)
        cell = cell / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
        hidden = np.tanh(cell) / (1 + np.exp(-o))
        p = np.exp(hidden @ scores + scores_bias)
        expected.append(np.log(p[word - 1] / p.sum()))
    np.testing.assert_allclose(log_p[27], expected, rtol=1e-3)
    samples = network.draw(4_000, 3, np.random.RandomState(0))
    p = np.exp(log_p.sum(axis=1))
    counts = np.array([(samples == row).all(axis=1).sum() for row in ids])
    assert (np.abs(counts - 4_000 * p) < 4 * np.sqrt(4_000 * p) + 1).all()
    padded = network.log_probability(np.array([[0, 2, 3]]))
    assert padded[0, 0] == pytest.approx(log_p[:, 0].min(), rel=1e-5)


def test_text_is_evaluated_by_the_oracle_that_generated_it(tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path))
    data = load("text(oracle=20, length=5)", 0, 8)
    assert data.sample_shape == (5, 21) and data.num_train == 10_000
    measure = data.evaluator(data, Protocol(errors=True))
    metrics = measure(data.to_float(data.train.samples[:500]))
    assert abs(metrics["nll_oracle_gap"]) < 4 * metrics["nll_oracle_gap_error"] and abs(metrics["nll_oracle_gap_floor"]) < 0.05
    random_words = np.eye(21)[np.random.RandomState(0).randint(1, 21, (500, 5))]
    worse = measure(random_words)
    assert worse["nll_oracle_gap"] > 1
    entropy = metrics["nll_oracle"] - metrics["nll_oracle_gap"]
    assert entropy == pytest.approx(-oracle_network(20).log_probability(data.test.samples).mean(), rel=1e-5)
    assert worse["nll_oracle"] - worse["nll_oracle_gap"] == pytest.approx(entropy, rel=1e-5)
    np.savez(tmp_path / "fake.npz", text=data.pack(data.to_float(data.train.samples[:500]))["text"])
    (tmp_path / "other.txt").write_text("21 x 22 y z\n" * 20)
    same, other = (measure.measure_file(tmp_path / name).metrics for name in ("fake.npz", "other.txt"))
    assert same["nll_oracle"] == metrics["nll_oracle"] and same["known"] == 1
    assert other["nll_oracle_gap"] > 1 and other["known"] == 0


def test_the_evaluator_distinguishes_text_from_noise():
    data = load("text", 0, 8)
    measure = data.evaluator(data, Protocol(errors=True))
    real = measure(data.to_float(data.train.samples[:400]), None)
    assert all(real[f"jsd{n}"] == real[f"jsd{n}_floor"] for n in (1, 2, 3, 4))
    assert real["words"] == 1.0 == real["words_real"]
    assert 0 < real["jsd4_error"] < 0.1
    noise = np.random.RandomState(0).rand(400, *data.sample_shape)
    metrics = measure(noise, None)
    assert metrics["jsd4"] > 0.9 > 0.3 > real["jsd4"] and metrics["words"] < 0.2 and metrics["unique"] == 1.0


def test_the_character_networks():
    """Samples are probabilities; every parameter has a gradient, also through a gradient penalty."""
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

    grads, x = gradients(z)
    np.testing.assert_allclose(x.sum(axis=-1), 1.0, rtol=1e-5)
    assert x.shape == (3, *shape) and (x > 0).all()
    for path, leaf in jax.tree_util.tree_leaves_with_path(grads):
        assert np.isfinite(leaf).all() and np.abs(leaf).max() > 0, path
    with pytest.raises(ValueError, match=r"text_resnet needs sequences \(T, V\)"):
        Generator((8, 8, 1)).init(jax.random.key(0), z, None, train=True)


def test_a_report_contains_samples_and_metrics(tmp_path):
    config = Config(data="text(length=16)", model="text_resnet", z_dim=4, g_width=4, g_depth=1, d_width=4, d_depth=1)
    config = replace(config, batch=8, steps=2, eval_samples=100, loss="wasserstein", penalty="gradient_penalty")
    report = train(config, tmp_path / "run").read_text()
    assert "jsd4" in report and "Jensen" in report
    lines = (tmp_path / "run" / "samples" / "step-00000002.txt").read_text().splitlines()
    assert len(lines) == 40 and lines[0] in report.replace("&#x27;", "'")
    logged = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert 0 < logged["eval/jsd1_floor"] < logged["eval/jsd1"] <= 1
