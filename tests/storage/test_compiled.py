"""The cache of compiled programs: a program is compiled once per machine, and computes the same bits from the cache."""

import os
import zlib
from contextlib import contextmanager
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.experimental.compilation_cache import compilation_cache

from gan_jax.cli.command import use_cached_programs
from gan_jax.models import dcgan, mlp
from gan_jax.runs.verify import verify
from gan_jax.storage import compiled
from gan_jax.storage.compiled import cache_programs, tidy
from gan_jax.training.train import train


@pytest.fixture
def directory(monkeypatch, tmp_path):
    """The directory of programs in an empty cache, in a process that has not chosen a cache yet."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    compilation_cache.reset_cache()
    yield compiled.cache_path(f"programs-{compiled._processor()}")
    jax.config.update("jax_compilation_cache_dir", before)
    compilation_cache.reset_cache()


def programs(directory):
    return sorted(path.name for path in directory.glob("*-cache"))


@contextmanager
def counted_hits():
    """A list with an element for each program that is read from the cache."""
    hits = []

    def count(event, **_):
        if event == "/jax/compilation_cache/cache_hits":
            hits.append(event)

    jax.monitoring.register_event_listener(count)
    yield hits
    jax.monitoring.unregister_event_listener(count)


@pytest.mark.parametrize(
    "network", [mlp.Discriminator((5,), width=8, depth=1), dcgan.Discriminator((8, 8, 1), width=4, norm="none")]
)
def test_a_program_from_the_cache_computes_the_same_bits(directory, network):
    x = jax.random.normal(jax.random.key(0), (16, *network.sample_shape))
    params = jax.jit(partial(network.init, train=True))(jax.random.key(1), x, None)

    def gradient():
        """Compiled anew: a function that JAX has not seen before."""
        loss = jax.jit(jax.grad(lambda params: jnp.square(network.apply(params, x, None, True)[0]).sum()))
        return [np.asarray(leaf).tobytes() for leaf in jax.tree.leaves(loss(params))]

    with counted_hits() as hits:
        without = gradient()
        assert not directory.exists()
        assert cache_programs() is None
        compiled_now = gradient()
        assert programs(directory) and not hits
        assert gradient() == compiled_now == without
        assert hits


def test_the_second_run_of_a_command_compiles_nothing(directory, tiny, tmp_path):
    cache_programs()
    train(tiny, tmp_path / "a")
    first = programs(directory)
    with counted_hits() as hits:
        train(tiny, tmp_path / "b")
    assert hits and programs(directory) == first
    equal, report = verify(tmp_path / "a", tmp_path / "b")
    assert equal, report


def write(path, content, used):
    path.write_bytes(content)
    os.utime(path, (used, used))


def test_damaged_programs_and_the_least_recently_used_are_deleted(tmp_path, monkeypatch):
    intact = zlib.compress(os.urandom(1000))
    for age in range(4):
        write(tmp_path / f"{age}-cache", intact, 10_000 - age)
    write(tmp_path / "cut-cache", intact[:-1], 10_000)
    write(tmp_path / "empty-cache", b"", 10_000)
    monkeypatch.setattr(compiled, "MAX_BYTES", 2 * len(intact) + 1)
    tidy(tmp_path)
    assert programs(tmp_path) == ["0-cache", "1-cache"]
    # Programs are verified once: this one is older than the last verification.
    write(tmp_path / "old-cache", b"", 10_000)
    tidy(tmp_path)
    assert "old-cache" in programs(tmp_path)


def test_a_directory_that_cannot_be_written_is_a_warning(directory, tmp_path, capsys):
    (tmp_path / "cache").write_text("not a directory")
    use_cached_programs(True)
    line = capsys.readouterr().err
    assert line.startswith("warning: compiled programs are not cached: ") and line.count("\n") == 1
    assert jax.config.jax_compilation_cache_dir is None


def test_users_may_choose_another_cache_or_none(directory, tmp_path):
    use_cached_programs(False)
    assert jax.config.jax_compilation_cache_dir is None
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "own"))
    use_cached_programs(True)
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "own")
    assert not directory.exists()
