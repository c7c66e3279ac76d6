"""One text measured against another, by the vocabulary, level and length of the real one."""

import numpy as np
import pytest

from gan_jax.data.dataset import Protocol
from gan_jax.data.load import load
from gan_jax.errors import InputError
from gan_jax.evaluation.evaluate import evaluate_samples

REAL = [f"{a} {b} dog runs" for a in ("the", "a", "no") for b in ("old", "red", "big", "small")] * 4
JSD = [f"jsd{n}" for n in (1, 2, 3, 4)]


@pytest.fixture
def measure(tmp_path):
    """A function from the lines of a file, and options of the data, to the metrics of the file."""
    (tmp_path / "real.txt").write_text("\n".join(REAL) + "\n")

    def metrics(lines, options="", name="fake.txt", protocol=Protocol(whole=True)):
        (tmp_path / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
        data = load(f"text(path='{tmp_path / 'real.txt'}'{options})", 0, 8)
        return data.evaluator(data, protocol).measure_file(tmp_path / name)

    return metrics


@pytest.mark.parametrize(
    "options", ["", ", level='word', length=8", ", level='word', length=8, vocabulary=3", ", windows=True, length=8"]
)
def test_a_text_is_at_distance_0_from_itself(measure, options):
    count, metrics, _ = measure(REAL, options)
    assert [metrics[name] for name in JSD] == [0, 0, 0, 0] and metrics["known"] == 1
    assert "windows" in options or count == len(REAL)
    assert not any(name.endswith("_floor") for name in metrics)


@pytest.mark.parametrize("options", ["", ", level='word', length=8", ", level='word', length=8, vocabulary=3"])
def test_a_text_without_a_common_symbol_is_at_the_largest_distance(measure, options):
    _, metrics, _ = measure(["ЖЖЖ ЮЮЮ ЯЯЯ ЫЫЫ ЭЭЭ".replace(" ", "" if not options else " ")] * 20, options)
    assert [metrics[name] for name in JSD] == pytest.approx([1, 1, 1, 1]) and metrics["known"] == 0


def test_symbols_that_the_real_text_lacks_agree_with_a_hand_calculation(measure):
    """Half of the words are unknown: p = (the 1/2, xx 1/2) and q = (the 1/12, ...) share one word."""
    _, metrics, _ = measure(["the xx"] * 10, ", level='word', length=8")
    p, q = (
        {"the": 0.5, "xx": 0.5},
        {"dog": 3, "runs": 3, "the": 1, "a": 1, "no": 1, "old": 0.75, "red": 0.75, "big": 0.75, "small": 0.75},
    )
    q = {word: count / 12 for word, count in q.items()}
    terms = [(x.get(word, 0), (p.get(word, 0) + q.get(word, 0)) / 2) for x in (p, q) for word in p | q]
    expected = sum(x * np.log2(x / m) for x, m in terms if x) / 2
    assert metrics["jsd1"] == pytest.approx(expected) and metrics["known"] == 0.5
    # The real text's own rare words are known, and <unk> in a file is the symbol of that name.
    _, metrics, _ = measure(["the small <unk>"] * 10, ", level='word', length=8, vocabulary=2")
    assert metrics["known"] == 1 and metrics["jsd1"] < 1


def test_fakes_are_cut_like_the_real_lines(measure):
    count, metrics, notes = measure([f"{line[:6]}{'Ж' * 90}" for line in REAL], ", length=6")
    assert count == len(REAL) and metrics["jsd4"] == 0 and metrics["known"] == 1
    assert any(f"{len(REAL)} of {len(REAL)} lines have more than 6 symbols (length)" in note for note in notes)


def test_blank_lines_are_empty_samples(measure):
    count, metrics, notes = measure([*REAL, "", ""])
    assert count == len(REAL) + 2 and notes[-1] == "2 blank lines count as samples without symbols"
    assert metrics["unique"] == 13 / count and metrics["jsd4"] == 0


def test_all_metrics_of_a_file(measure, tmp_path):
    pytest.importorskip("nltk", reason="needs nltk: pip install 'gan_jax[text]'")
    (tmp_path / "mine.py").write_text(
        "import numpy as np\n\ndef length(texts):\n    return np.array([[len(t)] for t in texts])\n"
    )
    protocol = Protocol(metrics=("all",), extractor=f"{tmp_path}/mine.py:length", whole=True, errors=True)
    _, metrics, _ = measure(REAL, ", level='word', length=8", protocol=protocol)
    assert metrics["bleu2"] == pytest.approx(1) and metrics["fd"] == pytest.approx(0, abs=1e-5) and "jsd1_error" in metrics
    _, metrics, _ = measure(["Ж"] * 30, ", level='word', length=8", protocol=protocol)
    assert metrics["bleu2"] < 0.01 and metrics["fd"] > 1


def test_the_archive_of_samples_and_the_command(tmp_path, measure):
    """Samples are those of the archive, also if they contain line ends."""
    np.savez(tmp_path / "fake.npz", text=np.array(REAL), z=np.zeros((2, 2)))
    real = f"text(path='{tmp_path / 'real.txt'}')"
    (tmp_path / "real.txt").write_text("\n".join(REAL))
    result = evaluate_samples(str(tmp_path / "fake.npz"), real, Protocol())
    assert result["metrics"]["jsd4"] == 0 and result["facts"]["count"] == len(REAL) == result["facts"]["reference"]
    with pytest.raises(InputError, match=r"other.npz: an array `text` of strings \[N\] is needed, found z"):
        np.savez(tmp_path / "other.npz", z=np.zeros(3))
        evaluate_samples(str(tmp_path / "other.npz"), real, Protocol())
    with pytest.raises(InputError, match=r"fake.txt: 1 samples, at least 2"):
        measure(["one"])
