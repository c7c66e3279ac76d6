"""Columns as files write them: numbers, dates, levels, and what is asked for; round trips from cells to cells."""

from datetime import date, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gan_jax.data.tables import schema as table_schema
from gan_jax.data.tables.dates import infer_dates
from gan_jax.data.tables.infer import Options, infer
from gan_jax.data.tables.numbers import infer_numbers
from gan_jax.data.tables.schema import cells
from gan_jax.errors import InputError

RANDOM = np.random.RandomState(0)
COUNT = 200
DAYS = [date(2019, 1, 1) + timedelta(days=int(x)) for x in RANDOM.randint(0, 1000, COUNT)]
TIMES = [datetime(2019, 1, 1) + timedelta(seconds=int(x)) for x in RANDOM.randint(0, 10**5, COUNT)]
UNIFORM, NORMAL = RANDOM.rand(COUNT), RANDOM.randn(COUNT)


def through_networks(columns, options=None):
    """Return the schema, and the cells after the representation of the networks."""
    schema, rows, _ = infer(columns, options)
    assert cells(schema, rows) == columns  # as read
    schema = table_schema.fit(schema, rows)
    return schema, cells(
        schema, table_schema.decode(schema, table_schema.to_float(schema, table_schema.encode(schema, rows, 0)))
    )


@pytest.mark.parametrize(
    ("column", "first", "description"),
    [
        ([f"{5e-10 + 1e-12 * x:.5e}" for x in NORMAL], None, "numbers of 6 significant digits"),
        ([f"{5e-10 + 1e-12 * x:.15f}" for x in NORMAL], None, "numbers of 15 decimals"),
        ([f"{52.52 + x / 10:.6f}" for x in NORMAL], None, "numbers of 6 decimals"),
        ([repr(round(float(x), 3)) for x in UNIFORM], None, "numbers of 3 decimals"),
        ([str(int(1e6 * x)) for x in NORMAL], None, "integers"),
        ([f"{x:+.2f}" for x in NORMAL], NORMAL[0].round(2), "numbers of 2 decimals"),
        ([f"{100 * x:.2f}".replace(".", ",") for x in UNIFORM], round(100 * UNIFORM[0], 2), "decimal comma"),
        ([f"${1e5 * x:,.2f}" for x in UNIFORM], round(1e5 * UNIFORM[0], 2), "in $, thousands separated by ','"),
        (
            [f"{1e4 * x:,.2f} €".translate(str.maketrans(",.", ".,")) for x in UNIFORM],
            round(1e4 * UNIFORM[0], 2),
            "in €, decimal comma, thousands separated by '.'",
        ),
        ([f"USD {x:.2f}" for x in NORMAL + 9], round(NORMAL[0] + 9, 2), "numbers of 2 decimals in USD"),
        ([f"{100 * x:.1f}%" for x in UNIFORM], round(100 * UNIFORM[0], 1), "in %"),
        ([f"{1e7 * x:,.0f}".replace(",", " ") for x in UNIFORM], round(1e7 * UNIFORM[0]), "thousands separated by ' '"),
        ([f"{x:.2E}" for x in UNIFORM], None, "numbers of 3 significant digits"),
        ([x.isoformat() for x in DAYS], (DAYS[0] - date(1970, 1, 1)).days, "dates as %Y-%m-%d"),
        ([f"{x:%Y%m%d}" for x in DAYS], (DAYS[0] - date(1970, 1, 1)).days, "dates as %Y%m%d"),
        ([f"{x.day}.{x.month}.{x.year}" for x in DAYS], (DAYS[0] - date(1970, 1, 1)).days, "dates as %d.%m.%Y"),
        (
            [f"1/{13 + i % 18}/{(40 + 7 * i) % 100:02d}" for i in range(COUNT)],
            (date(1940, 1, 13) - date(1970, 1, 1)).days,
            "dates as %m/%d/%y, 1/21/30 to 1/22/29",
        ),
        ([f"{x:%m/%d/%y}" for x in DAYS], (DAYS[0] - date(1970, 1, 1)).days, "dates as %m/%d/%y"),
        ([f"{x:%d-%b-%Y}".upper() for x in DAYS], (DAYS[0] - date(1970, 1, 1)).days, "dates as %d-%b-%Y"),
        ([f"{x:%Y-%m}" for x in DAYS], 12 * (DAYS[0].year - 1970) + DAYS[0].month - 1, "dates as %Y-%m"),
        ([x.isoformat() + "Z" for x in TIMES], (TIMES[0] - datetime(1970, 1, 1)).total_seconds(), "dates and times"),
        (
            [x.isoformat(" ") + "+02:00" for x in TIMES],
            (TIMES[0] - datetime(1970, 1, 1, 2)).total_seconds(),
            "dates and times as %Y-%m-%d %H:%M:%S in zone +02:00",
        ),
        ([f"{x:%H:%M:%S}" for x in TIMES], TIMES[0].hour * 3600 + TIMES[0].minute * 60 + TIMES[0].second, "times as"),
        ([f"{x:%I:%M %p}" for x in TIMES], TIMES[0].hour * 3600 + TIMES[0].minute * 60, "times as %I:%M %p"),
        ([f"{60 + 9 * x:.1f} kg" for x in NORMAL], float(f"{60 + 9 * NORMAL[0]:.1f}"), "numbers of 1 decimal in kg"),
        ([f"{9 * x:.1f}°C".replace(".", ",") for x in UNIFORM], float(f"{9 * UNIFORM[0]:.1f}"), "in °C, decimal comma"),
    ],
)
def test_numbers_and_dates_are_read_and_written_as_in_the_file(column, first, description):
    schema, decoded = through_networks({"x": column})
    assert decoded["x"] == column
    assert description in str(schema.columns[0])
    first = float(column[0]) if first is None else first
    assert infer({"x": column})[1].numbers[0, 0] == pytest.approx(first, rel=1e-12)


@pytest.mark.parametrize("signed", [False, True])
def test_numbers_over_many_orders_of_magnitude_stay_distinct(signed):
    """`values` are float32 on a logarithmic scale: a relative error of about 1e-6."""
    x = 10 ** RANDOM.uniform(-9, 9, 1_500) * (RANDOM.choice([-1, 1], 1_500) if signed else 1)
    column = [f"{value:.4e}" for value in x]
    schema, decoded = through_networks({"x": column})
    assert "on a logarithmic scale" in str(schema.columns[0])
    np.testing.assert_allclose(np.array(decoded["x"], float), np.array(column, float), rtol=2e-5)
    assert len(set(decoded["x"])) == len(set(column))


def test_generated_numbers_stay_within_the_range_and_the_form_of_the_column():
    columns = {"x": [f"{x:.2f}" for x in UNIFORM], "day": [x.isoformat() for x in DAYS]}
    schema, rows, _ = infer(columns)
    schema = table_schema.fit(schema, rows)
    floats = table_schema.to_float(schema, table_schema.encode(schema, rows, 0))
    written = [
        cells(schema, table_schema.decode(schema, {**floats, "values": np.full_like(floats["values"], x)})) for x in (-99, 99)
    ]
    for side, extreme in zip(written, (min, max), strict=True):
        assert set(side["x"]) == {extreme(columns["x"])} and set(side["day"]) == {extreme(columns["day"])}


def test_digits_that_are_no_quantities_are_texts():
    big = [str(2**60 + i % 90) for i in range(COUNT)]
    columns = {"zip": [f"{i % 90:05d}" for i in range(COUNT)], "big": big, "userId": [str(i % 50) for i in range(COUNT)]}
    columns |= {
        "zip_code": [str(90_000 + i % 90) for i in range(COUNT)],
        "seat": [f"{i % 20}{'AB'[i % 2]}" for i in range(COUNT)],
    }
    schema, decoded = through_networks(columns)
    assert not schema.numeric and decoded == columns
    other, *_ = infer({"paid": columns["userId"]}, None)
    assert other.numeric  # not an identifier, though it ends with id


def test_missing_values_are_written_as_in_the_file():
    columns = {
        "x": ["NA" if i % 7 == 0 else f"{i / 4:.2f}" for i in range(COUNT)],
        "drink": [("none", "some", "much")[i % 3] for i in range(COUNT)],
        "code": ["?" if i % 5 == 0 else "a" for i in range(COUNT)],
        "reading": ["-999" if i % 5 == 0 else str(i) for i in range(COUNT)],
        "empty": [""] * COUNT,
        "constant": ["7"] * COUNT,
        "single": ["x", *[""] * (COUNT - 1)],
        "flag": ["True" if i % 3 else "False" for i in range(COUNT)],
    }
    schema, decoded = through_networks(columns, Options(missing=["-999"]))
    assert decoded == columns
    assert [c.low for c in schema.numeric] == [0.25, 1] and "column 'empty' has no values" in infer(columns)[2]


def test_rare_levels_are_grouped_and_drawn_by_their_frequencies():
    """100 frequent levels, of which 99 are learnt, and 19 rare ones."""
    levels = [f"n{i}" for i in range(99) for _ in range(30)] + [f"r{i}" for i in range(19)] * 10 + ["r19"] * 190
    columns = {"x": levels}
    schema, rows, notes = infer(columns)
    (column,) = schema.categorical
    assert column.choices == 100 and len(column.levels) == 119 and len(column.rare) == 20
    assert notes[1] == (
        "column 'x' has 119 levels: the 99 most frequent are learnt; the other 20 (6.6% of the rows) are learnt as one, and "
        "generated rows draw among them by their frequencies"
    )
    assert cells(schema, rows) == columns
    schema = table_schema.fit(schema, rows)
    choices = np.zeros((4_000, 100), np.float32)
    choices[:, 99] = 1
    sample = {"values": np.zeros((4_000, 0), np.float32), "choices": {"x": choices}}
    drawn = np.array(cells(schema, table_schema.decode(schema, sample))["x"])
    names, counts = np.unique(drawn, return_counts=True)
    frequencies = dict(zip(names, counts / 4_000, strict=True))
    # r19 is itself among the 99 most frequent, so an n is rare in its place.
    assert "r19" in column.levels[:99] and len(set(names) & {f"r{i}" for i in range(19)}) == 19
    (other,) = set(names) - {f"r{i}" for i in range(19)}
    assert frequencies[other] == pytest.approx(30 / 220, abs=0.03) and frequencies["r0"] == pytest.approx(10 / 220, abs=0.02)


@pytest.mark.parametrize(
    ("column", "options", "message"),
    [
        ([*map(str, range(COUNT)), "abc"], {}, "column 'x', row 201: 'abc' is not a number like the other cells"),
        (["1.5", "inf"] * 50, {"numeric": ["x"]}, "row 2: 'inf' is not a number up to 1e.100"),
        ([*map(str, range(COUNT)), "-", "x"], {}, "nor are 1 other texts: correct it, or set missing='-', or categorical='x'"),
        ([*(x.isoformat() for x in DAYS), "2020-02-30"], {}, "'2020-02-30' is not a date or time like the other cells"),
        ([f"0{1 + i % 9}/0{1 + i % 8}/2020" for i in range(COUNT)], {}, "set dayfirst=True or dayfirst=False"),
        (
            [f"{1 + i % 9},{100 + i}" for i in range(COUNT)],
            {},
            "'1,100' could be 1,100 or 1.100: set decimal='.' or decimal=','",
        ),
        (
            [f"n{i}" for i in range(COUNT)],
            {},
            r"its 200 values are all different: .* drop='x', or reuse them .* categorical='x'",
        ),
        (
            [f"{x.day}/Jan/2019:{x.hour:02d}:{x.minute:02d}:{x.second:02d}" for x in TIMES] + ["1/Jan/2019:00:00:00"] * 9,
            {},
            "of its 209 values occur once: they identify rows, or are written in a form that is not read",
        ),
        (["$5", "€7"] * 50 + [f"${i}" for i in range(COUNT)], {}, "row 2: '€7' is not a number like the other"),
        ([""] * COUNT, {"numeric": ["x"]}, "it has no values"),
        (["1"] * COUNT, {"categorical": ["y"]}, "unknown column of the table 'y'"),
    ],
)
def test_what_cells_do_not_decide_is_asked_for(column, options, message):
    with pytest.raises(InputError, match=message) as error:
        infer({"x": column}, Options(**options))
    assert "\n" not in str(error.value)


def test_one_error_lists_the_problems_of_all_columns():
    columns = {
        "id": [str(i) for i in range(COUNT)],
        "n": [*map(str, range(COUNT - 1)), "abc"],
        "name": [f"m{x}" for x in UNIFORM],
    }
    with pytest.raises(InputError, match=r"column 'id': its 200 .*; column 'n', line 201: 'abc' .*; column 'name': its 200"):
        infer(columns, lines=list(range(2, COUNT + 2)))
    assert infer(columns, Options(numeric=["id"], categorical=["n", "name"]))[0].names == ("id", "n", "name")


def test_extreme_numbers():
    """A p-value may be tiny; a number whose square overflows stands for something else."""
    tiny = [f"{10.0**-i:.0e}" for i in range(300)]
    assert through_networks({"p": tiny})[1]["p"] == tiny
    with pytest.raises(
        InputError, match=r"'1.7e308' is not a number up to 1e\+100 like the other cells: correct it, or set miss"
    ):
        infer({"x": [*map(str, range(COUNT)), "1.7e308"]})


def test_several_zones_are_converted_to_the_most_frequent_one():
    texts = [f"2024-01-{1 + i % 28:02d}T10:{i % 60:02d}:00+0{1 + (i % 3 > 0)}:00" for i in range(COUNT)]
    schema, rows, _ = infer({"t": texts})
    assert "in zone +02:00, to which others are converted" in str(schema.columns[0])
    assert rows.numbers[0, 0] == (datetime(2024, 1, 1, 9) - datetime(1970, 1, 1)).total_seconds()
    assert cells(schema, rows)["t"][:2] == ["2024-01-01T11:00:00+02:00", texts[1]]


def test_cells_of_other_programs_are_read_by_the_separators_of_the_column():
    plain, grouped = (infer_numbers(texts, ",")[0] for texts in (["45,123", "7,5"], ["1.045,123", "7,5"]))
    assert (plain.parse("45.123"), plain.parse("45,123")) == (45.123, 45.123)  # not 45123: the column has no separator
    assert (grouped.parse("45.123"), grouped.parse("45.1")) == (45_123, 45.1)
    with pytest.raises(ValueError, match="45,123"):
        infer_numbers(["45.123", "7.5"], ".")[0].parse("45,123")


def test_options_decide_the_meaning_of_ambiguous_cells():
    dates = [f"0{1 + i % 9}/0{1 + i % 8}/2020" for i in range(COUNT)]
    for dayfirst, order in ((True, "%d/%m/%Y"), (False, "%m/%d/%Y")):
        _, rows, _ = infer({"x": dates}, Options(dayfirst=dayfirst))
        expected = (datetime.strptime(dates[9], order) - datetime(1970, 1, 1)).days
        assert rows.numbers[9, 0] == expected
    numbers = [f"{1 + i % 9},{100 + i}" for i in range(COUNT)]
    for mark, expected in ((",", 1.1), (".", 1100.0)):
        assert infer({"x": numbers}, Options(decimal=mark))[1].numbers[0, 0] == expected
    # Another column shows the decimal mark of the file.
    assert infer({"x": numbers, "y": [f"{i},5" for i in range(COUNT)]})[1].numbers[0, 0] == 1.1
    assert infer({"x": numbers, "y": [f"{i}.5" for i in range(COUNT)]})[1].numbers[0, 0] == 1100.0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.floats(-1e100, 1e100), min_size=1, max_size=8),
    st.sampled_from(["r", ".3f", ",.2f", ".4e", ".6g"]),
)
def test_written_numbers_are_those_that_were_read(numbers, template):
    """Text -> number -> text -> number, for whatever numbers a column holds."""
    texts = [repr(x) if template == "r" else f"{x:{template}}" for x in numbers]
    form, values = infer_numbers(dict.fromkeys(texts), ".")
    assert [values[text] for text in texts] == [float(text.replace(",", "")) for text in texts]
    assert [form.parse(form.write(values[text])) for text in texts] == [values[text] for text in texts]
    np.testing.assert_array_equal(form.round(np.array(list(values.values()))), list(values.values()))
    if template in (".3f", ".4e"):
        assert [form.write(values[text]) for text in texts if float(text)] == [text for text in texts if float(text)]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.datetimes(datetime(1970, 1, 1), datetime(2029, 12, 31)), min_size=1, max_size=8),
    st.sampled_from(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S.%f", "%d.%m.%y %H:%M", "%b %d, %Y", "%I:%M:%S %p", "%Y/%m/%d %H:%M:%SZ"]),
)
def test_written_dates_are_those_that_were_read(moments, pattern):
    texts = [moment.strftime(pattern) for moment in moments]
    form, values = infer_dates(dict.fromkeys(texts))[0]
    assert [form.write(values[text]) for text in texts] == texts
    np.testing.assert_allclose(form.round(np.array(list(values.values()))), list(values.values()), rtol=0, atol=1e-6)
