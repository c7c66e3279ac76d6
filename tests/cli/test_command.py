"""What users type is parsed, or refused in one sentence that names it; failures of our own remain visible as such."""

from argparse import ArgumentTypeError
from pathlib import Path

import pytest

from gan_jax.cli.command import path, whole_number
from gan_jax.cli.flags import MOST_SEEDS, parse_seeds
from gan_jax.config import Config, load_recipe
from gan_jax.errors import InputError, RunError, reading
from gan_jax.spec.lookup import calling, find
from gan_jax.storage.memory import check_memory


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (KeyError("x"), "a.npz cannot be read: KeyError: 'x'"),
        (RecursionError(), "a.npz cannot be read: it is nested too deeply"),
        (MemoryError(), "a.npz cannot be read: it does not fit in the memory"),
        (PermissionError(13, "Permission denied"), "a.npz cannot be read: Permission denied"),
        (SystemExit(3), r"a.npz cannot be read: it calls sys.exit\(3\)"),
        (InputError("line 3 is empty"), "^line 3 is empty$"),
    ],
)
def test_every_failure_of_reading_names_the_input(error, message):
    with pytest.raises(InputError, match=message), reading("a.npz"):
        raise error


def test_other_ends_pass_through_reading():
    for error in (RunError("diverged"), KeyboardInterrupt()):
        with pytest.raises(type(error)), reading("a.npz"):
            raise error


def test_a_failure_of_ours_is_not_blamed_on_the_user():
    """A view of the user's own, or with options, may fail for what the user wrote; `walk` alone may not."""
    for text in ("math:sqrt", "walk(seconds='x')"):
        with pytest.raises(InputError, match=r"view .* fails: TypeError: no"), calling("view", text):
            raise TypeError("no")
    with pytest.raises(TypeError), calling("view", "walk"):
        raise TypeError("no")


def test_seeds():
    assert parse_seeds("0:3") == [0, 1, 2]
    assert parse_seeds("4294967295") == [2**32 - 1]
    assert parse_seeds(f"5:{5 + MOST_SEEDS}") == list(range(5, 5 + MOST_SEEDS))
    for text in (
        "0:99999999999999999999",
        f"0:{MOST_SEEDS + 1}",
        "3:3",
        "0:9:2",
        "-1:2",
        "4294967295:4294967297",
        "1,1",
        "9" * 5000,
    ):
        with pytest.raises(InputError, match=r"--seeds must be .*, at most 10,000, got '"):
            parse_seeds(text)


def test_whole_numbers_and_paths(tmp_path, monkeypatch):
    assert [whole_number(-3, 10**6)(text) for text in ("-3", "+7", " 1000000 ", "1e3", "2.5e2")] == [-3, 7, 10**6, 1000, 250]
    for text in ("-4", "1000001", "1e7", "1.5", "1e-1", "", "1_0", "\u0663", "9" * 5000):
        with pytest.raises(ArgumentTypeError, match=r"from -3 to 1,000,000, got"):
            whole_number(-3, 10**6)(text)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert path("~/run") == tmp_path / "run"
    for text in ("x" * 300, "~no_such_user/x"):
        with pytest.raises(ArgumentTypeError, match="is not a path"):
            path(text)


def test_numbers_that_no_program_can_hold_are_refused():
    for name, value in (("steps", 2**31), ("g_width", 10**12), ("batch", 2**24 + 1), ("gamma", 1e308), ("name", "x" * 101)):
        with pytest.raises(InputError, match=rf"^{name} must be .*, got "):
            Config(**{name: value})
    assert Config(steps=2**31 - 1, batch=2**24, gamma=3e38, name="x" * 100).batch == 2**24


def test_memory():
    check_memory("nothing", 0, "")
    with pytest.raises(InputError, match=r"the samples would take 1,000,000 GB, and this machine has \d+ GB of memory: fewer"):
        check_memory("the samples", 10**15, "fewer")


def test_files_that_exit(tmp_path):
    (tmp_path / "exits.py").write_text("import sys\n\nsys.exit('no')\n")
    with pytest.raises(InputError, match=r"exits.py cannot be loaded: it calls sys.exit\('no'\)"):
        load_recipe(tmp_path / "exits.py")
    with pytest.raises(InputError, match=r"exits.py cannot be loaded: it calls sys.exit\('no'\)"):
        find("loss", f"{tmp_path}/exits.py:f")
    with pytest.raises(InputError, match=r"the recipe 'xxx.* cannot be read: File name too long"):
        load_recipe(Path("x" * 300 + ".py"))
