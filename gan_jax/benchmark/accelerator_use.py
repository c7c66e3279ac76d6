"""An evaluation and a training on an accelerator: parts of `gan_jax benchmark --accelerator`."""

import shutil
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np

from gan_jax.benchmark.accelerator import Task, describe, games
from gan_jax.benchmark.product import random_data
from gan_jax.config import Config, load_recipe
from gan_jax.data.dataset import Protocol
from gan_jax.errors import RunError
from gan_jax.evaluation.evaluate import evaluate_run
from gan_jax.evaluation.sample import latents, sampler
from gan_jax.game.build import build
from gan_jax.game.state import init_state
from gan_jax.metrics.features.inception import Inception, extractor
from gan_jax.metrics.features.inception_tensors import in_names_of_pytorch_fid, network_digest
from gan_jax.metrics.frechet import frechet_distance
from gan_jax.storage.log import read_log
from gan_jax.storage.tensor_files import load_tensors
from gan_jax.training.train import train

MEASURING = 120  # seconds at most for 50,000 samples and all training images in the Inception network
RECIPE = "images/cifar10_sngan"


def evaluation(task: Task) -> None:
    """Samples of SNGAN's generator, their features in the Inception network, and a Frechet distance: seconds of each."""
    case, count = games(task.smoke)["sngan"], 40 if task.smoke else 50_000
    game = build(case.config, random_data(case.shape, case.num_classes, case.config.batch))
    ema = jax.jit(lambda key: init_state(game, key).ema)(jax.random.key(0))
    network, weights = inception(task)
    results: dict[str, Any] = {"images": count, "generator": describe(case), "weights": weights}
    z, sample = np.asarray(latents(game, jax.random.key(1), count)), sampler(game)

    def timed(name: str, function: Callable[[int], Any]) -> Any:
        """Process all images, after two that compile the program."""
        function(2)
        start = time.perf_counter()
        value = function(count)
        results[f"{name}_seconds"] = time.perf_counter() - start
        task.record(results)
        return value

    images = timed("sampling", lambda n: sample(ema, z[:n], None))
    features, _ = timed("features", lambda n: network(images[:n]))
    first, second = features[: count // 2, :], features[count // 2 :, :]
    dimension = 16 if task.smoke else features.shape[1]
    start = time.perf_counter()
    results["distance"] = frechet_distance(first[:, :dimension], second[:, :dimension])
    results["distance_seconds"] = time.perf_counter() - start
    task.record(results)


def inception(task: Task) -> tuple[Callable, str]:
    """The features of the Inception network, and the name of its weights: random ones, enough for timing, without a file."""
    if task.inception is not None:
        tensors = in_names_of_pytorch_fid(load_tensors(task.inception))
        network = extractor(tensors, task.inception, network_digest(tensors))
        return network.features, network.name
    images = jax.ShapeDtypeStruct((1, 299, 299, 3), np.float32)
    abstract = jax.eval_shape(Inception().init, jax.random.key(0), images)["params"]
    random = np.random.default_rng(0)

    def layer(name: str, kernel: tuple[int, ...]) -> dict[str, np.ndarray]:
        """A convolution [H, W, C_in, C_out] and its batch norm as in PyTorch."""
        weight = random.standard_normal(kernel, np.float32) * np.float32(np.sqrt(2 / np.prod(kernel[:3])))
        zeros, ones = np.zeros(kernel[3], np.float32), np.ones(kernel[3], np.float32)
        norm = {"weight": ones, "bias": zeros, "running_mean": zeros, "running_var": ones}
        return {f"{name}.conv.weight": weight.transpose(3, 2, 0, 1)} | {f"{name}.bn.{key}": x for key, x in norm.items()}

    inputs, classes = abstract.pop("fc")["kernel"].shape
    tensors = {"fc.weight": np.zeros((classes, inputs), np.float32), "fc.bias": np.zeros(classes, np.float32)}
    for name, params in abstract.items():
        tensors |= layer(name, params["kernel"].shape)
    return extractor(tensors, Path("random"), "random").features, "random, for timing only"


def training(task: Task) -> None:
    """Train SNGAN on CIFAR-10 for the time that is left; keep its log and its last samples. With the weights of the Inception
    network, a part of that time is for the FID of the last checkpoint, by the protocol of the papers."""
    if task.data is None and not task.smoke:
        task.record({"note": "no --data"})
        return
    config = training_config(task)
    run_dir = task.scratch / "sngan"
    left = task.seconds_left()
    with interrupted_after(left if task.inception is None else left - min(MEASURING, left / 3)):
        try:
            train(config, run_dir)
            status = "finished"
        except RunError as error:
            status = str(error)
    lines = read_log(run_dir / "metrics.jsonl").lines
    pace = [line for line in lines if "seconds" in line][-11:]
    rate = (pace[-1]["step"] - pace[0]["step"]) / (pace[-1]["seconds"] - pace[0]["seconds"]) if len(pace) > 1 else None
    evaluations = [line for line in lines if any(name.startswith("eval/") for name in line)]
    record = {"status": status, "steps_per_second": rate, "last": lines[-1:], "evaluations": evaluations}
    task.record(record)
    shutil.copy(run_dir / "metrics.jsonl", task.out / "training_metrics.jsonl")
    for picture in sorted((run_dir / "samples").glob("step-*.png"))[-1:]:
        shutil.copy(picture, task.out / "training_samples.png")
    if task.inception is not None:
        protocol = Protocol(extractor=fid_network(task), metrics=("fid50_full" if task.smoke else "fid50k_full",))
        result = evaluate_run(run_dir, protocol)
        task.record(record | {"protocol": result["metrics"] | result["facts"]})


def fid_network(task: Task) -> str:
    return f'inception(weights="{task.inception}")'


def training_config(task: Task) -> Config:
    """The recipe, evaluated often enough for a training of minutes."""
    often = {"log_every": 100, "eval_every": 1_000, "save_every": 1_000, "eval_samples": 10_000}
    if task.inception is not None:
        often["extractor"] = fid_network(task)
    config = replace(load_recipe(RECIPE), data=f"mirrored:{task.data or noise(task.scratch / 'noise.npz')}", devices=1, **often)
    if not task.smoke:
        return config
    tiny = {"g_width": 4, "d_width": 4, "batch": 8, "d_steps": 1, "eval_samples": 50, "extractor": "random"}
    return replace(config, **tiny, steps=4, log_every=1, eval_every=4, save_every=4)


def noise(path: Path) -> Path:
    """Write images of noise, for a smoke run."""
    random = np.random.RandomState(0)
    np.savez(path, images=random.randint(0, 256, (300, 32, 32, 3), np.uint8), labels=random.randint(0, 10, 300))
    return path


@contextmanager
def interrupted_after(seconds: float) -> Iterator[None]:
    """Interrupt this process, as Ctrl-C does, after `seconds`."""
    timer = threading.Timer(seconds, signal.raise_signal, [signal.SIGINT])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
