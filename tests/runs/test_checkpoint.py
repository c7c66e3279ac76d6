"""Checkpoints: what is restored is what was saved, bit for bit, or it is not restored at all."""

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
from gan_jax.training.compile import compile_update, initialise_state


@pytest.fixture(scope="module")
def state(tiny):
    return jax.device_get(initialise_state(build(tiny, load("ring", 0, 16)), jax.random.key(0)))


@pytest.fixture(scope="module")
def abstract(tiny):
    game = build(tiny, load("ring", 0, 16))
    return jax.eval_shape(lambda: init_state(game, jax.random.key(0)))


def at(state, step):
    """The state of another step, every float of it different."""
    moved = jax.tree.map(lambda x: x + step if x.dtype == np.float32 else x, state)
    return moved.replace(step=np.asarray(step, np.int32))


@pytest.fixture
def saved(tmp_path, state):
    """A run directory with checkpoints of steps 1, 2 and 3."""
    with Checkpoints(tmp_path) as checkpoints:
        for step in (1, 2, 3):
            checkpoints.save(at(state, step))
        checkpoints.wait()
    return tmp_path


def restore(run_dir, abstract, read_only=False):
    said = []
    with Checkpoints(run_dir, read_only) as checkpoints:
        return checkpoints.restore(abstract, said.append), said


def files(run_dir, step):
    """The files that carry a checkpoint's arrays, largest first."""
    return sorted((run_dir / "checkpoints" / str(step)).rglob("*"), key=lambda p: -p.stat().st_size if p.is_file() else 0)


def test_restored_bits_are_the_saved_bits(saved, state, abstract):
    restored, said = restore(saved, abstract)
    assert digest(restored) == digest(at(state, 3))
    assert said == []


def test_nothing_saved_is_none(tmp_path, abstract):
    assert restore(tmp_path, abstract) == (None, [])


def test_only_the_newest_stay(tmp_path, state):
    with Checkpoints(tmp_path) as checkpoints:
        for step in range(1, KEEP + 3):
            checkpoints.save(at(state, step))
        checkpoints.wait()
        assert checkpoints.steps() == list(range(KEEP + 2, 2, -1))


def test_the_digest_sees_every_bit_dtype_shape_and_name(state):
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
def test_a_damaged_newest_checkpoint_is_noticed_and_the_one_before_is_used(saved, state, abstract, damage):
    victim = files(saved, 3)[0]
    content = bytearray(victim.read_bytes())
    if damage == "flip":
        content[len(content) // 2] ^= 1
    if damage == "truncate":
        content = content[: len(content) // 2]
    if damage == "foreign":
        content = b"\x89PNG, so to speak"
    if damage == "delete":
        victim.unlink()
    else:
        victim.write_bytes(content)
    looked, _ = restore(saved, abstract, read_only=True)
    assert digest(looked) == digest(at(state, 2))
    assert (saved / "checkpoints" / "3").exists(), "looking must change nothing"
    restored, said = restore(saved, abstract)
    assert digest(restored) == digest(at(state, 2))
    assert "checkpoint 3 does not verify" in said[0]
    # The damaged one is out of the way: its step can be saved again.
    with Checkpoints(saved) as checkpoints:
        checkpoints.save(at(state, 3))
        checkpoints.wait()
    assert digest(restore(saved, abstract)[0]) == digest(at(state, 3))


def damaged(random, step):
    """Does one random harm to a random file of a checkpoint."""
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
            (victim.parent / "thesis.txt").write_text("not of a checkpoint")


@pytest.mark.parametrize("cases", [20, pytest.param(100, marks=pytest.mark.slow)])
def test_whatever_happens_to_a_file_of_the_newest_checkpoint_is_noticed(saved, state, abstract, tmp_path_factory, cases):
    random, want = np.random.default_rng(cases), digest(at(state, 2))
    for _ in range(cases):
        copy = tmp_path_factory.mktemp("damaged") / "run"
        shutil.copytree(saved, copy)
        damaged(random, copy / "checkpoints" / "3")
        restored, said = restore(copy, abstract)
        assert digest(restored) == want
        assert "checkpoint 3 does not verify" in said[0]


def test_what_the_sums_do_not_tell_the_digest_does(saved, state, abstract):
    """Checkpoints of a process that was killed before it noted their sums, and those of a file that was damaged itself."""
    for text in ("", "\0" * 99, "no sum at all\n"):
        (saved / "checkpoints.sha256").write_text(text)
        assert digest(restore(saved, abstract)[0]) == digest(at(state, 3))
    (saved / "checkpoints.sha256").unlink()
    victim = saved / "checkpoints" / "3" / "digest" / "metadata"
    told = json.loads(victim.read_text())["sha256"]
    victim.write_text(json.dumps({"sha256": told[::-1]}))
    restored, said = restore(saved, abstract)
    assert digest(restored) == digest(at(state, 2)) and "not those that were saved" in said[0]


def test_a_step_saved_again_after_damage_does_not_answer_for_the_one_before(saved, state, abstract, monkeypatch):
    damaged(np.random.default_rng(0), saved / "checkpoints" / "3")
    restore(saved, abstract)
    with Checkpoints(saved) as checkpoints:
        checkpoints.save(at(state, 3))  # and killed before its sums are noted
    assert digest(restore(saved, abstract)[0]) == digest(at(state, 3))


def test_the_sums_are_those_of_sha256sum(saved):
    for line in (saved / "checkpoints.sha256").read_text().splitlines():
        told, name = line.split("  ")
        assert hashlib.sha256((saved / name).read_bytes()).hexdigest() == told
    assert {name.split("/")[1] for name in read_checksums(saved / "checkpoints.sha256")} == {"1", "2", "3"}


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 300 kB of its own."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", str(disk)], capture_output=True)
    if mounted.returncode:
        pytest.skip("only root can mount a small disk")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_failure_to_close_hides_no_error_and_is_told_where_there_is_none(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)

    def close():
        raise OSError("disk on fire")

    monkeypatch.setattr(checkpoints._manager, "close", close)
    with pytest.raises(KeyError), checkpoints:
        raise KeyError
    with pytest.raises(RunError, match="disk on fire; the older ones are as they were"), checkpoints:
        pass


# tensorstore's writes under way tell an event loop that Orbax has closed by then.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_full_disk_leaves_the_older_checkpoints_as_they_were(small_disk, state, abstract):
    with pytest.raises(RunError, match="the older ones are as they were"), Checkpoints(small_disk) as checkpoints:
        for step in range(1, 4):
            checkpoints.save(at(state, step))
            checkpoints.wait()
            if step == 2:
                free = shutil.disk_usage(small_disk).free
                (small_disk / "something.big").write_bytes(bytes(free - 8192))
    assert not list((small_disk / "checkpoints").glob("*tmp*")), "half a checkpoint would keep the disk full"
    assert digest(restore(small_disk, abstract, read_only=True)[0]) == digest(at(state, 2))
    (small_disk / "something.big").unlink()
    with Checkpoints(small_disk) as checkpoints:
        checkpoints.save(at(state, 3))
        checkpoints.wait()
    assert digest(restore(small_disk, abstract)[0]) == digest(at(state, 3))


def test_none_left_is_refused_and_nothing_touched(saved, abstract):
    for step in (1, 2, 3):
        files(saved, step)[0].write_bytes(b"")
    before = sorted(saved.rglob("*"))
    with pytest.raises(InputError, match=r"no checkpoint in .* can be used: step 3: .* step 1: "):
        restore(saved, abstract)
    assert sorted(saved.rglob("*")) == before


def test_a_foreign_model_is_refused(saved, tiny):
    game = build(replace(tiny, g_width=9), load("ring", 0, 16))
    with pytest.raises(InputError, match="another model"):
        restore(saved, jax.eval_shape(lambda: init_state(game, jax.random.key(0))))


def test_a_step_that_is_not_newer_is_an_error_not_a_silent_no(saved, state):
    with Checkpoints(saved) as checkpoints, pytest.raises(RunError, match="step 2"):
        checkpoints.save(at(state, 2))


def test_the_saved_copy_does_not_follow_the_donated_buffer(tmp_path, tiny, abstract):
    """On a CPU the host sees the device's own memory: what is written must be a copy taken before the next step."""
    data = load("ring", 0, tiny.batch)
    game = build(tiny, data)
    advance, most = compile_update(game, data, "scan")
    feeds = np.stack([data.feed_at(0)[None]] * most)
    state, _ = advance(initialise_state(game, jax.random.key(0)), data.train, feeds, 1, jax.random.key(1))
    expected = digest(state)
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save(state)
        advance(state, data.train, feeds, 40, jax.random.key(1))  # writes into the same memory
        checkpoints.wait()
        assert digest(checkpoints.restore(abstract, print)) == expected
