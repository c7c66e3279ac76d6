"""Run directories with invented results, and the parsed page of their comparison."""

import io
import json
from dataclasses import asdict
from html.parser import HTMLParser

from gan_jax.config import Config
from gan_jax.reports.comparison import write_comparison

ATTACK = "<script>alert('x')</script>"
BASE = Config(name="toy", data="two_moons", loss="hinge", steps=20)


def png(level: int) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.new("L", (6, 4), level).save(out, "PNG")
    return out.getvalue()


def single_seed_run(path, scores, config=BASE, environment=None, upto=20):
    """A run of one seed: `scores` {metric: last value}, logged at steps 10 and `upto`."""
    rows = [{"step": step, "d/loss": 1.0, "seconds": step / 2} for step in (10, upto)]
    rows[-1] |= {f"eval/{name}": value for name, value in scores.items()}
    write(path, config, {"status": "finished"} | (environment or {}), rows, {f"step-{upto:08d}.png": config.seed + 1})
    return path


def multi_seed_run(path, scores, config=BASE, broken=None, upto=20, environment=None):
    """A run of several seeds: `scores` {metric: value of each seed}; `broken` {seed: step}, evaluated at 10 but not after."""
    broken = broken or {}
    count = len(next(iter(scores.values())))
    rows = []
    for step in (10, upto):
        for seed in range(count):
            if seed not in broken or step <= broken[seed]:
                line = {"step": step, "seed": seed, "d/loss": 1.0}
                rows.append(line | {f"eval/{name}": values[seed] for name, values in scores.items()} | {"seconds": step / 2})
            elif step == upto:
                rows.append({"step": broken[seed], "seed": seed, "broken": "g/loss is nan", "seconds": step / 2})
    pictures = {f"step-{10 if seed in broken else upto:08d}-seed{seed}.png": 10 + seed for seed in range(count)}
    write(path, config, {"seeds": list(range(count)), "status": "finished"} | (environment or {}), rows, pictures)
    return path


def write(path, config, environment, rows, pictures):
    (path / "samples").mkdir(parents=True)
    (path / "config.json").write_text(json.dumps(config if isinstance(config, dict) else asdict(config)))
    (path / "environment.json").write_text(json.dumps(environment))
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, level in {"real.png": 99, **pictures}.items():
        (path / "samples" / name).write_bytes(png(level))


class Page(HTMLParser):
    """The page's tags with their attributes, its text, bold cells, table rows and <pre> elements."""

    def __init__(self, source: str):
        super().__init__()
        self.tags, self.text, self.bold, self.rows, self.pre, self._open = [], "", [], [], [], []
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        if tag in ("th", "td"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data):
        self.text += data
        if "pre" in self._open:
            self.pre.append(data)
        if "td" in self._open or "th" in self._open:
            self.rows[-1][-1] += data
            if "b" in self._open:
                self.bold.append(data)

    def values(self, attribute):
        return [attributes[attribute] for _, attributes in self.tags if attribute in attributes]


def compare(out, *run_dirs) -> tuple[Page, dict]:
    path = write_comparison(list(run_dirs), out)
    assert path == out / "comparison.html"

    def refuse(constant):
        raise AssertionError(f"{constant} is not valid JSON")

    return Page(path.read_text()), json.loads((out / "comparison.json").read_text(), parse_constant=refuse)
