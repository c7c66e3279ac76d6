"""The import contracts in pyproject.toml: imports run one way, without cycles, including lazy and type-only imports."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def test_import_contracts_are_kept():
    """In a subprocess: import-linter reconfigures logging, which closes absl's handler and with it pytest's captured stderr."""
    pytest.importorskip("importlinter")
    code = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    result = subprocess.run([sys.executable, "-c", code, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr


def test_lazy_and_type_only_imports_are_detected(tmp_path, monkeypatch):
    """The contracts would prove nothing if they missed lazy imports."""
    grimp = pytest.importorskip("grimp")
    package = tmp_path / "sample_package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "low.py").write_text("")
    (package / "lazy.py").write_text("def f():\n    from sample_package import low\n    return low\n")
    (package / "typed.py").write_text(
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from sample_package import low\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    graph = grimp.build_graph("sample_package", cache_dir=None)
    assert graph.find_modules_that_directly_import("sample_package.low") == {"sample_package.lazy", "sample_package.typed"}
