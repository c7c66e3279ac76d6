"""The cells of experiments/tutorial.ipynb run in order, and show what its text says."""

import json
from pathlib import Path

import jax
import matplotlib
import numpy as np
import pytest

TUTORIAL = Path(__file__).parents[1] / "experiments" / "tutorial.ipynb"


def code_cells() -> list[str]:
    cells = json.loads(TUTORIAL.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_the_committed_notebook_was_executed_without_an_error():
    cells = [cell for cell in json.loads(TUTORIAL.read_text(encoding="utf-8"))["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert not [output for cell in cells for output in cell["outputs"] if output["output_type"] == "error"]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # as in a notebook
def test_the_cells_show_what_the_text_says(tmp_path, monkeypatch):
    matplotlib.use("agg")
    monkeypatch.chdir(tmp_path)
    names: dict = {"__name__": "__main__"}
    for number, cell in enumerate(code_cells()):
        with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):
            exec(compile(cell, f"cell {number}", "exec"), names)  # the repository's own file
    assert float(names["d_loss"]) == pytest.approx(np.log(4))
    assert float(abs(names["learnt"] - names["best"]).max()) < 0.1  # D*, known in closed form
    assert names["collapsed"].metrics()[-1]["eval/modes"] < 8
    assert names["cured"].metrics()[-1]["eval/modes"] == 8
    rows = names["rows"]
    real = rows["real, other images"]
    assert rows["one image per class"]["IS"] > 0.9 * real["IS"]
    assert rows["one image per class"]["recall"] < 0.1 < rows["no 3, 4 and 5"]["recall"] < real["recall"]
    assert rows["copies of training images"]["to train"] == 0 < real["to train"]
