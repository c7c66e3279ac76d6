"""Conditions on generated rows: what they accept, what they request of a generator, and how mistakes are reported."""

import pytest

from gan_jax.data.load import load
from gan_jax.errors import InputError

TIERS, COLOURS = ("basic", "pro", "pro, annual"), ("green", "red")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """100 rows of a tier, an income (missing in every tenth row), a date and a colour, called like a comparison."""
    path = tmp_path_factory.mktemp("table") / "people.csv"
    lines = ["tier,income,a<b,start"]
    for i in range(100):
        income = "" if i % 10 == 0 else 1_000 * i
        lines.append(f'"{TIERS[i % 3]}",{income},{COLOURS[i % 2]},2020-01-{1 + i % 31:02d}')
    path.write_text("\n".join(lines))
    return load(f"table(path='{path}')", 0, 1)


def rows(data) -> tuple[dict, list[list[str]]]:
    """The held-out rows as floats, and as text."""
    samples = data.to_float(data.test.samples)
    return samples, data.pack(samples)["rows"].tolist()


@pytest.mark.parametrize(
    ("text", "satisfied"),
    [
        ("tier=pro", lambda row: row[0] == "pro"),
        ("tier==pro", lambda row: row[0] == "pro"),
        ("tier=pro, annual", lambda row: row[0] == "pro, annual"),
        ("tier=pro, annual, income>50000", lambda row: row[0] == "pro, annual" and row[1] and float(row[1]) > 50_000),
        ("tier!=pro", lambda row: row[0] != "pro"),
        ("income <= 20000", lambda row: row[1] and float(row[1]) <= 20_000),
        ("income!=20000", lambda row: row[1] and float(row[1]) != 20_000),
        ("income=", lambda row: not row[1]),
        ("income!=", lambda row: row[1]),
        ("a<b=red,start>=2020-01-15", lambda row: row[2] == "red" and row[3] >= "2020-01-15"),
    ],
)
def test_the_rows_that_satisfy_a_condition(data, text, satisfied):
    samples, texts = rows(data)
    expected = [bool(satisfied(row)) for row in texts]
    assert any(expected) and not all(expected)
    assert data.condition(text).accept(samples).tolist() == expected


def test_a_level_is_requested_in_both_halves_of_the_label(data):
    condition = data.condition("income>5000, tier=pro")
    # Columns in alphabetical order: a<b with two levels, start is a date, tier with three.
    assert condition.label.tolist() == 2 * [0, 0, 0, 1, 0] and not condition.by_label
    assert data.condition("tier=pro").by_label
    assert data.condition("income>5000").label is None
    # The labels of training rows have the same order: the first half requests a level of the row itself.
    label, choices = data.train.labels[:, :5], data.train.samples["choices"]
    requested = label[:, 3] == 1
    assert requested.any() and (choices["tier"][requested] == 1).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pro", "COLUMN=VALUE"),
        ("teir=pro", "unknown column of the table 'teir': did you mean 'tier'"),
        ("tier=prp", "unknown level of tier 'prp': did you mean 'pro'"),
        ("tier>pro", "tier has levels, which are compared with = or !="),
        ("income>much", "income holds integers.*got 'much'"),
        ("income>", "a missing value of income is compared with = or !="),
        ("start>yesterday", "start holds .*got 'yesterday'"),
    ],
)
def test_mistakes_are_named(data, text, message):
    with pytest.raises(InputError, match=message):
        data.condition(text)
