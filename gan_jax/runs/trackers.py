"""TensorBoard and Weights & Biases, which follow a run: the lines of metrics.jsonl, the grids of samples and the config.

metrics.jsonl remains the record; a tracker receives each of its lines once, whenever the run is stopped and resumed. One that
fails is dropped with a warning, and the training continues."""

import importlib
import io
import json
import os
import re
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from gan_jax.config import Config
from gan_jax.errors import InputError, reason, unknown
from gan_jax.game.sweep import suffix
from gan_jax.storage.files import write_atomically

PACKAGES = {"tensorboard": "tensorboardX", "wandb": "wandb"}
_GRID = re.compile(r"step-(\d+)(.*)|(real)")


class Writer(Protocol):
    """Writes one run of a tracker. `last` is the newest step that an earlier start has written; -1 if there is none."""

    last: int

    def write(self, step: int, values: dict[str, float], pictures: dict[str, bytes], seconds: float) -> None:
        """Write the values and pictures (PNG) of a step, by name; `seconds` of training have passed."""

    def close(self) -> None: ...


class TensorBoard:
    """Event files in RUN_DIR/tensorboard. They are written anew at each start, from metrics.jsonl and samples/: so no step
    occurs twice, and a run that was not followed from the beginning is complete nevertheless."""

    last = -1

    def __init__(self, run_dir: Path, member: str, config: Config):
        from tensorboardX import SummaryWriter

        folder = run_dir / "tensorboard" / member
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
        # A TensorBoard that shows this directory discards the steps it has read from the files of an earlier start.
        self._writer = SummaryWriter(str(folder), purge_step=0)
        self._writer.add_text("config", f"```\n{json.dumps(asdict(config), indent=2)}\n```", 0)
        self._start: float | None = None

    def write(self, step: int, values: dict[str, float], pictures: dict[str, bytes], seconds: float) -> None:
        from PIL import Image

        self._start = time.time() - seconds if self._start is None else self._start
        for name, value in values.items():
            self._writer.add_scalar(name, value, step, walltime=self._start + seconds)
        for name, content in pictures.items():
            picture = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))
            self._writer.add_image(name, picture, step, walltime=self._start + seconds, dataformats="HWC")
        self._writer.flush()

    def close(self) -> None:
        self._writer.close()


class WeightsAndBiases:
    """A run of W&B, online or offline as WANDB_MODE and its settings say. RUN_DIR/wandb.json holds its id, with which a resumed
    run continues it, and the newest step that was sent: steps that are repeated after an interruption, with the same values,
    are not sent again."""

    def __init__(self, run_dir: Path, member: str, config: Config):
        import wandb

        self._file, self._member = run_dir / "wandb.json", member
        sent = self._sent().get(member, {})
        self.last, self._id = sent.get("step", -1), sent.get("id", secrets.token_hex(4))
        name = "-".join(filter(None, (run_dir.resolve().name, member)))
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "gan_jax"),
            id=self._id,
            name=name,
            group=run_dir.resolve().name if member else None,
            config=asdict(config),
            dir=str(run_dir),
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(silent=True, console="off"),
        )

    def write(self, step: int, values: dict[str, float], pictures: dict[str, bytes], seconds: float) -> None:
        import wandb
        from PIL import Image

        images = {name: wandb.Image(Image.open(io.BytesIO(content))) for name, content in pictures.items()}
        self.last = step
        write_atomically(self._file, json.dumps(self._sent() | {self._member: {"id": self._id, "step": step}}).encode())
        self._run.log(values | images | {"seconds": seconds}, step=step, commit=True)

    def _sent(self) -> dict[str, dict[str, Any]]:
        try:
            sent = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return {}
        return sent if isinstance(sent, dict) else {}

    def close(self) -> None:
        self._run.finish()


WRITERS: dict[str, Callable[[Path, str, Config], Writer]] = {"tensorboard": TensorBoard, "wandb": WeightsAndBiases}


def check_trackers(names: Sequence[str]) -> None:
    """Raise InputError for a tracker that is unknown, not installed or not logged in."""
    for name in names:
        if name not in WRITERS:
            raise unknown("--log", name, WRITERS)
        try:
            module = importlib.import_module(PACKAGES[name])
        except ImportError as error:
            raise InputError(f"--log {name} needs a package: pip install 'gan_jax[{name}]' ({error})") from error
        if name == "wandb":
            try:
                online = module.setup().settings.mode not in ("offline", "disabled", "dryrun")
                _ = module.Api().api_key if online else None
            except Exception as error:
                hint = "run `wandb login`, or set WANDB_MODE=offline and send the run later with `wandb sync`"
                raise InputError(f"--log wandb: {reason(error)} {hint}") from error


class _Picture(NamedTuple):
    step: int
    member: str
    name: str
    content: bytes


class Trackers:
    """The trackers of a run, each with a writer for every member of the run (a seed, or a combination of a sweep)."""

    def __init__(self, names: Sequence[str], run_dir: Path, config: Config, say: Callable[[str], None]):
        self._run_dir, self._config, self._say = run_dir, config, say
        self._writers: dict[str, dict[str, Writer]] = {name: {} for name in dict.fromkeys(names)}
        self._pictures: list[_Picture] = []  # drawn, but their step is not logged yet

    def begin(self, lines: Sequence[dict[str, Any]]) -> None:
        """Follow a run whose log holds `lines`: what a tracker lacks of them is written to it."""
        last = lines[-1]["step"] if lines else -1
        for path in sorted((self._run_dir / "samples").glob("*.png")):
            if (picture := _grid(path.stem, path.read_bytes())) and picture.step <= last:
                self._pictures.append(picture)
        for line in lines:
            self.log(line)

    def log(self, line: dict[str, Any]) -> None:
        """Write a line of metrics.jsonl, and the pictures up to its step."""
        names = {name: value for name, value in line.items() if "/" not in name and name not in ("step", "seconds", "broken")}
        values = {name: value for name, value in line.items() if "/" in name}
        member, step, seconds = suffix(names).removeprefix("-"), line["step"], line.get("seconds", 0.0)
        due = [picture for picture in self._pictures if picture.step <= step and picture.member in (member, "")]
        self._pictures = [picture for picture in self._pictures if picture not in due]
        for earlier in sorted({picture.step for picture in due} - {step}):
            self._write(member, earlier, {}, _of_step(due, earlier), seconds)
        self._write(member, step, values, _of_step(due, step), seconds)

    def show(self, stem: str, files: dict[str, bytes]) -> None:
        """Keep a grid of samples, a file of samples/, until its step is logged."""
        if (content := files.get(".png")) and (picture := _grid(stem, content)):
            self._pictures.append(picture)

    def close(self) -> None:
        for name, writers in self._writers.items():
            for writer in writers.values():
                self._guard(name, writer.close)

    def _write(self, member: str, step: int, values: dict[str, float], pictures: dict[str, bytes], seconds: float) -> None:
        for name in list(self._writers):
            writers = self._writers[name]
            if member not in writers:
                self._guard(name, lambda n=name, w=writers: w.update({member: WRITERS[n](self._run_dir, member, self._config)}))
            if member in writers and step > writers[member].last:
                self._guard(name, lambda w=writers: w[member].write(step, values, pictures, seconds))

    def _guard(self, name: str, action: Callable[[], None]) -> None:
        """A tracker must not stop a training: without a network, or on a full disk, it is dropped."""
        try:
            action()
        except Exception as error:
            self._say(f"warning: --log {name} has stopped: {reason(error)}; metrics.jsonl continues")
            self._writers = {other: writers for other, writers in self._writers.items() if other != name}


def _grid(stem: str, content: bytes) -> _Picture | None:
    """The picture of a file of samples/, if it is a grid of a step or of real samples."""
    match = _GRID.fullmatch(stem)
    if match is None:
        return None
    if match[3]:
        return _Picture(0, "", "real", content)
    return _Picture(int(match[1]), match[2].removeprefix("-"), "samples", content)


def _of_step(pictures: Sequence[_Picture], step: int) -> dict[str, bytes]:
    return {picture.name: picture.content for picture in pictures if picture.step == step}
