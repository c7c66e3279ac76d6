"""The report: a self-contained page that escapes what it shows and states whether the run finished."""

import base64
import hashlib
import io
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from gan_jax.errors import InputError
from gan_jax.reports.report import write_report
from gan_jax.reports.samples import MAX_GRIDS, MAX_SERIES_BYTES
from gan_jax.reports.svg import MAX_POINTS, Curve, chart, svg

CONFIG = {"name": "digits", "data": "digits", "loss": "hinge", "penalty": None, "steps": 20, "seed": 3, "g_lr": 8e-4}
ATTACK = "<script>alert('x')</script>"


def png(level: int = 0) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("L", (6, 4), level).save(out, "PNG")
    return out.getvalue()


@pytest.fixture
def run_dir(tmp_path):
    """A small finished run: ten lines of metrics, two evaluations, four pictures."""
    rows = [{"step": s, "seconds": s / 2, "d/loss": 1 / s, "g/loss": s / 9, "d/new": 1.0} for s in range(2, 21, 2)]
    rows[4] |= {"eval/fd": 0.5, "eval/fd_floor": 0.0843, "eval/modes": 7}
    rows[9] |= {"eval/fd": 0.1234, "eval/fd_floor": 0.0843, "eval/modes": 8}
    write(tmp_path, CONFIG, {"status": "finished", "jax": "0.10.2", "data": {"checksum": "abc123"}}, rows)
    (tmp_path / "samples").mkdir()
    for level, stem in enumerate(["real", "interpolation", "step-00000010", "step-00000020"]):
        (tmp_path / "samples" / f"{stem}.png").write_bytes(png(level))
    return tmp_path


def write(run_dir, config, environment, rows):
    (run_dir / "config.json").write_text(json.dumps(config))
    (run_dir / "environment.json").write_text(json.dumps(environment))
    (run_dir / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def page_of(run_dir) -> str:
    path = write_report(run_dir)
    assert path == run_dir / "report.html"
    return path.read_text(encoding="utf-8")


class Page(HTMLParser):
    """Every tag with its attributes, every attribute, and the text."""

    def __init__(self, page: str):
        super().__init__()
        self.tags, self.text = [], ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, data):
        self.text += data

    def values(self, attribute):
        return [attributes[attribute] for _, attributes in self.tags if attribute in attributes]


def test_page_is_self_contained(run_dir):
    source = page_of(run_dir)
    page = Page(source)
    for name in ("src", "href", "xlink:href", "data", "srcset", "action"):
        assert all(value.startswith(("data:", "#")) for value in page.values(name)), name
    assert not re.search(r"@import|url\((?!#)", source)
    assert "link" not in [tag for tag, _ in page.tags]
    ids = page.values("id")
    references = {value[1:] for value in page.values("xlink:href")}
    assert references and references <= set(ids)
    assert not {"figure_1", "axes_1"} & set(ids)  # matplotlib's ids, which would occur once per figure
    assert "#0101" not in source  # every placeholder colour became a CSS variable
    assert "var(--g)" in source


def test_pictures_are_complete_and_in_order(run_dir):
    from PIL import Image

    sources = Page(page_of(run_dir)).values("src")
    levels = []
    for source in sources:
        assert source.startswith("data:image/png;base64,")
        image = Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2])))
        levels.append(image.getpixel((0, 0)))
    assert levels == [3, 0, 1, 2]  # the last grid, real samples, interpolation, the other grids over training


def test_page_shows_config_environment_and_metrics(run_dir):
    page = Page(page_of(run_dir))
    for name, value in CONFIG.items():
        assert name in page.text
        assert ("none" if value is None else str(value)) in page.text
    for text in ("Fréchet distance", "0.123", "0.0843", "8", "data.checksum", "abc123", "d/new"):
        assert text in page.text
    assert "fd_floor" not in page.text  # a column of fd, not a row of its own
    assert f"gan_jax train {run_dir / 'config.json'}" in page.text
    assert "status" not in page.values("class")


def test_names_are_escaped(run_dir):
    rows = [{"step": 1, ATTACK: 1.0, f"eval/{ATTACK}": 2.0, "d/loss": 1.0}]
    write(run_dir, CONFIG | {"name": ATTACK, "data": ATTACK, ATTACK: ATTACK}, {"status": ATTACK, "evaluation": ATTACK}, rows)
    (run_dir / "samples" / f"{ATTACK.replace('/', '')}.txt").write_text(ATTACK)
    source = page_of(run_dir)
    assert Page(source).tags.count(("script", {})) == 2  # our own
    assert "<script>alert" not in source
    assert ATTACK in Page(source).text


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"status": "training broke at step 6: d/loss is nan"}, "Training broke at step 6: d/loss is nan"),
        ({}, "at step 10 of 20"),
    ],
)
def test_page_states_that_a_run_did_not_finish(run_dir, environment, expected):
    write(run_dir, CONFIG, environment, [{"step": 10, "d/loss": 1.0}])
    page = Page(page_of(run_dir))
    assert "status" in page.values("class")
    assert expected in page.text


def test_only_config_and_metrics_are_required(run_dir):
    for path in [*(run_dir / "samples").iterdir(), run_dir / "environment.json"]:
        path.unlink()
    (run_dir / "samples").rmdir()
    (run_dir / "metrics.jsonl").write_text("")
    page = Page(page_of(run_dir))
    assert "g_lr" in page.text
    assert not page.values("src")


def test_values_that_are_not_finite_single_points_and_an_incomplete_line(run_dir):
    nan = float("nan")
    line = {"step": 0, "d/loss": 2.0, "g/loss": nan, "d/grad_norm": nan, "eval/fd": float("inf"), "eval/is": nan}
    (run_dir / "metrics.jsonl").write_text(json.dumps(line) + '\n{"step": 5, "d/lo')
    page = Page(page_of(run_dir))
    assert "first at step 0" in page.text
    assert "nan" in page.text
    assert "inf" in page.text


def test_a_damaged_line_of_the_log_is_left_out_and_said(run_dir):
    good = json.dumps({"step": 3, "d/loss": 2.0})
    (run_dir / "metrics.jsonl").write_text(f'{good}\n{{"ste\n{good.replace("3", "9")}\n')
    page = Page(page_of(run_dir))
    assert "metrics.jsonl: line 2 of 3 cannot be read, and are left out" in page.text
    assert "unfinished: at step 9" in page.text.lower() or "step 9" in page.text


def test_links_to_other_files_are_not_followed(run_dir, tmp_path_factory):
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.txt").write_text("a secret")
    (run_dir / "notes.txt").write_text("a secret")
    (run_dir / "samples" / "one.txt").symlink_to(outside / "secret.txt")
    (run_dir / "samples" / "two.txt").symlink_to("../notes.txt")
    (run_dir / "samples" / "three").symlink_to(outside)
    (run_dir / "samples" / "broken.txt").symlink_to(outside / "absent")
    assert "a secret" not in page_of(run_dir)
    for path in (run_dir / "samples").iterdir():
        path.unlink()
    (run_dir / "samples").rmdir()
    (run_dir / "samples").symlink_to(outside)
    assert "a secret" not in page_of(run_dir)


def test_the_file_suffix_determines_the_medium(run_dir):
    for path in (run_dir / "samples").iterdir():
        path.unlink()
    for step in (10, 20):
        for i in range(2):
            (run_dir / "samples" / f"step-{step:08d}-{i}.wav").write_bytes(b"RIFF....WAVE")
        (run_dir / "samples" / f"step-{step:08d}.smi").write_text("CC(=O)O>\n")
    (run_dir / "samples" / "step-00000020.npz").write_bytes(b"not shown")
    page = Page(page_of(run_dir))
    tags = [tag for tag, _ in page.tags]
    assert (tags.count("audio"), tags.count("img")) == (4, 0)
    assert page.text.count("CC(=O)O>") == 2


def test_a_long_series_of_grids_is_thinned_evenly(run_dir):
    for step in range(100):
        (run_dir / "samples" / f"step-{step:08d}.png").write_bytes(png())
    page = Page(page_of(run_dir))
    assert page.values("max") == [str(MAX_GRIDS - 1)]
    assert len(page.values("src")) == MAX_GRIDS + 2
    assert f"{MAX_GRIDS} of 100" in page.text


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("config.json", None),
        ("metrics.jsonl", None),
        ("config.json", b"{"),
        ("config.json", b"[1]"),
        ("environment.json", b"\xff"),
        ("metrics.jsonl", b'{"loss": 1}\n'),
        ("metrics.jsonl", b"[]\n"),
        ("samples/real.png", png()[:-9]),
        ("samples/real.png", b""),
    ],
)
def test_a_missing_or_corrupt_file_is_named(run_dir, name, content):
    (run_dir / name).unlink()
    if content is not None:
        (run_dir / name).write_bytes(content)
    with pytest.raises(InputError, match=re.escape(str(run_dir / name))):
        write_report(run_dir)
    assert not (run_dir / "report.html").exists()


def test_the_page_is_reproducible(run_dir):
    assert page_of(run_dir) == page_of(run_dir)


def test_a_long_curve_shows_its_extremes_as_a_band():
    spike = {step: 1.0 + (step == 7_777) for step in range(10_000)}
    short = svg("short", "step", "loss", [Curve("D", "d", "-", dict(list(spike.items())[:MAX_POINTS]))])
    long = svg("long", "step", "loss", [Curve("D", "d", "-", spike)])
    assert "fill-opacity: 0.18" in long
    assert "fill-opacity: 0.18" not in short
    assert len(long) < 100_000


def test_the_points_of_a_chart_are_those_drawn():
    """The mean, minimum and maximum of each bin; a constant reference is a level, and equal steps are stored once."""
    losses = {step: float(step % 4) for step in range(2 * MAX_POINTS)}
    curves = [
        Curve("D", "d", "-", losses),
        Curve("G", "g", "-", losses),
        Curve("real", "ink", "--", dict.fromkeys(losses, 7.0)),
    ]
    data = json.loads(Page(chart("Losses", "step", "loss", curves)).values("data-chart")[0])
    first, second, level = data["curves"]
    assert first["x"] == list(range(0, 2 * MAX_POINTS, 2)) and "x" not in second
    assert (first["y"][:2], first["low"][:2], first["high"][:2]) == ([0.5, 2.5], [0.0, 2.0], [1.0, 3.0])
    assert level["level"] == 7.0 and (data["x"], data["y"]) == ("step", "loss")


def test_values_that_are_not_finite_do_not_stretch_the_axis():
    text = svg("gap", "step", "loss", [Curve("D", "d", "-", {0: 5.0, 1: 5.1, 2: float("nan"), 3: 5.2})])
    ticks = [float(tick) for tick in re.findall(r">(\d\.\d+)</text>", text)]
    assert len(ticks) > 2 and 4.9 < min(ticks) and max(ticks) < 5.3


def test_the_axis_is_logarithmic_for_a_wide_range_of_positive_values():
    decay = {step: 10.0 ** (3 - step) for step in range(6)}
    assert ">0.01</text>" in svg("log", "step", "loss", [Curve("D", "d", "-", decay)])
    linear = svg("linear", "step", "loss", [Curve("D", "d", "-", {step: -value for step, value in decay.items()})])
    assert ">0.01</text>" not in linear


def test_importing_the_report_loads_no_heavy_packages():
    code = "import sys, gan_jax.reports.report; print([m for m in ('matplotlib', 'PIL', 'sklearn') if m in sys.modules])"
    process = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "[]"


def test_power_spectra_are_drawn(run_dir):
    """From frequency 1 on, on a logarithmic axis; a page without them has no such section."""
    assert "Power spectrum" not in page_of(run_dir)
    path = run_dir / "samples" / "spectrum.json"
    path.write_text(json.dumps({"step": 20, "real": [500, 100, 1, 0.1, 0.01], "generated": [400, 50, 2, 0.3, 0.2]}))
    source = page_of(run_dir)
    label = "Power spectrum over frequency (cycles per shorter side): real from 100 at 1 to 0.0100 at 4; generated from 50"
    assert f'aria-label="{label}' in source and "at step 20" in source
    assert ">100</text>" in source and ">500</text>" not in source
    path.write_text('{"step": 20, "real": [1], "generated": "no"}')
    with pytest.raises(InputError, match=r"spectrum.json is corrupt: expected a step and two lists of numbers"):
        write_report(run_dir)


def test_files_with_one_name_are_one_item(run_dir):
    """A drawing instead of the picture with its name, a table instead of the text of its rows, a sound with its picture."""
    for suffix, content in {
        ".svg": b"<svg><desc>8 &lt; 9 modes</desc></svg>",
        ".csv": b"age,home\n31,own\n,<b>\n",
        ".txt": b"age home\n",
        "-0.wav": b"RIFF....WAVE",
        "-0.png": png(),
    }.items():
        (run_dir / "samples" / f"step-00000020{suffix}").write_bytes(content)
    page = Page(page_of(run_dir))
    images = [attributes["alt"] for tag, attributes in page.tags if tag == "img"]
    assert images[0] == "Samples of digits generated at step 20. 8 < 9 modes"
    assert images[1].startswith("Spectrogram of sound 1")
    assert len(images) == 5  # and real, interpolation and the picture of step 10
    assert "age home" not in page.text and "missing" in page.text and "<b>" in page.text
    assert [tag for tag, _ in page.tags].count("audio") == 1


def test_classes_are_named_over_columns_that_have_only_one(run_dir):
    labels = run_dir / "samples" / "labels.json"
    labels.write_text(
        json.dumps({"step": ["ant", "bee"] * 2, "real": ["ant", "bee", "bee", "ant"], "interpolation": ["x", "x", "y", "y"]})
    )
    source = page_of(run_dir)
    assert source.count("<span>ant</span><span>bee</span>") == 2  # at both steps; real samples are not in columns
    assert source.count("<span>x</span><span>y</span>") == 1
    labels.write_text('{"step": 3}')
    with pytest.raises(InputError, match=r"labels.json is corrupt: expected lists of class names"):
        write_report(run_dir)


def test_sounds_thin_the_series_so_that_the_page_stays_small(run_dir):
    for step in range(10, 110, 10):
        (run_dir / "samples" / f"step-{step:08d}-0.wav").write_bytes(b"RIFF" + bytes(MAX_SERIES_BYTES // 3))
    assert Page(page_of(run_dir)).values("max") == ["1"]
    assert (run_dir / "report.html").stat().st_size < 1.5 * MAX_SERIES_BYTES


def test_the_policy_names_the_digest_of_each_script(run_dir):
    source = page_of(run_dir)
    scripts = re.findall(r"<script>(.*?)</script>", source, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts]
    policy = next(attributes["content"] for tag, attributes in Page(source).tags if "http-equiv" in attributes)
    assert re.findall(r"'sha256-([^']*)'", policy) == digests and "script-src 'unsafe" not in policy
