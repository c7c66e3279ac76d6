"""Command lines in the spellings that people use, and answers to flags of other programs."""

import os
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from gan_jax import augment, auxiliary, deceive, g_penalties, latents, losses, penalties
from gan_jax.cli import help as help_texts
from gan_jax.cli.compare import combine, split_flags
from gan_jax.cli.flags import parse
from gan_jax.cli.spelling import unknown_flag, usual_spelling, whole
from gan_jax.config import Config
from gan_jax.data.images import suite
from gan_jax.data.names import short_name
from gan_jax.errors import InputError
from gan_jax.game import update_rules
from gan_jax.game.resolve import families
from gan_jax.spec.elsewhere import unknown_name
from gan_jax.spec.lookup import public_functions

ROOT = Path(__file__).parents[2]
DIGITS, RING = ROOT / "experiments" / "images" / "digits.py", ROOT / "experiments" / "toy" / "ring.py"


def parsed(*argv):
    return parse(argv, DIGITS, "", lambda parser: parser.add_argument("--dry_run", action="store_true"))


@pytest.mark.parametrize(
    ("text", "digits"),
    [("1e4", "10000"), ("1.5e3", "1500"), ("2E6", "2000000"), ("-1e2", "-100"), ("7", "7"), ("2.0", "2"), ("1e+2", "100"),
     ("1.5", "1.5"), ("1e-3", "1e-3"), ("nan", "nan"), ("1e400", "1e400"), ("", ""), ("1_0e2", "1_0e2"), ("1.25e1", "1.25e1")],
)  # fmt: skip
def test_whole_numbers_in_other_notations(text, digits):
    assert whole(text) == digits


def test_whole_numbers_are_fields_of_the_config():
    assert parsed("--steps", "1e4", "--batch=6.4e1").config.steps == 10_000
    assert parsed("--steps", "1e4", "--batch=6.4e1").config.batch == 64
    with pytest.raises(InputError, match=r"steps: expected a whole number, got 1\.5"):
        parsed("--steps", "1.5")


@pytest.mark.parametrize(
    ("flags", "doctor", "dry_run"),
    [
        ([], False, False),
        (["--doctor", "--dry_run"], True, True),
        (["--doctor", "true", "--dry_run", "true"], True, True),
        (["--doctor=True", "--dry-run"], True, True),
        (["--doctor", "false", "--dry_run=false"], False, False),
        (["--no_doctor", "--no-dry-run"], False, False),
        (["--dry_run", "--doctor"], True, True),
    ],
)
def test_switches_have_one_style(flags, doctor, dry_run):
    config, options, _ = parsed(*flags)
    assert (config.doctor, options.dry_run) == (doctor, dry_run)
    # What follows a switch is its value only if it is true or false.
    config, options, recipe = parsed(*flags, str(RING))
    assert (config.doctor, options.dry_run, recipe.name) == (doctor, dry_run, "ring")


def test_a_switch_is_on_or_off():
    with pytest.raises(InputError, match="doctor: expected true or false, got '1'"):
        parsed("--doctor=1")


def test_dashes_are_underscores():
    assert parsed("--g-lr", "0.5", "--eval-samples=50").config == parsed("--g_lr", "0.5", "--eval_samples=50").config
    assert usual_spelling(["--a-b", "--", "--c-d"], {"a_b"}, {}) == ["--a_b", "--", "--c-d"]


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--learning_rate", "1e-4"], "there is no --learning_rate: each player has its own: --g_lr 1e-4 --d_lr 1e-4"),
        (["--lr=1e-4"], "there is no --lr: each player has its own: --g_lr 1e-4 --d_lr 1e-4"),
        (["--batch-size", "64"], "there is no --batch-size: use --batch 64"),
        (["--epochs", "5"], "there is no --epochs: training is counted in generator steps: --steps N"),
        (["--gpu", "0"], "there is no --gpu: a GPU is used if JAX is installed for it"),
        (["--stpes", "4"], "unknown field 'stpes': did you mean 'steps'?"),
        (["--zzzzzzzz", "4"], "unknown field 'zzzzzzzz': known: augment, augment_kimg"),
    ],
)
def test_flags_of_other_programs_and_mistyped_ones(flags, message):
    with pytest.raises(InputError) as error:
        parsed(*flags)
    assert str(error.value).startswith(message)
    assert ("known:" in str(error.value)) == ("zzz" in message)  # all fields are listed only if none is near


def test_advice_names_only_flags_that_the_command_has():
    assert "--log wandb" in str(unknown_flag("option", "wandb", "", ["log"]))
    assert str(unknown_flag("option", "wandb", "", ["seed"])) == "unknown option 'wandb': known: seed"


@pytest.mark.parametrize(
    ("what", "name", "words"),
    [
        ("loss", "wgan-gp", "--loss wasserstein --penalty gradient_penalty --gamma 10"),
        ("loss", "WGAN", "--loss wasserstein"),
        ("loss", "lsgan", "--loss least_squares"),
        ("penalty", "gp", "--penalty gradient_penalty"),
        ("penalty", "wgan_gp", "--penalty gradient_penalty"),
        ("augment", "diffaugment", "color + translation + cutout"),
    ],
)
def test_names_of_the_literature(what, name, words):
    """Each names functions that exist."""
    assert words in str(unknown_name(what, name, ["hinge"]))
    known = {"loss": losses, "penalty": penalties, "augment": augment}[what]
    for word in words.split(f"--{what} ")[-1].split(" --")[0].split(" + "):
        assert word in public_functions(known)


def test_the_flags_of_compare():
    assert split_flags(["--g-lr", "1,2", "--doctor", "--no-compilation-cache"]) == (
        ["--no_compilation_cache"],
        {"g_lr": ["1", "2"], "doctor": ["true"]},
    )
    with pytest.raises(InputError, match=r"there is no --lr: each player has its own: --g_lr 0\.1 --d_lr 0\.1"):
        split_flags(["--lr", "0.1"])


def test_every_command_has_the_same_spellings(capsys):
    """Here: evaluate.py, through a wrong value of the option after a dash."""
    from gan_jax.cli.command import Parser, whole_number

    parser = Parser()
    parser.add_argument("run")
    parser.add_argument("--eval_samples", type=whole_number(1, 10**6))
    parser.add_argument("--png", action="store_true")
    options = parser.parse_args(["--png", "false", "--eval-samples", "5e4", "run"])
    assert (options.png, options.eval_samples, options.run) == (False, 50_000, "run")
    with pytest.raises(InputError, match="unknown option 'pgn': did you mean 'png'"):
        parser.parse_args(["run", "--pgn"])
    with pytest.raises(InputError, match="unrecognized arguments: more; see --help"):
        parser.parse_args(["run", "more"])


def test_help_is_in_groups_and_names_what_exists():
    names = [field.name for field in fields(Config)]
    starts = [names.index(first) for first in help_texts.GROUPS.values()]
    assert starts == sorted(starts) and starts[0] == 0
    modules = {
        "latent": latents, "loss": losses, "auxiliary": auxiliary, "penalty": penalties, "g_penalty": g_penalties,
        "augment": augment, "deceive": deceive, "update": update_rules, "metrics": suite,
    }  # fmt: skip
    assert modules.keys() == help_texts.FUNCTIONS.keys()
    for field, module in modules.items():
        assert sorted(help_texts.public_names(help_texts.PACKAGE / help_texts.FUNCTIONS[field])) == sorted(
            public_functions(module)
        )
    assert help_texts.network_families() == families()
    shown = help_texts.parser_of_config("").format_help()
    for title in ("data", "networks", "loss", "optimisation", "evaluation", "hardware"):
        assert f"\n{title}:\n" in shown
    assert all(f"--{name} " in shown for name in names)
    assert "gradient_penalty" in shown and "stylegan2" in shown


@pytest.mark.parametrize(
    ("data", "name"),
    [
        ("../photos", "photos"), ("photos/", "photos"), ("a/photos.zip", "photos"), ("faces.npz", "faces"),
        ('folder(path="../photos", side=64)', "photos"), ('table(path="sales/2024.csv")', "2024"),
        ('text(path="poems.txt.gz")', "poems"), ("text", "text"), ('molecules(path="a.smi", kind="graph")', "a"),
        ("ring(sigma=0.1)", "ring"), ("digits", "digits"), ("tfds:cifar10", "cifar10"),
        ("tfds:imagenet_resized/64x64:1.0.0", "imagenet_resized-64x64"), ("mirrored:../photos", "mirrored-photos"),
        ("stacked:tfds:mnist", "stacked-mnist"), ("../my photos (1)", "my_photos_1"), ("x" * 90, "x" * 60), ("", "data"),
    ],
)  # fmt: skip
def test_short_names_of_data(data, name):
    assert short_name(data) == name
    assert Config(name=name).name == name


def test_the_working_directory_has_a_name(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path / "photos")
    assert short_name(".") == short_name("../photos/.") == "photos"


def test_data_name_the_run():
    assert parsed("--data", "../photos").config.name == "photos"
    assert parsed(str(RING), "--data", "../photos").config.name == "ring-photos"
    assert parsed("--data", "../photos", "--name", "mine").config.name == "mine"
    assert parsed("--data=digits").config.name == parsed("--steps", "9").config.name == "digits"
    assert list(combine([], {"data": ["grid", "spiral"], "steps": ["9"]}, RING)) == ["grid", "spiral"]
    assert list(combine([str(RING)], {"data": ["ring", "grid"]}, RING)) == ["ring", "ring_grid"]


@pytest.mark.parametrize("name", ["compare", "train", "report", "evaluate"])
def test_alarms_of_the_compiler_are_silenced_before_it_is_imported(name):
    """The compiler reads the variable when it is imported, also by commands that import it before they read their arguments."""
    code = (
        "import os, runpy, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, *_):\n"
        "        if name == 'jaxlib': assert os.environ['TF_CPP_MIN_LOG_LEVEL'] == '3'\n"
        "sys.meta_path.insert(0, Watch())\n"
        f"sys.argv = ['{name}.py', '--help']\n"
        f"runpy.run_path('experiments/{name}.py', run_name='__main__')\n"
    )
    environment = {key: value for key, value in os.environ.items() if key != "TF_CPP_MIN_LOG_LEVEL"}
    ended = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr


def test_a_run_may_be_renamed():
    from gan_jax.runs.config_changes import continues

    assert continues(Config(name="digits"), replace(Config(), name="photos"))
