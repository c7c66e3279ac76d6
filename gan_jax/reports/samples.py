"""The samples on the page of one run: real next to generated ones, with a slider over training."""

import re
from html import escape
from pathlib import Path

from gan_jax.reports.formatting import plain_text
from gan_jax.reports.html import figure, section
from gan_jax.reports.media import Shown, count_pictures, embed, media_files, read_labels

MAX_GRIDS = 20  # maximum number of grids in the series over training, evenly spread
MAX_SERIES_BYTES = 6_000_000  # of the files of the series, so that a page with sounds can still be sent by mail


def samples_section(run_dir: Path, config: dict) -> str:
    """The last grid next to the real samples, any other files in samples/, and the series of grids over training."""
    groups: dict[str, list[Path]] = {}
    for path in media_files(run_dir):
        groups.setdefault(re.match(r"step-\d+|[^-]*", path.stem)[0], []).append(path)
    labels, data = read_labels(run_dir), plain_text(config.get("data", ""))
    steps = sorted(name for name in groups if name.startswith("step-"))
    picks = _picks(steps, groups)
    numbers = {name: f"{int(name[5:]):,}" for name in picks}

    def shown(name: str) -> str:
        if name in numbers:
            about = Shown(f"Samples of {data} generated at step {numbers[name]}", labels.get("step", ()))
        elif name == "real":
            about = Shown(f"Real samples of {data}", labels.get(name, ()))
        elif name == "interpolation":
            about = Shown(f"Samples of {data} along paths between latents", labels.get(name, ()))
        else:
            about = Shown(f"{name}, samples of {data}")
        return embed(groups[name], about)

    def is_wide(name: str) -> str:
        """Drawings that are made for the whole width of the page, and sounds."""
        return "full" if {path.suffix for path in groups[name]} & {".csv", ".smi", ".wav"} else ""

    body = ""
    if picks:
        caption = f'Generated, step <span id="step">{numbers[picks[-1]]}</span>'
        slider = f'<input id="scrub" type="range" max="{len(picks) - 1}" value="{len(picks) - 1}" aria-label="step" hidden>'
        body += figure(f'<div id="stage">{shown(picks[-1])}</div>', caption + slider, is_wide(picks[-1]))
    captions = {"real": f"Real: {escape(data)}", "interpolation": "From one latent to another, a pair in each row"}
    for name in sorted(groups.keys() - set(steps), key=lambda name: (name != "real", name)):
        body += figure(shown(name), captions.get(name, escape(name)), is_wide(name))
    if len(picks) > 1:
        css_class = "full thumbs" if all(count_pictures(groups[name]) == 1 for name in picks) else "full"
        cells = "".join(figure(shown(name), numbers[name]) for name in picks[:-1])  # samples.js adds the last one
        selection = f"; {len(picks)} of {len(steps)} steps are shown" if len(picks) < len(steps) else ""
        body += figure(f'<div id="training">{cells}</div>', f"The same latents at each step of training{selection}", css_class)
    return section("Samples", body and f'<div class="pair">{body}</div>')


def _picks(steps: list[str], groups: dict[str, list[Path]]) -> list[str]:
    """The steps whose samples are shown, evenly spread from the first to the last."""
    if len(steps) < 2:
        return steps
    size = max(1, sum(path.stat().st_size for path in groups[steps[-1]]))
    count = min(len(steps), MAX_GRIDS, max(2, MAX_SERIES_BYTES // size))
    return [steps[round(i * (len(steps) - 1) / (count - 1))] for i in range(count)]
