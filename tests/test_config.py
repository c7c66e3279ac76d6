"""Configs: defaults, overrides, files, and one line for each kind of bad input."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gan_jax.cli.flags import parse
from gan_jax.config import Config, config_json, load_config, load_recipe
from gan_jax.errors import InputError
from gan_jax.runs.config_changes import continues, differences

ROOT = Path(__file__).parent.parent
DIGITS = ROOT / "experiments" / "images" / "digits.py"


def parse_line(line: str) -> Config:
    return parse(line.split(), DIGITS, None, lambda parser: parser.add_argument("--run_dir"))[0]


def test_the_default_recipe_and_its_name():
    assert parse_line("") == load_recipe(DIGITS)
    assert parse_line("").name == "digits"


def test_flags_override_the_recipe_and_nothing_else():
    config = parse_line("--g_lr 0.5 --steps 7 --penalty r1 --g_width 12 --gamma_final 1e-3")
    expected = replace(load_recipe(DIGITS), g_lr=0.5, steps=7, penalty="r1", g_width=12, gamma_final=1e-3)
    assert config == expected
    assert parse_line(f"{ROOT}/experiments/toy/ring.py --seed 3") == replace(
        load_recipe(ROOT / "experiments/toy/ring.py"), seed=3
    )


def test_null_unsets():
    assert parse_line("--augment null").augment is None


def test_a_saved_config_is_a_recipe(tmp_path):
    config = replace(load_recipe(DIGITS), seed=5, gamma_final=0.25)
    (tmp_path / "config.json").write_text(config_json(config))
    assert load_config(tmp_path / "config.json") == config
    assert parse_line(str(tmp_path / "config.json")) == config


@pytest.mark.parametrize(("half_life", "ramp"), [(None, None), (1e4, 0.05)])
def test_a_ramp_without_a_half_life_is_dropped(tmp_path, half_life, ramp):
    """Files of earlier versions contain the ramp's default of then, mostly without effect: such runs must still continue."""
    (tmp_path / "config.json").write_text(json.dumps({"ema_half_life": half_life, "ema_ramp": 0.05}))
    assert load_config(tmp_path / "config.json") == Config(ema_half_life=half_life, ema_ramp=ramp)


def test_differences_name_field_and_values():
    assert differences(Config(), Config(seed=3, loss="hinge")) == ["seed: 0 -> 3"]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("--stpes 4", ["stpes", "did you mean 'steps'"]),
        ("--step 4", ["unknown field 'step'"]),  # no abbreviations: a new field must not change what a command means
        ("--steps x", ["steps", "a whole number", "x"]),
        ("--steps 1.5", ["steps", "a whole number", "1.5"]),
        ("--g_width wide", ["g_width", "a whole number or null", "wide"]),
        ("--steps -4", ["steps", "at least 1", "-4"]),
        ("--batch 0", ["batch", "at least 1", "0"]),
        ("--g_lr nan", ["g_lr", "nan"]),
        ("--g_lr inf", ["g_lr", "inf"]),
        ("--d_lr -1", ["d_lr", "at least 0", "-1"]),
        ("--ema 1", ["ema", "below 1"]),
        ("--augment_p 2", ["augment_p", "between 0 and 1"]),
        ("--dispatch slowly", ["dispatch", "auto or scan or loop", "slowly"]),
        ("--remat=maybe", ["remat", "true or false", "maybe"]),
        ("--name a/b", ["name", "a/b"]),
        ("--seed -1", ["seed", "-1"]),
        ("--steps", ["--steps", "expected one argument"]),
        ("nowhere.py", ["nowhere.py"]),
        ("recipe.toml", ["recipe.toml"]),
    ],
)
def test_bad_flags_name_the_field_the_value_and_what_is_allowed(line, words):
    with pytest.raises(InputError) as error:
        parse_line(line)
    assert all(word in str(error.value) for word in words), str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "same"),
    [
        ({}, {"steps": 20}, True),
        ({}, {"steps": 20, "schedule_steps": 5}, True),
        ({"g_lr_final": 0.0}, {"steps": 20, "schedule_steps": 10}, True),
        ({"g_lr_final": 0.0, "schedule_steps": 5}, {"steps": 20}, True),
        ({}, {"steps": 9}, False),
        ({}, {"steps": 20, "g_lr": 1.0}, False),
        ({"g_lr_final": 0.0}, {"steps": 20}, False),
        ({"g_lr_final": 0.0}, {"schedule_steps": 5}, False),
    ],
)
def test_a_run_continues_for_more_steps_unless_that_stretches_a_schedule(old, new, same):
    begun = Config(**{"steps": 10, **old})
    assert continues(begun, replace(begun, **new)) is same


def test_none_means_null():
    assert parse_line("--penalty none --augment none") == parse_line("--penalty null --augment null")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", ["cannot be read"]),
        ("[1]", ["JSON object"]),
        (json.dumps({"stpes": 1}), ["stpes", "steps"]),
        (json.dumps({"steps": "many"}), ["steps", "a whole number", "many"]),
        (json.dumps({"steps": -1}), ["steps", "at least 1"]),
        (json.dumps({"loss": None}), ["loss", "text"]),
        (json.dumps({"seed": True}), ["seed", "a whole number"]),
    ],
)
def test_bad_config_files(tmp_path, content, words):
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(InputError) as error:
        load_config(tmp_path / "config.json")
    assert all(word in str(error.value) for word in [*words, "config.json"]), str(error.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x = 1", ["must define CONFIG"]),
        ("def f(:", ["recipe.py:1", "syntax"]),
        ("import nowhere", ["ModuleNotFoundError", "nowhere"]),
        ("from gan_jax.config import Config\nCONFIG = Config(steps=0)", ["steps", "at least 1"]),
        ("from gan_jax.config import Config\nCONFIG = Config(steps='9')", ["steps", "9"]),
        ("from gan_jax.config import Config\nCONFIG = Config(step=9)", ["step"]),
    ],
)
def test_bad_recipes(tmp_path, content, words):
    (tmp_path / "recipe.py").write_text(content)
    with pytest.raises(InputError) as error:
        load_recipe(tmp_path / "recipe.py")
    assert all(word in str(error.value) for word in [*words, "recipe.py"]), str(error.value)


def test_help_imports_nothing_heavy():
    """Importing the package and asking for help touch neither JAX nor a data or plotting library."""
    code = (
        "import sys, runpy; sys.argv = ['train.py', '--help']\n"
        "try: runpy.run_path('experiments/train.py', run_name='__main__')\n"
        "except SystemExit as end: assert not end.code\n"
        "heavy = {'jax', 'tensorflow_datasets', 'sklearn', 'matplotlib', 'orbax', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    assert "--loss" in shown.stdout
    assert "gan_jax/losses.py" in shown.stdout
