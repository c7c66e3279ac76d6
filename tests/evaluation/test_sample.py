"""The labels of the samples that are shown, and the real samples next to them."""

import json
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from gan_jax.data.images import pixels
from gan_jax.evaluation import monitor, sample
from gan_jax.imaging.grid import grid_columns

KEY = jax.random.key(0)


def game_of(classes: int, real: bool = True) -> SimpleNamespace:
    return SimpleNamespace(
        label=jax.ShapeDtypeStruct((), np.int32), generator=SimpleNamespace(num_classes=classes), real_labelled=real
    )


@pytest.mark.parametrize("classes, count", [(2, 100), (3, 100), (4, 100), (10, 100), (7, 25), (3, 12)])
def test_a_column_of_a_grid_has_one_class(classes, count):
    columns = grid_columns(count)
    label = sample.column_labels(game_of(classes), None, KEY, count).reshape(-1, columns)
    if classes <= columns:
        assert (label == label[0]).all()
        assert set(label[0]) == set(range(classes))
    else:
        assert set(label.flat) == set(range(classes))


@pytest.mark.parametrize("count, columns", [(100, 10), (25, 5), (12, 4), (7, 3), (40, 8), (1, 1)])
def test_grids_are_as_square_as_their_number_allows(count, columns):
    assert grid_columns(count) == columns


def test_rows_of_classes_are_different_while_they_last():
    labels = np.array([2, 0, 1, 0, 2, 2])
    rows = sample.rows_of_classes(labels, np.array([0, 0, 1, 2, 0]))
    assert labels[rows].tolist() == [0, 0, 1, 2, 0]
    assert len(set(rows[:4].tolist())) == 4
    assert sample.rows_of_classes(labels, np.array([0, 3])) is None


@pytest.mark.parametrize("names, real, expected", [(("ant", "bee"), True, ("ant", "bee")), ((), True, ("0", "1"))])
def test_classes_are_named_if_the_generator_is_passed_them(monkeypatch, names, real, expected):
    monkeypatch.setattr(sample, "conditional", lambda game: True)
    data = SimpleNamespace(classes=names)
    assert sample.class_names(game_of(2, real), data) == expected
    assert sample.class_names(game_of(2, real=False), data) == ("code 0", "code 1")
    monkeypatch.setattr(sample, "conditional", lambda game: False)
    assert sample.class_names(game_of(2, real), data) == ()


def test_real_samples_have_the_classes_of_the_grid(monkeypatch):
    """Each held-out image is as bright as its class."""
    monkeypatch.setattr(sample, "conditional", lambda game: True)
    labels = np.repeat(np.arange(4, dtype=np.int32), 5)
    images = np.broadcast_to(labels[:, None, None, None] / 4, (20, 2, 2, 1)).astype(np.float32)
    shown = []
    data = SimpleNamespace(
        classes=(), num_shown=16, test=pixels.Split(images, labels), to_float=lambda x: x, show=lambda x: shown.append(x) or {}
    )
    written = {}
    run = SimpleNamespace(show=lambda stem, files: written.update({stem: files}))
    monitor.show_real(game_of(4), data, run)
    assert (4 * shown[0][:, 0, 0, 0]).tolist() == [0, 1, 2, 3] * 4
    assert json.loads(written["labels"][".json"]) == {
        "step": ["0", "1", "2", "3"] * 4,
        "interpolation": [str(i) for i in range(4) for _ in range(4)],
        "real": ["0", "1", "2", "3"] * 4,
    }
