"""Checkpoints: a restored state equals the saved one bit for bit; damaged checkpoints are never restored."""

import hashlib
import json
import shutil
import subprocess
from dataclasses import replace

import jax
import numpy as np
import pytest

from gan_jax.data.load import load
from gan_jax.errors import InputError, RunError
from gan_jax.game.build import build
from gan_jax.game.state import init_state
from gan_jax.runs.checkpoint import KEEP, Checkpoints
from gan_jax.storage.files import digest, read_checksums
from gan_jax.training.compile import compile_update


@pytest.fixture(scope="module")
def state(tiny):
    return jax.device_get(init_state(build(tiny, load("ring", 0, 16)), jax.random.key(0)))


@pytest.fixture(scope="module")
def abstract(tiny):
    game = build(tiny, load("ring", 0, 16))
    return jax.eval_shape(lambda: init_state(game, jax.random.key(0)))


def moved_to(state, step):
    """Return the state at another step, with every float changed."""
    moved = jax.tree.map(lambda x: x + step if x.dtype == np.float32 else x, state)
    return moved.replace(step=np.asarray(step, np.int32))


@pytest.fixture
def saved(tmp_path, state):
    """A run directory with checkpoints of steps 1, 2 and 3."""
    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(moved_to(state, step))
        checkpoints.wait()
    return tmp_path


def restore(run_dir, abstract, read_only=False):
    """Return (the restored state, the messages)."""
    messages = []
    with Checkpoints(run_dir, read_only) as checkpoints:
        return checkpoints.restore(abstract, messages.append), messages


def files(run_dir, step):
    """Return the files of a checkpoint, largest first; the largest hold its arrays."""
    return sorted((run_dir / "checkpoints" / str(step)).rglob("*"), key=lambda p: -p.stat().st_size if p.is_file() else 0)


def test_a_restored_state_equals_the_saved_one_bit_for_bit(saved, state, abstract):
    restored, messages = restore(saved, abstract)
    assert digest(restored) == digest(moved_to(state, 3))
    assert messages == []


def test_without_checkpoints_restore_returns_none(tmp_path, abstract):
    assert restore(tmp_path, abstract) == (None, [])


def test_only_the_newest_checkpoints_are_kept(tmp_path, state):
    with Checkpoints(tmp_path) as checkpoints:
        for step in range(1, KEEP + 3):
            checkpoints.save(moved_to(state, step))
        checkpoints.wait()
        assert checkpoints.steps() == list(range(KEEP + 2, 2, -1))


def test_the_digest_depends_on_every_bit_dtype_shape_and_name(state):
    original = digest(state)
    for change in (
        {"step": np.asarray(1, np.int32)},
        {"step": np.asarray(0, np.int64)},
        {"step": np.zeros((1,), np.int32)},
        {"ema": {"other": state.ema["params"]}},
        {"ema": jax.tree.map(lambda x: np.nextafter(x, np.float32(9)), state.ema)},
    ):
        assert digest(state.replace(**change)) != original
    assert digest(jax.tree.map(np.copy, state)) == original


@pytest.mark.parametrize("damage", ["flip", "truncate", "delete", "foreign"])
def test_a_damaged_newest_checkpoint_is_detected_and_the_previous_one_restored(saved, state, abstract, damage):
    victim = files(saved, 3)[0]
    content = bytearray(victim.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    if damage == "truncate":
        content = content[: len(content) // 2]
    if damage == "foreign":
        content = b"\x89PNG, not a checkpoint"
    if damage == "delete":
        victim.unlink()
    else:
        victim.write_bytes(content)
    restored, _ = restore(saved, abstract, read_only=True)
    assert digest(restored) == digest(moved_to(state, 2))
    assert (saved / "checkpoints" / "3").exists(), "reading must not change anything"
    restored, messages = restore(saved, abstract)
    assert digest(restored) == digest(moved_to(state, 2))
    assert "checkpoint 3 does not verify" in messages[0]
    # The damaged one has been moved aside: its step can be saved again.
    with Checkpoints(saved) as checkpoints:
        checkpoints.save(moved_to(state, 3))
        checkpoints.wait()
    assert digest(restore(saved, abstract)[0]) == digest(moved_to(state, 3))


def damage_randomly(random, step):
    """Damage a random file of a checkpoint in a random way."""
    files = sorted(path for path in step.rglob("*") if path.is_file())
    victim = files[random.integers(len(files))]
    content = bytearray(victim.read_bytes())
    match random.choice(["flip", "truncate", "delete", "replace", "add"]):
        case "flip":
            content[random.integers(len(content))] ^= 1 << random.integers(8)
            victim.write_bytes(content)
        case "truncate":
            victim.write_bytes(content[: random.integers(len(content))])
        case "delete":
            victim.unlink()
        case "replace":
            victim.write_bytes(random.bytes(random.integers(1, 300)))
        case "add":
            (victim.parent / "thesis.txt").write_text("not part of a checkpoint")


@pytest.mark.parametrize("cases", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_any_damage_to_a_file_of_the_newest_checkpoint_is_detected(saved, state, abstract, tmp_path_factory, cases):
    random, expected = np.random.default_rng(cases), digest(moved_to(state, 2))
    for _ in range(cases):
        copy = tmp_path_factory.mktemp("damaged") / "run"
        shutil.copytree(saved, copy)
        damage_randomly(random, copy / "checkpoints" / "3")
        restored, messages = restore(copy, abstract)
        assert digest(restored) == expected
        assert "checkpoint 3 does not verify" in messages[0]


def test_without_checksums_the_digest_verifies_checkpoints(saved, state, abstract):
    """Checksums can be absent, if the process was killed before it recorded them, or their file can be damaged."""
    for text in ("", "\0" * 99, "no sum at all\n"):
        (saved / "checkpoints.sha256").write_text(text)
        assert digest(restore(saved, abstract)[0]) == digest(moved_to(state, 3))
    (saved / "checkpoints.sha256").unlink()
    victim = saved / "checkpoints" / "3" / "digest" / "metadata"
    sha256 = json.loads(victim.read_text())["sha256"]
    victim.write_text(json.dumps({"sha256": sha256[::-1]}))
    restored, messages = restore(saved, abstract)
    assert digest(restored) == digest(moved_to(state, 2)) and "not those that were saved" in messages[0]


def test_old_checksums_do_not_apply_to_a_step_that_is_saved_again(saved, state, abstract, monkeypatch):
    damage_randomly(np.random.default_rng(0), saved / "checkpoints" / "3")
    restore(saved, abstract)
    with Checkpoints(saved) as checkpoints:
        checkpoints.save(moved_to(state, 3))  # no wait: killed before its checksums are recorded
    assert digest(restore(saved, abstract)[0]) == digest(moved_to(state, 3))


def test_checksums_have_the_format_of_sha256sum(saved):
    for line in (saved / "checkpoints.sha256").read_text().splitlines():
        sha256, name = line.split("  ")
        assert hashlib.sha256((saved / name).read_bytes()).hexdigest() == sha256
    assert {name.split("/")[1] for name in read_checksums(saved / "checkpoints.sha256")} == {"1", "2", "3"}


@pytest.fixture
def small_disk(tmp_path):
    """A separate file system of 300 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_failure_to_close_is_reported_unless_it_would_hide_an_earlier_error(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)

    def close():
        raise OSError("disk on fire")

    monkeypatch.setattr(checkpoints._manager, "close", close)
    with pytest.raises(KeyError), checkpoints:
        raise KeyError
    with pytest.raises(RunError, match="disk on fire; older ones are unchanged"), checkpoints:
        pass


# Pending writes of tensorstore notify an event loop that Orbax has already closed.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_leaves_older_checkpoints_unchanged(small_disk, state, abstract):
    with pytest.raises(RunError, match="older ones are unchanged"), Checkpoints(small_disk) as checkpoints:
        for step in range(1, 4):
            checkpoints.save(moved_to(state, step))
            checkpoints.wait()
            if step == 2:
                free = shutil.disk_usage(small_disk).free
                (small_disk / "something.big").write_bytes(bytes(free - 8192))
    assert not list((small_disk / "checkpoints").glob("*tmp*")), "a partial checkpoint would keep the disk full"
    assert digest(restore(small_disk, abstract, read_only=True)[0]) == digest(moved_to(state, 2))
    (small_disk / "something.big").unlink()
    with Checkpoints(small_disk) as checkpoints:
        checkpoints.save(moved_to(state, 3))
        checkpoints.wait()
    assert digest(restore(small_disk, abstract)[0]) == digest(moved_to(state, 3))


def test_if_no_checkpoint_verifies_an_error_is_raised_and_nothing_is_changed(saved, abstract):
    for step in (1, 2, 3):
        files(saved, step)[0].write_bytes(b"")
    before = sorted(saved.rglob("*"))
    with pytest.raises(InputError, match=r"no checkpoint in .* can be used: step 3: .* step 1: "):
        restore(saved, abstract)
    assert sorted(saved.rglob("*")) == before


def test_a_checkpoint_of_another_model_is_refused(saved, tiny):
    game = build(replace(tiny, g_width=9), load("ring", 0, 16))
    with pytest.raises(InputError, match="another model"):
        restore(saved, jax.eval_shape(lambda: init_state(game, jax.random.key(0))))


def test_saving_a_step_that_is_not_newer_is_an_error(saved, state):
    with Checkpoints(saved) as checkpoints, pytest.raises(RunError, match="step 2"):
        checkpoints.save(moved_to(state, 2))


def test_a_saved_state_is_a_copy_of_the_donated_buffer(tmp_path, tiny, abstract):
    """On a CPU, host arrays share the device's memory: a copy must be taken before the next step."""
    data = load("ring", 0, tiny.batch)
    game = build(tiny, data)
    advance, max_steps = compile_update(game, data, "scan")
    feeds = np.stack([data.feed_at(0)[None]] * max_steps)
    state, _ = advance(init_state(game, jax.random.key(0)), data.train, feeds, 1, jax.random.key(1))
    expected = digest(state)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state)
        advance(state, data.train, feeds, 40, jax.random.key(1))  # overwrites the same memory
        checkpoints.wait()
        assert digest(checkpoints.restore(abstract, print)) == expected
