"""Code named by a run directory runs only for a user who has trained with it, or who accepts it."""

import json
import os
import shutil
import sys
from dataclasses import asdict, fields, replace
from pathlib import Path

import pytest

from gan_jax.config import Config, config_json
from gan_jax.errors import InputError
from gan_jax.runs import trust
from gan_jax.runs.load import load_run
from gan_jax.spec.lookup import load_file
from gan_jax.training.train import train

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
EVIL = "open({!r}, 'w')\n\n\ndef f(real, fake):\n    return real.mean(), fake.mean()\n\n\nGenerator = Discriminator = None\n"


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A working directory of a user with an empty cache, where received/evil.py would leave a marker if it ran."""
    monkeypatch.setenv("GAN_JAX_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(trust, "_accepts_all", False)
    home = tmp_path / "home"
    (home / "received").mkdir(parents=True)
    (home / "received" / "evil.py").write_text(EVIL.format(str(home / "marker")))
    monkeypatch.chdir(home)
    return home


def received(changes: dict) -> None:
    Path("received", "config.json").write_text(json.dumps(asdict(Config(data="ring", metrics="")) | changes))


def run(monkeypatch, name: str, *line: str) -> None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", *line])
    load_file(EXPERIMENTS / f"{name}.py").main()


NAMES = {
    "model": "received/evil.py", "penalty": "r1 + 0.5 * received/evil.py:f", "augment": "cutout + received/evil.py:f",
    "g_penalty": "2 * received/evil.py:f(a=1)", "metrics": "ssim, received/evil.py:f",
}  # fmt: skip
TEXTS = [f.name for f in fields(Config) if f.type in (str, str | None) and "network" not in f.metadata]


def test_every_text_field_that_names_functions_is_known():
    """All others are not looked up as functions: a new field belongs to one of the two."""
    assert set(TEXTS) - set(Config.with_property("calls")) == {"name", "data", "stop"}


@pytest.mark.parametrize("field", [name for name in TEXTS if name not in ("name", "data", "stop")])
def test_received_code_does_not_run_from_any_field(field, home, monkeypatch):
    text = NAMES.get(field, "received/evil.py:f")
    received({field: text})
    for line in (
        ("sample", "received"),
        ("sample", "received", "--view", "walk"),
        ("evaluate", "received"),
        ("temperatures", "received"),
        ("train", "received/config.json", "--run_dir", "new", "--steps", "1"),
        ("train", "--fork_from", "received", "--run_dir", "new", "--dry_run"),
        ("compare", "received/config.json", "--seeds", "0", "--steps", "1", "--out", "new"),
    ):
        with pytest.raises(InputError, match=rf"received/config.json names code .*: {field} received/evil.py.*--trust"):
            run(monkeypatch, *line)
    assert not (home / "marker").exists()
    assert not (home / "new").exists()


def test_the_message_lists_all_code(home):
    received({"loss": "builtins:print", "model": 'fastgan(perceptual="os:system")', "update": "received/evil.py:f"})
    listed = "model os:system, loss builtins:print, update received/evil.py:f"
    with pytest.raises(InputError, match=listed):
        load_run(home / "received", print)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"loss": "gan_jax.models.fastgan:random_margin_hinge", "model": "dcgan(norm='batch')"}, {}),
        ({"loss": "gan_jax.spec.lookup:load_file"}, {"loss": ["gan_jax.spec.lookup:load_file"]}),
        (
            {"loss": "gan_jax.models:f", "penalty": "0.3 * r1 + 1e+2 * a b/c.py:f"},
            {"loss": ["gan_jax.models:f"], "penalty": ["a b/c.py:f"]},
        ),
        ({"model": "own.networks", "g_optimizer": "adam(b1=0.5)"}, {"model": ["own.networks"]}),
        ({"metrics": "all, x.py:a,y.py:b"}, {"metrics": ["x.py:a", "y.py:b"]}),
    ],
)
def test_functions_of_our_networks_are_not_foreign_code(changes, named):
    assert trust.named_code(Config(**changes)) == named


@pytest.mark.parametrize("text", ["gan_jax.models.run/evil.py:f", "gan_jax.models.py:f", "gan_jax.models./evil.py:f"])
@pytest.mark.parametrize("form", ["{}", "{}(x=1)", " {}"])
def test_a_file_that_is_named_like_our_networks_is_foreign_code(text, form, home, monkeypatch):
    path = home / text.removesuffix(":f")
    path.parent.mkdir(exist_ok=True)
    shutil.copy("received/evil.py", path)
    for changes in ({"loss": form.format(text)}, {"model": path.name}, {"model": f"fastgan(perceptual='{text}')"}):
        received(changes if form == "{}" else {"loss": form.format(text)})
        with pytest.raises(InputError, match="names code"):
            run(monkeypatch, "sample", "received")
    assert not (home / "marker").exists()


def test_a_name_that_cannot_be_a_path_is_refused(home):
    received({"loss": "a\0b.py:f"})
    with pytest.raises(InputError, match="cannot be read"):
        load_run(home / "received", print)


def test_flags_replace_received_code(home, monkeypatch, capsys):
    """Code that the user names is the user's choice."""
    received({"loss": "received/evil.py:f", "eval_samples": 20})
    run(monkeypatch, "train", "received/config.json", "--loss", "hinge", "--dry_run")
    assert not (home / "marker").exists()
    (home / "mine.py").write_text("def f(real, fake):\n    return real.mean(), fake.mean()\n")
    run(monkeypatch, "train", "received/config.json", "--loss", "mine.py:f", "--dry_run")
    assert "mine.py:f" in capsys.readouterr().out


def test_a_run_that_this_user_trained_needs_no_flag(home, tiny, monkeypatch):
    (home / "mine.py").write_text("def f(real, fake):\n    return real.mean(), fake.mean()\n")
    config = replace(tiny, loss="mine.py:f", steps=1, log_every=1, eval_every=1, save_every=1, eval_samples=20)
    train(config, home / "run")
    load_run(home / "run", print)
    shutil.copytree("run", "elsewhere")  # it is the code that is known, wherever the directory lies
    load_run(home / "elsewhere", print)
    for other in ("mine.py:g", "received/evil.py:f"):  # another function, or another file
        Path("elsewhere", "config.json").write_text(config_json(replace(config, loss=other)))
        with pytest.raises(InputError, match=rf"loss {other}"):
            load_run(home / "elsewhere", print)
    (record,) = (home.parent / "cache").glob("trained-with-*")
    assert record.stat().st_mode & 0o777 == 0o600
    os.chmod(record, 0o666)  # others could have added to it
    with pytest.raises(InputError, match=r"loss mine.py:f"):
        load_run(home / "run", print)
    os.chmod(record, 0o600)
    record.write_bytes(b'{"half\n\xff')
    with pytest.raises(InputError, match=r"loss mine.py:f"):
        load_run(home / "run", print)
    monkeypatch.setattr(trust, "_accepts_all", True)
    load_run(home / "run", print)


def test_a_package_of_the_same_name_in_another_place_is_other_code(home, monkeypatch):
    for place in ("own", "other"):
        Path(place, "losses_of_lab").mkdir(parents=True)
        Path(place, "losses_of_lab", "__init__.py").touch()
    config = Config(loss="losses_of_lab.margins:f")
    monkeypatch.setattr(sys, "path", [str(home / "own"), *sys.path])
    trust.remember(config)
    trust.check_code(config, Path("config.json"))
    monkeypatch.setattr(sys, "path", [str(home / "other"), *sys.path[1:]])
    with pytest.raises(InputError, match=r"loss losses_of_lab.margins:f"):
        trust.check_code(config, Path("config.json"))
    assert "losses_of_lab" not in sys.modules


def test_without_a_cache_nothing_is_trusted_and_nothing_fails(home, monkeypatch):
    monkeypatch.setenv("GAN_JAX_CACHE", "/dev/null/no")
    config = Config(loss="mine.py:f")
    trust.remember(config)
    with pytest.raises(InputError, match=r"loss mine.py:f"):
        trust.check_code(config, Path("config.json"))
