"""The documentation: links lead somewhere, command lines are accepted, flags exist, the README stays short.

Lines that end in `<!-- after merge -->` and HTML comments are left out.
"""

import importlib
import re
import shlex
import sys
from functools import cache
from pathlib import Path

import jax
import pytest
from jsonargparse import ArgumentParser

from gan_jax import augment, auxiliary, deceive, g_penalties, latents, losses, penalties
from gan_jax.cli import compare, train
from gan_jax.cli.command import Parser
from gan_jax.config import Config
from gan_jax.game import update_rules
from gan_jax.spec.expressions import parse_call, parse_sum

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    {*ROOT.glob("*.md"), *(page for folder in (".github", "experiments", "gan_jax") for page in (ROOT / folder).rglob("*.md"))}
)
HISTORY = ("CHANGELOG.md", "BENCHMARKS.md")  # of flags that no longer exist, and generated
MIGRATION = ROOT / "experiments" / "COMING_FROM.md"
MODULES = {  # where the names of a field are defined
    "loss": (losses, parse_call),
    "penalty": (penalties, parse_sum),
    "g_penalty": (g_penalties, parse_sum),
    "augment": (augment, parse_sum),
    "deceive": (deceive, parse_call),
    "auxiliary": (auxiliary, parse_call),
    "update": (update_rules, parse_call),
    "latent": (latents, parse_call),
}
FOREIGN = {"ntasks-per-node", "worker", "command"}  # flags of srun and gcloud


class Accepted(Exception):
    """A command has parsed its arguments."""


def read(page: Path) -> str:
    text = re.sub(r"^.*<!-- after merge -->$", "", page.read_text(), flags=re.MULTILINE)
    return re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)


def code_blocks(text: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)


def prose(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """As GitHub makes them: lower case, without punctuation, hyphens for spaces."""
    headings = re.findall(r"^#+ (.*)$", prose(page.read_text()), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def links(page: Path) -> list[str]:
    text = re.sub(r"`[^`]*`", "", prose(read(page)))
    found = re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r"^\[\w+\]: (\S+)$", text, flags=re.MULTILINE)
    return [link for link in found if not link.startswith("http")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    for link in links(page):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        assert ROOT in target.resolve().parents, link
        assert not anchor or anchor in anchors(target), link
        assert target.suffix not in (".png", ".wav") or target.stat().st_size < 150_000, (
            f"{link} is too large for the repository"
        )


def test_the_links_of_a_page_are_found(tmp_path):
    (tmp_path / "a.md").write_text(
        "# A b: `c`, d?\n[x](y.py#z) `[no](no)`\n```\n[no](no)\n```\n<!-- [no](no) -->\n[p]: p.png\n"
    )
    assert links(tmp_path / "a.md") == ["y.py#z", "p.png"]
    assert anchors(tmp_path / "a.md") == {"a-b-c-d"}


def command_lines() -> list[tuple[str, str, tuple[str, ...]]]:
    """(page, command, its arguments) of each command line in a code block."""
    found = {}
    for page in PAGES:
        if page.name in HISTORY:
            continue
        for line in "\n".join(code_blocks(read(page))).split("\n"):
            match = re.search(r"experiments/(\w+)\.py\b(?! \[)(.*)$", line)
            if match and "python" in line and "..." not in line:
                found[match[1], tuple(shlex.split(match[2], comments=True))] = str(page.relative_to(ROOT))
    return [(page, name, arguments) for (name, arguments), page in found.items()]


@cache
def train_parser() -> ArgumentParser:
    """The flags of train.py, without the values of a recipe."""
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Config, None)
    parser.add_argument("recipe", nargs="?")
    train.add_options(parser)
    return parser


def accepts(name: str, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> Config | None:
    """Raise an error unless the command accepts the arguments. The Config of those that train."""
    if name == "train":
        options = train_parser().parse_args(arguments)
        assert options.recipe in (None, "RECIPE.py") or Path(options.recipe).is_file()
        return Config(**{field: options[field] for field in Config.__dataclass_fields__})
    original = Parser.parse_args

    def parse_args(self, *given):
        original(self, *given)
        raise Accepted

    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", [f"{name}.py", *arguments])
        patch.setattr(Parser, "parse_args", parse_args)
        with pytest.raises(Accepted):
            importlib.import_module(f"gan_jax.cli.{name}").main()
    if name == "compare" and "--verify" not in arguments:
        rest, flags = compare.split_flags(arguments)
        recipes = [argument for argument in rest if argument.endswith(".py")]
        return next(iter(compare.combine(recipes, flags, compare.DEFAULT).values()))
    return None


def check_names(config: Config) -> None:
    """The names in a Config are functions of the package, unless they are the user's own."""
    for field, (module, parser) in MODULES.items():
        text = getattr(config, field)
        calls = [] if text is None else [(1, *parser(text))] if parser is parse_call else parser(text)
        for _, name, _ in calls:
            assert ":" in name or callable(getattr(module, name, None)) or name == "molecular_property", f"--{field} {text}"


@pytest.mark.parametrize(
    ("page", "name", "arguments"), command_lines(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_command_lines_are_accepted(page, name, arguments, monkeypatch):
    monkeypatch.chdir(ROOT)
    config = accepts(name, arguments, monkeypatch)
    if config is not None:
        check_names(config)


def test_there_are_command_lines():
    assert {name for _, name, _ in command_lines()} >= {"train", "evaluate", "sample", "compare", "weights", "benchmark"}


def migration_rows() -> list[tuple[str, str]]:
    """(theirs, ours) of each row of the tables."""
    rows = re.findall(r"^\| (.*?) \| (.*) \|$", read(MIGRATION), flags=re.MULTILINE)
    return [(theirs, ours) for theirs, ours in rows if theirs != "theirs"]


def test_our_flags_beside_those_of_other_projects_are_accepted(monkeypatch):
    monkeypatch.chdir(ROOT)
    checked = 0
    for _, ours in migration_rows():
        for span in re.findall(r"`([^`]*)`", ours):
            words = shlex.split(span)
            if words[0] in ("evaluate.py", "sample.py", "weights.py"):
                accepts(words[0].removesuffix(".py"), tuple(words[1:]), monkeypatch)
            elif words[0].startswith("--") and len(words) > 1 and words[0] != "--view":
                words = ["7" if word == "N" else word for word in words]
                check_names(accepts("train", tuple(words), monkeypatch))
                checked += 1
    assert checked > 60


def test_flags_that_are_mentioned_exist():
    sources = "".join(file.read_text() for file in (ROOT / "gan_jax" / "cli").glob("*.py"))
    known = set(Config.__dataclass_fields__) | set(re.findall(r'"--([a-z_]+)"', sources)) | {"help", "field"} | FOREIGN
    for page in PAGES:
        if page.name in HISTORY:
            continue
        text = " ".join(ours for _, ours in migration_rows()) if page == MIGRATION else read(page)
        code = re.findall(r"`([^`\n]+)`", prose(text)) + code_blocks(text)
        mentioned = set(re.findall(r"(?<![\w-])--([a-z][\w-]*)", "\n".join(code)))
        mentioned -= {f"no_{name}" for name in known}
        assert mentioned <= known, f"{page.relative_to(ROOT)}: {mentioned - known}"


def test_the_readme_is_short():
    lines = (ROOT / "README.md").read_text().splitlines()
    assert len(lines) <= 150
    assert max(map(len, lines)) <= 128


def test_the_readme_section_on_a_piece_in_your_own_loop():
    section = read(ROOT / "README.md").split("## A piece in your own loop")[1].split("\n## ")[0]
    key = jax.random.key(0)
    real, fake = jax.random.normal(key, (2, 8, 2))
    names = {"critic": lambda x: x.sum(axis=1), "real": real, "fake": fake, "key": key}
    exec(code_blocks(section)[0], names)
    # The gradient of a sum of two numbers is (1, 1): half its squared norm is 1, at real and at fake samples.
    difference = (fake - real).sum(axis=1)
    assert names["d_loss"] == pytest.approx(float(jax.nn.softplus(difference).mean()) + 0.1 * 2, rel=1e-5)
