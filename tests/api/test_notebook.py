"""A notebook: progress, the report and samples are displayed."""

import sys
from types import SimpleNamespace

import pytest

from gan_jax.training.progress import Progress, in_notebook

CELLS = (
    "import gan_jax",
    "config = gan_jax.Config(data='ring', z_dim=2, g_width=8, g_depth=1, d_width=8, d_depth=1, batch=16, steps=4, log_every=2,"
    " eval_every=4, eval_samples=50)\nrun = gan_jax.train(config)",
    "run",
    "run.show(9)",
    "run.samples(5).shape, run.metrics()[-1]['step'], str(run.directory)",
)


def test_a_notebook_is_recognised(monkeypatch):
    assert not in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not in_notebook()
    kernel = SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: kernel))
    assert in_notebook() and Progress(4)._live and not Progress(4, shown=False)._live


@pytest.mark.slow
def test_an_executed_notebook_displays_the_run(tmp_path):
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in CELLS])
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3", resources=resources).execute()
    trained, page, picture, values = (cell.outputs for cell in notebook.cells[1:])
    assert any("4/4" in str(output) for output in trained)  # the bar
    assert page[-1].data["text/html"].startswith("<iframe")
    assert picture[-1].data["text/html"].startswith("<img")
    assert values[-1].data["text/plain"] == "((5, 2), 4, 'runs/ring-seed0')"
