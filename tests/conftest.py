"""Shared fixtures. Tests always run on the CPU and never touch the user's cache."""

import atexit
import os
import shutil
import signal
import tempfile
from importlib.metadata import version

os.environ["JAX_PLATFORMS"] = "cpu"
# Two devices, so that what works on one alone fails. Tests spend most of their time in the compiler, so its optimisations are
# disabled.
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=2 --xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true " + os.environ.get("XLA_FLAGS", "")
)
if tuple(map(int, version("jaxlib").split(".")[:2])) < (0, 12):  # later ones abort on this flag
    os.environ["XLA_FLAGS"] = f"--xla_cpu_use_fusion_emitters=false {os.environ['XLA_FLAGS']}"
# No program is compiled twice: the main process creates a compilation cache, which its workers and subprocesses share.
if "PYTEST_XDIST_WORKER" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="gan_jax-compiled-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0"
os.environ["JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES"] = "-1"

import sys

import jax
import pytest
from jax._src import dtypes

from gan_jax.config import Config

# A shell that runs the tests in the background lets them ignore Ctrl-C, which their subprocesses would inherit.
signal.signal(signal.SIGINT, signal.default_int_handler)

_promoted_type = dtypes._least_upper_bound


def _strictly_promoted_type(mode, x64, *types):
    """Exempt Optax and Flax, which mix types, and sums in float64: JAX has no option that exempts a library."""
    try:
        return _promoted_type(mode, x64, *types)
    except dtypes.TypePromotionError:
        frame = sys._getframe(1)
        while frame and f"{os.sep}jax{os.sep}" in frame.f_code.co_filename:
            frame = frame.f_back
        library = frame and any(f"{os.sep}{name}{os.sep}" in frame.f_code.co_filename for name in ("optax", "flax"))
        if not (x64 or library):
            raise
        return _promoted_type("standard", x64, *types)


dtypes._least_upper_bound = _strictly_promoted_type


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item):
    """Run each test under strict type promotion and without implicit rank promotion."""
    with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
        return (yield)


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory):
    """Use a separate cache for this session, in subprocesses too."""
    os.environ["GAN_JAX_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def tiny() -> Config:
    """A configuration that compiles and trains within seconds, on one device."""
    return Config(
        name="tiny", data="ring", z_dim=2, g_width=8, g_depth=1, d_width=8, d_depth=1, batch=16, steps=24, log_every=4,
        eval_every=12, save_every=6, eval_samples=500, loss="relativistic", penalty="r1_r2", gamma=0.1, g_lr=1e-3, d_lr=1e-3,
        devices=1,
    )  # fmt: skip


@pytest.fixture
def prepared(tmp_path, monkeypatch):
    """An empty folder for prepared data sets, and an empty cache."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("GAN_JAX_DATA", raising=False)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "nothing"))
    return tmp_path / "data" / "tfds"
