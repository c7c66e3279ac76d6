"""The pages in a real browser: Debian's Chromium, without a window. They are made from invented run directories."""

import io
import json
import math
import wave
from dataclasses import asdict, replace

import numpy as np
import pytest
from browser import CHROMIUM, Browser
from made_runs import BASE, multi_seed_run

from gan_jax.data.images import pixels
from gan_jax.imaging import vector
from gan_jax.reports.comparison import write_comparison
from gan_jax.reports.report import write_report

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
RANDOM = np.random.RandomState(0)
SCREENS = [(1400, False), (1400, True), (390, False), (390, True)]
LONG_NAME = 'molecules(path="a/long/path/without/any/space/qm9_smiles_and_more/small_molecules_of_a_catalogue.csv")'


def grid(count: int = 100) -> dict[str, bytes]:
    return pixels.show(RANDOM.uniform(-1, 1, (count, 8, 8, 1)))


def sound() -> bytes:
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8_000)
        file.writeframes((3e4 * np.sin(np.arange(2_000) / 3)).astype("<i2").tobytes())
    return out.getvalue()


def drawing() -> dict[str, bytes]:
    return {".svg": vector.document(400, 300, vector.text(10, 20, "a drawing"), "What is drawn")}


def rows() -> bytes:
    head = ",".join(f"a_column_with_a_long_name_{i}" for i in range(15))
    return "\n".join([head, *(",".join(f"{x:.3f}" for x in RANDOM.randn(15)) for _ in range(30)), "," * 14]).encode()


# What a step of each domain leaves in samples/, by the end of the file's name.
DOMAINS = {
    "images": grid,
    "text": lambda: {".txt": b"a line without any end " * 20 + b"\n" + b"x" * 300},
    "speech": lambda: {
        **grid(),
        **{f"-{i}.wav": sound() for i in range(10)},
        **{f"-{i}.png": grid(1)[".png"] for i in range(10)},
    },
    "molecules": lambda: {**drawing(), ".smi": b"CCO\n\n" + b"C" * 200 + b"\n"},
    "tables": lambda: {**drawing(), ".csv": rows(), ".txt": b"the same rows\n"},
    "toys": lambda: {**drawing(), ".png": grid()[".png"]},
}


def made_run(path, domain: str):
    """A run of 200 logged steps with alarms, a small evaluation and three grids."""
    config = asdict(replace(BASE, name=domain, data=LONG_NAME, steps=2_000, eval_samples=200)) | {"a_field": "x" * 200}
    lines = []
    for step in range(10, 2_001, 10):
        line = {"step": step, "seconds": step / 50, "d/loss": 1 + math.sin(step / 50), "g/loss": -1.0 + step / 1000}
        line |= {"d/grad_norm": 1e-6 * step, "g/grad_norm": 1e-7, "doctor/separation": 0.95}
        if step % 200 == 0:
            line |= {"eval/precision": step / 4_000, "eval/precision_real": 0.98, "eval/fid": 1e5 / step, "eval/fid_floor": 2.0}
        lines.append(line)
    facts = {"held_out": 150, "train": 800}
    environment = {"status": "finished", "protocol": facts, "evaluation": "a network " * 20, "checksum": "f" * 64}
    (path / "samples").mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config))
    (path / "environment.json").write_text(json.dumps(environment))
    (path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    for stem in ("real", "interpolation", "step-00000000", "step-00001000", "step-00002000"):
        for suffix, content in DOMAINS[domain]().items():
            (path / "samples" / f"{stem}{suffix}").write_bytes(content)
    labels = [f"class {i}" for i in range(10)] * 10
    named = {"step": labels, "real": labels, "interpolation": sorted(labels)} if domain in ("images", "speech") else {}
    (path / "samples" / "labels.json").write_text(json.dumps(named))
    return path


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pages")
    result = {domain: write_report(made_run(folder / domain, domain)) for domain in DOMAINS}
    scores = {"fd": [1.0, 1.1, 0.9], "precision": [0.5, 0.6, 0.55]}
    changes = [{"loss": "relativistic"}, {"loss": "wasserstein", "penalty": "r1"}, {"loss": "hinge", "g_lr": 0.123456789}]
    runs = [
        multi_seed_run(
            folder / f"run{i}", {name: [x + i for x in values] for name, values in scores.items()}, replace(BASE, **c)
        )
        for i, c in enumerate(changes)
    ]
    result["comparison"] = write_comparison(runs, folder / "comparison")
    result["seeds"] = write_comparison(runs[:1], folder / "seeds")
    return result


@pytest.fixture(scope="module")
def browser():
    with Browser() as opened:
        yield opened


NAMES = [*DOMAINS, "comparison", "seeds"]


@pytest.mark.parametrize("name", NAMES)
def test_pages_load_without_errors_and_fit_the_window(pages, browser, name):
    for width, dark in SCREENS:
        browser.open(pages[name], width, dark=dark)
        assert browser.errors == []
        assert browser.run("document.documentElement.scrollWidth") == width
        # Nothing sticks out, except what scrolls in its own box.
        wide = "[...document.querySelectorAll('body *')].filter(e => !e.closest('.scroll') && !e.closest('svg') && "
        wide += f"e.getBoundingClientRect().right > {width} + 1).map(e => e.outerHTML.slice(0, 80))"
        assert browser.run(wide) == []
        paper = browser.run("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, paper[4:-1].split(","))) < 300) == dark
        assert browser.run("[...document.images].every(i => i.naturalWidth > 0 && i.alt.length > 5)")


@pytest.mark.parametrize("name", ["images", "comparison"])
def test_without_scripts_the_static_drawings_stay(pages, browser, name):
    browser.open(pages[name], scripts=False)
    assert browser.run("document.querySelectorAll('.plot > svg path').length") > 4
    assert browser.run("document.querySelectorAll('.tools, .values').length") == 0


def test_no_other_script_runs(pages, browser, tmp_path):
    """The page's policy names its scripts by their digests, so that what a run wrote cannot run."""
    page = tmp_path / "page.html"
    page.write_text(pages["images"].read_text().replace("</body>", "<script>window.attacked = 1</script></body>"))
    browser.open(page)
    assert browser.run("window.attacked === undefined")
    assert any("Content Security Policy" in error for error in browser.errors)


def centre(browser, selector: str) -> tuple[float, float, float]:
    """Scroll the first element into view; return the position of its centre in the window, and its width."""
    box = f"(() => {{ const e = document.querySelector({selector!r}); e.scrollIntoView({{block: 'center'}}); "
    box += "const b = e.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2, b.width]; })()"
    return browser.run(box)


def shown_values(browser) -> str:
    return browser.run("[...document.querySelectorAll('.values:not([hidden])')].map(e => e.innerText).join('|')")


def test_the_values_under_the_pointer_are_shown(pages, browser):
    browser.open(pages["images"])
    x, y, _ = centre(browser, ".plot > svg")
    browser.mouse("mouseMoved", x, y)
    lines = shown_values(browser).split("\n")
    step = int(lines[0].removeprefix("step ").replace(",", ""))
    assert 500 < step < 1_500 and step % 10 == 0
    d_loss, g_loss = 1 + math.sin(step / 50), -1.0 + step / 1000
    assert [line.split()[0] for line in lines[1:]] == ["D", "G"]
    assert [float(line.split()[1]) for line in lines[1:]] == pytest.approx([d_loss, g_loss], abs=1e-3)
    # The same step is marked in the other charts of the section.
    assert browser.run("document.querySelectorAll('.panels')[0].querySelectorAll('.cursor line').length") > 1


def test_charts_zoom_by_dragging_and_by_keys_together(pages, browser):
    ticks = "[...document.querySelectorAll('.panels')[0].querySelectorAll('svg[role=img]')].map(s => "
    ticks += "[...s.querySelectorAll('text[text-anchor=middle]')].map(t => t.textContent).join())"
    browser.open(pages["images"])
    before = browser.run(ticks)
    x, y, width = centre(browser, ".plot > svg")
    browser.mouse("mousePressed", x - width / 5, y, button="left", clickCount=1)
    browser.mouse("mouseMoved", x + width / 5, y, button="left")
    browser.mouse("mouseReleased", x + width / 5, y, button="left", clickCount=1)
    zoomed = browser.run(ticks)
    assert len(set(zoomed)) == 1 and zoomed[0] != before[0]
    browser.run("document.querySelector('.plot').focus()")
    browser.key("Escape")
    assert browser.run(ticks) == before
    browser.key("+")
    assert browser.run(ticks) != before
    browser.key("Escape")
    browser.key("End")
    assert shown_values(browser).startswith("step 2,000\n")
    browser.key("ArrowLeft")
    assert shown_values(browser).startswith("step 1,990\n")
    assert browser.errors == []


def test_a_constant_curve_has_an_axis(pages, browser):
    """Smoothing a constant leaves differences of rounding, which must not become the range of the axis."""
    browser.open(pages["images"])
    browser.run("(s => { s.value = 0.9; s.oninput(); })(document.querySelector('.smoothing input'))")
    chart = "[...document.querySelectorAll('figure')].find(f => f.innerText.startsWith('Separation'))"
    assert 2 <= browser.run(f"{chart}.querySelectorAll('.axes line').length") <= 10
    assert browser.errors == []


def test_smoothing_is_the_average_with_exponential_weights(pages, browser):
    browser.open(pages["images"])
    browser.run("(s => { s.value = 0.9; s.oninput(); })(document.querySelector('.smoothing input'))")
    browser.run("document.querySelector('.plot').focus()")
    browser.key("End")
    losses = 1 + np.sin(np.arange(10, 2_001, 10) / 50)
    weights = 0.9 ** np.arange(len(losses))[::-1]
    assert float(shown_values(browser).split("\n")[1].split()[1]) == pytest.approx((weights @ losses) / weights.sum(), abs=1e-3)


def test_the_vertical_axis_becomes_logarithmic(pages, browser):
    """Equal ratios have equal heights."""
    browser.open(pages["images"])
    chart = "[...document.querySelectorAll('figure')].find(f => f.innerText.startsWith('Fréchet Inception'))"
    browser.run(f"(b => b.getAttribute('aria-pressed') === 'true' || b.click())({chart}.querySelector('.scale'))")
    place = f"[...{chart}.querySelectorAll('.axes text[text-anchor=end]')].map(t => [t.textContent, +t.getAttribute('y')])"
    heights = {float(text): y for text, y in browser.run(place) if text.isdigit()}
    assert heights[10] - heights[100] == pytest.approx(heights[5] - heights[50], abs=0.1)
    assert heights[10] - heights[100] == pytest.approx((heights[10] - heights[20]) / math.log10(2), abs=0.1)


def test_a_curve_is_hidden_by_its_name(pages, browser):
    browser.open(pages["images"])
    count = "document.querySelector('.plot').querySelectorAll('.line').length"
    assert browser.run(count) == 2
    browser.run("document.querySelector('.entry').click()")
    assert browser.run(count) == 1


@pytest.mark.parametrize("name", DOMAINS)
def test_the_slider_shows_the_samples_of_its_step(pages, browser, name):
    browser.open(pages[name])
    assert browser.run("document.querySelectorAll('#training > figure').length") == 3
    content = "document.querySelector('#stage').innerHTML"
    last = browser.run(content)
    browser.run("document.querySelector('#scrub').focus()")
    browser.key("ArrowLeft")
    browser.run("(s => { s.value = 1; s.oninput(); })(document.querySelector('#scrub'))")
    assert browser.run("document.querySelector('#step').textContent") == "1,000"
    assert name == "text" or browser.run(content) != last
    browser.run("document.querySelectorAll('#training > figure')[2].click()")
    assert browser.run("document.querySelector('#step').textContent") == "2,000"
    assert browser.errors == []


def test_a_picture_opens_enlarged_by_a_click_and_by_a_key(pages, browser):
    browser.open(pages["images"])
    x, y, width = centre(browser, "#stage img")
    for kind in ("mousePressed", "mouseReleased"):
        browser.mouse(kind, x, y, button="left", clickCount=1)
    assert browser.run("document.querySelector('dialog').open")
    assert browser.run("document.querySelector('dialog img').getBoundingClientRect().width") > width
    browser.key("Escape")
    assert not browser.run("document.querySelector('dialog').open")
    browser.run("document.querySelector('#stage img').focus()")
    browser.key("Enter")
    assert browser.run("document.querySelector('dialog').open")


def test_class_names_stand_over_their_columns(pages, browser):
    browser.open(pages["images"])
    heads = "[...document.querySelectorAll('#stage .heads span')].map(e => [e.textContent, e.getBoundingClientRect()])"
    names = browser.run(f"{heads}.map(([name, box]) => [name, box.x + box.width / 2])")
    left, width = browser.run("(b => [b.x, b.width])(document.querySelector('#stage img').getBoundingClientRect())")
    assert [name for name, _ in names] == [f"class {i}" for i in range(10)]
    assert [x for _, x in names] == pytest.approx([left + width * (i + 0.5) / 10 for i in range(10)], abs=4)
    assert browser.run("document.querySelectorAll('.rows.heads span').length") == 10  # the rows of the interpolation


def test_a_sound_has_its_class_its_spectrogram_and_its_length(pages, browser):
    browser.open(pages["speech"])
    sounds = browser.run(
        "[...document.querySelectorAll('#stage .sounds figure')].map(f => [f.innerText, !!f.querySelector('img')])"
    )
    assert len(sounds) == 10
    assert sounds[3][0].split("\n")[0] == "class 3 0.25 s, 0 to 4 kHz" and sounds[3][1]


def test_a_table_is_a_table(pages, browser):
    browser.open(pages["tables"], 390)
    assert browser.run("document.querySelectorAll('#stage thead th').length") == 15
    assert browser.run("document.querySelectorAll('#stage tbody tr').length") == 12
    assert browser.run("(e => e.scrollWidth > e.clientWidth)(document.querySelector('#stage .scroll'))")
    assert "the same rows" not in browser.run("document.body.innerText")


def test_a_box_says_what_means_little_at_this_size(pages, browser):
    browser.open(pages["images"])
    text = browser.run("document.querySelector('.caution').innerText")
    assert "precision: a fraction of 150 samples is uncertain by up to ±0.08" in text  # 1 / sqrt(150)
    assert "fid: 150 samples do not determine the covariance of 2,048 features" in text
