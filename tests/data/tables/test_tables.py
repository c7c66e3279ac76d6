"""Tables: inferred types of columns, the representation of rows for the networks, conditions, files, and pictures."""

import csv
import io
from xml.etree import ElementTree

import jax
import numpy as np
import pytest
from made import prepare_rows

from gan_jax.data.load import load
from gan_jax.data.tables import rows as table_rows
from gan_jax.data.tables import schema as table_schema
from gan_jax.data.tables.infer import Options, infer
from gan_jax.data.tables.numbers import Numbers
from gan_jax.data.tables.schema import Categorical, Numeric, Schema, Table
from gan_jax.data.tfds import columns as tfds_columns
from gan_jax.errors import InputError


def write(tmp_path, text, name="t.csv"):
    (tmp_path / name).write_text(text, encoding="utf-8")
    return str(tmp_path / name)


@pytest.fixture(scope="module")
def synthetic():
    return load("table", 0, 64)


def test_types_of_columns_are_inferred():
    count = 60
    cells = {
        "age": [str(20 + i % 30) for i in range(count)],
        "price": [f"{i / 4:.2f}" if i % 7 else " NA " for i in range(count)],
        "stars": [str(i % 11 // 2 + 1) for i in range(count)],
        "colour": [("red", "blue", "")[i % 3] for i in range(count)],
    }
    schema, rows, notes = infer(cells)
    assert schema.names == ("age", "price", "stars", "colour")
    age, price = schema.numeric
    assert (age.form, age.missing, age.low, age.high) == (Numbers(), None, 20, 49)
    assert (price.form, price.missing) == (Numbers(decimals=2, min_decimals=2), "NA")
    assert schema.categorical == (
        Categorical("stars", ("1", "2", "3", "4", "5", "6")),
        Categorical("colour", ("blue", "red", "")),
    )
    np.testing.assert_array_equal(rows.numbers[:, 0], 20 + np.arange(count) % 30)
    np.testing.assert_array_equal(np.isnan(rows.numbers[:, 1]), np.arange(count) % 7 == 0)
    np.testing.assert_array_equal(rows.codes[:3, 1], [1, 0, 2])
    assert [str(column) for column in table_schema.fit(schema, rows).columns[2:]] == [
        "stars: one of 1, 2, 3, 4, 5, 6",
        "colour: one of blue, red, (missing)",
    ]
    assert notes == (
        "4 columns: age: integers, 20 to 49; price: numbers of 2 decimals, 0.25 to 14.75, some missing; "
        "stars: one of 1, 2, 3, 4, 5, 6; colour: one of blue, red, (missing)",
    )
    other, *_ = infer(cells, Options(numeric=["stars"], categorical=["age"]))
    assert [c.name for c in other.numeric] == ["price", "stars"] and len(other.categorical[0].levels) == 30
    assert infer({"x": ["10", "9", "b", "1.5"] * 9})[0].categorical[0].levels == ("1.5", "9", "10", "b")


def test_rows_are_recovered_from_the_representation_of_the_networks(synthetic):
    schema, rows, _ = infer(table_rows.synthetic(500))
    schema = table_schema.fit(schema, rows)
    stored = table_schema.encode(schema, rows, 0)
    floats = table_schema.to_float(schema, stored)
    decoded = table_schema.decode(schema, floats)
    np.testing.assert_array_equal(decoded.numbers, rows.numbers)
    np.testing.assert_array_equal(decoded.codes, rows.codes)
    assert table_schema.cells(schema, decoded) == table_rows.synthetic(500)
    assert np.isnan(rows.numbers).any() and all((x.sum(axis=1) == 1).all() for x in floats["choices"].values())
    jitted = jax.jit(lambda x: table_schema.to_float(schema, x))(stored)
    assert jax.tree.structure(jitted) == jax.tree.structure(floats)
    jax.tree.map(np.testing.assert_array_equal, jitted, floats)
    with pytest.raises(ValueError, match="finite"):
        table_schema.decode(schema, {**floats, "values": floats["values"] * np.nan})
    with pytest.raises(ValueError, match="must have the choices"):
        table_schema.decode(schema, synthetic.to_float(synthetic.test.samples) | {"choices": {"age": np.ones((2, 3))}})


def test_fitted_modes_agree_with_those_of_the_data():
    """Two distant Gaussians, and a number that makes up a third of the values, for which a point mass is fitted."""
    random = np.random.RandomState(1)
    x = np.concatenate([np.zeros(2_000), 10 + random.randn(1_000), 20 + 0.5 * random.randn(3_000)])
    unfitted = Schema(("x",), (Numeric("x", Numbers(6), "", 0, 30),), ())
    schema = table_schema.fit(unfitted, Table(x[:, None], np.zeros((6_000, 0))))
    (column,) = schema.numeric
    assert (column.means[0], column.deviations[0]) == (0, 0) and column.weights.sum() == pytest.approx(1, abs=0.01)
    is_near = {center: np.abs(column.means - center) < 3 for center in (10, 20)}
    assert column.weights[is_near[10]].sum() == pytest.approx(1 / 6, abs=0.005)
    assert column.weights[is_near[20]].sum() == pytest.approx(1 / 2, abs=0.005)
    values = np.array([0.0, 1e-9, 10.3, 19.8, np.nan])
    stored = table_schema.encode(schema, Table(values[:, None], np.zeros((5, 0))), 0)
    modes = stored["choices"]["x"]
    assert modes[0] == 0 and (modes[1:4] > 0).all() and modes[4] == len(column.means)
    means, deviations = column.means[modes[1:4]], column.deviations[modes[1:4]]
    np.testing.assert_allclose(stored["values"][1:4, 0], (values[1:4] - means) / (4 * deviations), rtol=1e-6)


def test_the_mode_of_a_number_is_drawn_from_the_posterior():
    column = Numeric("x", Numbers(), None, 0, 2, 0.0, np.array([0.25, 0.75]), np.array([0.0, 2.0]), np.ones(2))
    stored = table_schema.encode(Schema(("x",), (column,), ()), Table(np.ones((20_000, 1)), np.zeros((20_000, 0))), 0)
    assert (stored["choices"]["x"] == 1).mean() == pytest.approx(0.75, abs=4 * np.sqrt(0.1875 / 20_000))


def test_levels_are_drawn_in_proportion_to_the_logarithm_of_their_rows():
    codes = np.stack([np.repeat([0, 1], [9, 90]), np.arange(99) % 3], axis=1)
    rows, column = table_rows.pairs(codes, (2, 3), 3_300, np.random.RandomState(0))
    assert (column == 0).sum() == pytest.approx(1_650, abs=3) and (column == 1).sum() == pytest.approx(1_650, abs=3)
    drawn = codes[rows[column == 0], 0]
    assert (drawn == 0).mean() == pytest.approx(np.log(10) / (np.log(10) + np.log(91)), abs=1e-3)
    for level in (0, 1):  # the rows of a level are drawn equally often
        counts = np.bincount(rows[column == 0][drawn == level], minlength=99)[codes[:, 0] == level]
        assert np.ptp(counts) <= 1 and counts.min() > 0


def test_labels_hold_two_conditions(synthetic):
    """The first half of a label is the condition of the row; the second half follows the frequencies of the levels."""
    schema, rows, _ = infer(table_rows.synthetic())
    train = np.random.RandomState(0).permutation(5_000)[1_000:]
    batch = synthetic.decode(synthetic.store, np.arange(synthetic.num_train))
    condition, label = batch.real["condition"], synthetic.train.labels
    names, k = sorted(condition), synthetic.num_classes // 2
    assert label.shape == (synthetic.num_train, 28) and label.dtype == np.float32
    assert synthetic.num_train == pytest.approx(40_000, abs=10)
    np.testing.assert_array_equal(np.concatenate([condition[name] for name in names], axis=1), label[:, :k])
    assert (label[:, :k].sum(axis=1) == 1).all() and (label[:, k:].sum(axis=1) == 1).all()
    for name in names:
        conditioned = condition[name].any(axis=1)
        np.testing.assert_array_equal(batch.real["choices"][name][conditioned], condition[name][conditioned])
    start = k
    for name in names:
        column = [c.name for c in schema.categorical].index(name)
        size = schema.levels[column]
        expected = np.bincount(rows.codes[train, column], minlength=size) / 4_000
        frequency = label[:, start : start + size].mean(axis=0) * len(names)
        np.testing.assert_allclose(frequency, expected, atol=5 * np.sqrt(len(names) / synthetic.num_train))
        start += size
    assert label[:, :k].mean(axis=0).min() > 2 * label[:, k:].mean(axis=0).min()  # rare levels are requested more often


def test_csv_files_with_other_separators_or_without_a_header(tmp_path):
    lines = [f'{i};"a, {i % 3}";{i / 2}' for i in range(60)]
    data = load(f'table(path="{write(tmp_path, "n;kind;half" + chr(10) + chr(10).join(lines))}", target="kind")', 0, 8)
    assert data.sample_shape["choices"]["kind"] == (3,) and data.sample_shape["values"] == (2,)
    assert data.test.count == 12
    bare = write(tmp_path, "\n".join(f"{i}\t{i % 2}" for i in range(60)), "bare.tsv")
    data = load(f'table(path="{bare}", header=False, drop="column 2")', 0, 8)
    assert (data.sample_shape["values"], data.train.labels, data.num_classes, data.num_train) == ((1,), None, 0, 48)
    assert set(data.sample_shape) == {"values", "choices"}


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", "", "is empty"),
        ("a,b\n1,2\n3\n4,5,6", "", r"2 columns, but other numbers of cells in lines 3 \(1 cells\), 4 \(3 cells\)"),
        ("a,a,b\n1,2,3", "", "must have different names, but 'a' occur several times"),
        ("a,b\n" + "1,2\n" * 20, "", "must have at least one column and 50 rows"),
        ("a,b\n" + "1,2\n" * 60, ', drop="c"', "unknown column of the table 'c'"),
        ("a,b\n" + "1,2\n" * 60, ', target="c"', "unknown column of the table 'c'"),
        ("a,b\n" + "1,2\n" * 60, ", drop=3", "drop must be names separated by commas, or a tuple of names, got 3"),
        ("a,b\n" + "1,2\n" * 60, ", decimal=';'", "decimal must be '.' or ',', got ';'"),
        ("a,b\n" + "1,2\n" * 60, ", dayfirst=1", "dayfirst must be True or False, got 1"),
        ("a,b\n" + "1,2\n" * 60, ", delimiter=',,'", "delimiter must be one character, got ',,'"),
    ],
)
def test_invalid_files_and_options_are_rejected_with_one_line(tmp_path, text, options, message):
    with pytest.raises(InputError, match=message) as error:
        load(f'table(path="{write(tmp_path, text)}"{options})', 0, 8)
    assert "\n" not in str(error.value)


def test_unknown_tables_are_rejected():
    with pytest.raises(InputError, match="unknown table 'irsi': did you mean 'iris'"):
        load('table(name="irsi")', 0, 8)
    with pytest.raises(InputError, match="no file or folder 'no"):
        load('table(path="no.csv")', 0, 8)


def test_bundled_tables_have_their_published_sizes():
    for name, rows, numbers, target in (("iris", 150, 4, 3), ("wine", 178, 13, 3)):
        data = load(f'table(name="{name}")', 0, 8)
        assert data.sample_shape["values"] == (numbers,) and data.num_classes == 2 * target
        assert data.test.count == round(0.2 * rows)


def test_rows_are_shown_as_a_picture_text_and_csv(synthetic):
    samples = synthetic.to_float(synthetic.test.take(slice(500)).samples)
    shown = synthetic.show(samples)
    assert set(shown) == {".svg", ".txt", ".csv"}
    drawn = "".join(ElementTree.fromstring(shown[".svg"]).itertext())
    assert "income; missing" in drawn and "rented" in drawn and "Associations, generated" in drawn
    lines = shown[".txt"].decode().splitlines()
    assert lines[0].split() == ["age", "school", "region", "hours", "income", "rent", "home", "buys"]
    assert len(lines[1].split()) == 8 and "home: one of own, rented" in lines
    packed = synthetic.pack(samples)
    assert packed["columns"].tolist() == lines[0].split() and packed["rows"].shape == (500, 8)
    assert packed["rows"][0].tolist() == [cell.replace("-", "") for cell in lines[1].split()]
    written = list(csv.reader(io.StringIO(shown[".csv"].decode())))
    assert written[0] == packed["columns"].tolist() and written[1:] == packed["rows"].tolist()


def test_validation_rows_are_not_among_the_training_pairs(tmp_path):
    name = f'table(path="{write(tmp_path, "x,kind" + "".join(f"{chr(10)}{i},{i % 3}" for i in range(200)))}")'
    unsplit, data = load(name, 0, 64), load(name, 0, 64, validation=0.25)

    def numbers(split):
        packed = data.pack(data.to_float(split.samples))["rows"]
        assert all(int(x) % 3 == int(kind) for x, kind in packed)
        return {x for x, _ in packed}

    train, validation, test = (numbers(split) for split in (data.train, data.validation, data.test))
    assert (len(train), len(validation), len(test), len(train | validation | test)) == (120, 40, 40, 200)
    assert data.num_train == pytest.approx(1_200, abs=10) and data.validation.labels.shape == (40, 6)
    jax.tree.map(np.testing.assert_array_equal, data.test, unsplit.test)
    with pytest.raises(InputError, match="leaves a split empty"):
        load(name, 0, 64, validation=1e-3)


def test_a_prepared_data_set_of_rows(prepared):
    tfds = pytest.importorskip("tensorflow_datasets")
    features = {
        "price": np.float32,
        "rooms": np.int64,
        "name": tfds.features.Text(),
        "size": tfds.features.Tensor(shape=(2,), dtype=np.float32),
    }
    features |= {"features": {"wet": np.bool_, "city": tfds.features.ClassLabel(names=["Ulm", "Rom"])}}
    rows = [
        {"price": i / 8, "rooms": i % 30, "name": f"n{i % 5}".encode(), "features/wet": i % 2, "features/city": i % 3 - 1}
        for i in range(80)
    ]
    rows = [row | {"size": [1.0, 2.0]} for row in rows]
    prepare_rows(prepared, "homes", features, rows, target="price")
    columns, notes = tfds_columns("homes", str(prepared))
    assert notes == ("features that are no single number, class or text are left out: size",)
    assert list(columns)[-1] == "price" and columns["price"][:3] == ["0.0", "0.125", "0.25"]
    assert columns["features/city"][:4] == ["", "Ulm", "Rom", ""] and columns["name"][6] == "n1"
    assert columns["rooms"][31] == "1" and set(columns["features/wet"]) == {"True", "False"} and "size" not in columns
    data = load('table(path="tfds:homes")', 0, 8, str(prepared))
    assert data.sample_shape["values"] == (2,)
