"""Files of tables: what is read, what is asked for, and files of generated rows measured by the real table's schema."""

import csv
import gzip

import numpy as np
import pytest
from scipy.spatial.distance import jensenshannon
from scipy.stats import wasserstein_distance

from gan_jax.data.load import load
from gan_jax.data.tables.schema import Numeric
from gan_jax.errors import InputError
from gan_jax.evaluation.evaluate import evaluate_samples

RANDOM = np.random.RandomState(0)


def write(path, rows, header=None, delimiter=","):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, delimiter=delimiter).writerows(([header] if header else []) + list(rows))
    return str(path)


def packed(data):
    """Return the rows of the training split as text."""
    return data.pack(data.to_float(data.train.samples))["rows"].tolist()


def test_the_notes_say_what_was_understood_and_left_out(tmp_path):
    rows = [[str(i), f"{i}.5", "ab"[i % 2], f"k{i}"] for i in range(60)] + [["", "", "", ""]] * 2
    data = load(
        f'table(path="{write(tmp_path / "t.csv", rows, ["", "x", "kind", "last, first"])}", drop=("unnamed 1", "last, first"))',
        0,
        8,
    )
    assert data.notes == (
        "2 rows without any value are left out",
        "columns without a name are called unnamed 1",
        "left out by drop, also of generated rows: unnamed 1, last, first",
        "2 columns: x: numbers of 1 decimal, 0.5 to 59.5; kind: one of a, b",
    )
    whole = load(f'table(path="{tmp_path / "t.csv"}", drop="last, first", numeric="unnamed 1")', 0, 8)
    assert whole.sample_shape["values"] == (2,)
    with pytest.raises(
        InputError, match=r"column 'unnamed 1': its 60 values are all different.*; column 'last, first': its 60"
    ):
        load(f'table(path="{tmp_path / "t.csv"}")', 0, 8)


def test_what_float32_rounds_is_noted(tmp_path):
    path = write(tmp_path / "t.csv", [[str(10**9 + 7_000_001 * i)] for i in range(60)], ["amount"])
    (note,) = [note for note in load(f'table(path="{path}")', 0, 8).notes if "rounded" in note]
    assert note.startswith("numbers rounded by the networks' float32: amount (up to ")


def test_compressed_and_semicolon_files_with_decimal_commas(tmp_path):
    rows = [[f"{i},{i % 10}", f"{1000 + i}"] for i in range(60)]
    write(tmp_path / "t.csv", rows, ["x", "n"], ";")
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(b"\xef\xbb\xbf" + (tmp_path / "t.csv").read_bytes()))
    data = load(f'table(path="{tmp_path / "t.csv.gz"}")', 0, 8)
    assert {tuple(row) for row in packed(data)} <= {tuple(row) for row in rows} and data.sample_shape["values"] == (2,)


@pytest.mark.parametrize(
    ("rows", "header", "options", "message"),
    [
        (
            [[str(i), "ab"[i % 2]] for i in range(60)],
            None,
            "",
            "the first line looks like data .'0' is above cells like it.: set header",
        ),
        ([["pq"[i % 2], "ab"[i % 2]] for i in range(60)], None, "", "looks like data .its cells occur again below it"),
        ([[str(i), "ab"[i % 2]] for i in range(60)], ["n", "k"], ", header=False", "looks like a header .'n' is above numbers"),
        (
            [[f"{i}.5", "ab"[i % 2]] for i in range(59)] + [["abc", "a"]],
            ["n", "k"],
            "",
            "column 'n', line 61: 'abc' is not a number",
        ),
        ([[str(i), str(i)] for i in range(60)], ["# mine"], "", r"the first line has 1 cells \('# mine'\), most others have 2"),
        (
            [["ab"[i % 2], str(i)] for i in range(60)] + [["Total:", "1770"]],
            ["k", "n"],
            "",
            r"the last line looks like totals \('Total:'\): delete it, or set categorical='k'",
        ),
        ([["1", "2"]] * 20, ["n", "k"], "", "at least one column and 50 rows, got 2, 20"),
    ],
)
def test_headers_and_bad_cells_are_asked_for(tmp_path, rows, header, options, message):
    with pytest.raises(InputError, match=message):
        load(f'table(path="{write(tmp_path / "t.csv", rows, header)}"{options})', 0, 8)


def test_the_stated_header_is_respected(tmp_path):
    path = write(tmp_path / "t.csv", [[str(i % 30), "ab"[i % 2]] for i in range(60)], ["2019", "k"])
    assert load(f'table(path="{path}", header=True)', 0, 8).sample_shape["values"] == (1,)
    assert load(f'table(path="{path}", header=False)', 0, 8).train.count > 0


def test_other_formats_are_named(tmp_path):
    (tmp_path / "t.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="xlsx is not read: save the table as csv"):
        load(f'table(path="{tmp_path / "t.xlsx"}")', 0, 8)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Return the folder of a table with a number N(0, 1), a date and two levels, and its rows."""
    folder = tmp_path_factory.mktemp("real")
    days = np.datetime64("2020-01-01") + RANDOM.randint(0, 500, 300)
    rows = [[f"{x:.4f}", str(day), ("free", "pro")[int(x > 0)]] for x, day in zip(RANDOM.randn(300), days, strict=True)]
    write(folder / "real.csv", rows, ["x", "day", "tier"])
    return folder, rows


def measure(folder, name):
    from gan_jax.data.dataset import Protocol

    return evaluate_samples(str(folder / name), f'table(path="{folder / "real.csv"}")', Protocol())


def test_distances_of_a_file_are_in_units_of_the_real_column(real):
    folder, rows = real
    x, fake = np.array([float(row[0]) for row in rows]), np.round(5_000 + 300 * RANDOM.randn(200), 4)
    write(
        folder / "far.csv", [[f"{value:.4f}", *row[1:]] for value, row in zip(fake, rows, strict=False)], ["x", "day", "tier"]
    )
    result = measure(folder, "far.csv")
    days = np.array([row[1] for row in rows], "datetime64[D]").astype(float)
    expected = (wasserstein_distance(fake, x) / x.std() + wasserstein_distance(days[:200], days) / days.std()) / 2
    assert result["metrics"]["wasserstein"] == pytest.approx(expected, rel=1e-6) and expected > 2_000
    assert result["metrics"]["valid"] == 1 and result["metrics"]["dcr"] > 3_000 and result["facts"]["count"] == 200
    assert any("200 numbers in column 'x' are outside the real range" in note for note in result["facts"]["notes"])


def test_the_order_of_columns_and_the_program_that_wrote_them_do_not_matter(real):
    folder, rows = real
    swapped = [[tier, f"{day} 00:00:00", "0", repr(float(x))] for x, day, tier in rows]
    write(folder / "swapped.csv", swapped, ["tier", "day", "more", "x"], ";")
    np.savez(folder / "rows.npz", columns=np.array(["x", "day", "tier"]), rows=np.array(rows))
    for name in ("swapped.csv", "rows.npz"):
        result = measure(folder, name)
        assert result["metrics"]["valid"] == 1 and result["metrics"]["wasserstein"] == pytest.approx(0, abs=1e-12)
        assert result["metrics"]["jsd"] == 0 == result["metrics"]["dcr"]
        assert any("ignored: 'more'" in note for note in result["facts"]["notes"]) == (name == "swapped.csv")


def test_cells_that_do_not_fit_count_as_invalid(real):
    folder, rows = real
    bad = [["abc", *rows[0][1:]], [*rows[0][:2], "gold"], ["", *rows[0][1:]], rows[0][:2], ["1", "2020-13-01", "pro"]]
    write(folder / "bad.csv", [*bad * 6, *rows[:90]], ["x", "day", "tier"])
    result = measure(folder, "bad.csv")
    assert result["metrics"]["valid"] == 90 / 120
    (note,) = result["facts"]["notes"]
    assert note.startswith(
        "30 of 120 rows are invalid: 6 of another number of cells, 12 with unreadable cells in column 'x' ('abc', '')"
    )
    assert "6 with unknown levels in column 'tier' ('gold')" in note
    # Invalid cells are a level of their own in `tier`, 12 of 120, and missing in x, 18 of 120, and in day, 12 of 120.
    free = np.mean([row[2] == "free" for row in rows])
    tiers = [row[2] for row in [rows[0]] * 12 + rows[:90]] + ["pro"] * 6
    pairs = [([tiers.count("free") / 120, tiers.count("pro") / 120, 0.1], [free, 1 - free, 0.0])]
    pairs += [([1 - missing, missing], [1.0, 0.0]) for missing in (0.15, 0.1)]
    expected = [jensenshannon(p, q, base=2) ** 2 for p, q in pairs]
    assert result["metrics"]["jsd"] == pytest.approx(np.mean(expected))
    write(folder / "nothing.csv", [["abc", "x", "y"]] * 30, ["x", "day", "tier"])
    nothing = measure(folder, "nothing.csv")["metrics"]
    assert nothing["valid"] == 0 and nothing["jsd"] == pytest.approx(1) and "wasserstein" not in nothing


@pytest.mark.parametrize(
    ("rows", "header", "message"),
    [
        ([["1", "pro"]] * 30, ["x", "tier"], "no column 'day'; its columns are x, tier"),
        ([["1", "2", "pro", "3"]] * 30, ["x", "x", "tier", "day"], "columns of the same name: 'x'"),
        ([["1", "2020-01-01", "pro"]] * 3, ["x", "day", "tier"], "at least 20 rows are required, got 3"),
        ([], ["x", "day", "tier"], "has no rows"),
    ],
)
def test_files_that_cannot_be_compared_are_refused(real, rows, header, message):
    write(real[0] / "other.csv", rows, header)
    with pytest.raises(InputError, match=message):
        measure(real[0], "other.csv")


def test_levels_of_numbers_match_by_value(tmp_path):
    from gan_jax.data.tables.fakes import _known
    from gan_jax.data.tables.schema import Categorical

    known = _known(Categorical("x", ("1", "2", "007", "")))
    assert [known(text) for text in ("1", "1.0", "2e0", "007", "7", "NA")] == [0, 0, 1, 2, np.inf, 3]
    schema_column = Numeric("x", None, None, 0, 1)
    assert _known(schema_column)("") == np.inf
