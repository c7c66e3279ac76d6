"""Evaluate a run's generator: `gan_jax evaluate RUN_DIR`.

Or evaluate one set of samples against another: `gan_jax evaluate FAKE REAL`, where each is an .npz, a folder or
zip of images, or any other name that --data accepts. FAKE is compared with all images of REAL, as the names of metrics say:
`fd_all`, or `fid_all` in Inception's features. Prints a table with each metric, its standard error, and the same metric of real
samples; writes a JSON file that also records the protocol.

The default metrics take seconds. Among them, `fd` is not FID: its features are those of a small classifier of the data's own
classes. `--metrics fid50k_full` is a published protocol of metrics/protocols.py, which also determines the number of samples.
With fewer samples it is called `fid10k_full`, for example, and against the test images `fid10k_test`. Other protocols are
kid50k_full, pr50k3_full, is50k, studiogan_fid50k_full, studiogan_is50k, clean_fid50k_full and fd_dinov2_50k_full.

REAL may also be a file of statistics, the mean and covariance of real features: an .npz with mu and sigma, as pytorch-fid,
clean-fid and EDM write it, or a .pkl of StyleGAN or EDM2. Then FAKE may be samples or a run, and only its Frechet distance is
measured. `gan_jax evaluate DATA --save_statistics FILE.npz` writes such a file.
"""

import argparse
from dataclasses import replace
from pathlib import Path

from gan_jax.cli.command import (
    DATA_DIR_HELP,
    EMA_HELP,
    NO_CACHE_HELP,
    SAMPLES,
    STANDING_HELP,
    TRUST_HELP,
    Parser,
    out_file,
    path_of,
    seed,
    use_cached_programs,
    whole_number,
    write_json,
)
from gan_jax.errors import InputError, unknown
from gan_jax.spec.expressions import names_between_commas


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("fake", help="a run directory; or generated samples, if REAL is given")
    parser.add_argument("real", nargs="?", help="real samples to compare with")
    parser.add_argument(
        "--metrics",
        default="",
        help="comma-separated names of metrics, or of protocols such as fid10k_test; all means every metric, no protocol "
        "(default: the fast ones, which take seconds)",
    )
    parser.add_argument(
        "--extractor",
        help="feature extractor: classifier, random, inception, dinov2, resnet50, swav, clip, vgg16, or path.py:function "
        "(default: depends on the data)",
    )
    parser.add_argument(
        "--errors", choices=("yes", "no"), default="yes", help="estimate standard errors, at ten times the cost (default: yes)"
    )
    parser.add_argument(
        "--samples",
        type=whole_number(2, SAMPLES),
        help="number of samples to generate (default: what the protocols in --metrics need, else the run's eval_samples)",
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed of the latents (default: %(default)s)")
    parser.add_argument("--step", type=whole_number(0, 2**31 - 1), help="step of the checkpoint (default: the newest)")
    parser.add_argument(
        "--generator", default="average", help="average or raw: the averaged weights or the trained ones (default: %(default)s)"
    )
    parser.add_argument("--ema", type=float, help=EMA_HELP)
    parser.add_argument(
        "--doctor", action="store_true", help="only diagnose the run from its log, and suggest a remedy for each problem"
    )
    parser.add_argument("--standing_statistics", type=whole_number(1, 10**6), metavar="BATCHES", help=STANDING_HELP)
    parser.add_argument(
        "--path_length",
        type=whole_number(2, SAMPLES),
        metavar="PAIRS",
        help="add the path length of a run over this many pairs of latents (images)",
    )
    parser.add_argument("--data_dir", help=DATA_DIR_HELP)
    parser.add_argument(
        "--out", type=out_file, help="JSON file to write (default: RUN_DIR/evaluation.json, or evaluation.json for FAKE REAL)"
    )
    parser.add_argument(
        "--save_statistics",
        type=out_file,
        metavar="FILE.npz",
        help="only write the mean and covariance of the features of FAKE, here real images; default of --extractor: inception",
    )
    parser.add_argument(
        "--split",
        choices=("whole", "train", "test"),
        default="whole",
        help="images that --save_statistics uses (default: %(default)s)",
    )
    parser.add_argument("--no_compilation_cache", action="store_true", help=NO_CACHE_HELP)
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    # Imported here so that --help does not load JAX.
    from gan_jax.data.dataset import Protocol
    from gan_jax.evaluation.evaluate import GENERATORS, diagnose_run, evaluate_run, evaluate_samples, table
    from gan_jax.runs import trust
    from gan_jax.storage.statistics import is_statistics

    if options.trust:
        trust.accept_all()
    if options.generator not in GENERATORS:
        raise unknown("generator", options.generator, GENERATORS)
    if options.doctor:
        print(diagnose_run(path_of("RUN_DIR", options.fake)))
        return
    use_cached_programs(not options.no_compilation_cache)
    metrics = names_between_commas(options.metrics)
    protocol = Protocol(options.extractor, metrics, errors=options.errors == "yes")
    if options.save_statistics:
        _save_statistics(options)
        return
    if options.real and is_statistics(reference := path_of("REAL", options.real)):
        if metrics:
            raise InputError(f"--metrics does not apply: {reference} holds statistics, which allow only a Frechet distance")
        protocol = replace(protocol, statistics=reference)
    is_run = not options.real or (protocol.statistics and (Path(options.fake) / "config.json").is_file())
    if not is_run:
        out = options.out or Path("evaluation.json")
        result = evaluate_samples(options.fake, options.real, protocol, options.data_dir)
    else:
        out = options.out or path_of("RUN_DIR", options.fake) / "evaluation.json"
        result = evaluate_run(
            path_of("RUN_DIR", options.fake),
            protocol,
            options.samples,
            options.seed,
            options.data_dir,
            options.step,
            options.generator,
            options.ema,
            options.standing_statistics,
            options.path_length,
        )
    write_json(out, result)
    print(table(result), f"written to {out}", sep="\n")


def _save_statistics(options: argparse.Namespace) -> None:
    from gan_jax.data.images import statistics
    from gan_jax.data.load import load

    if options.real:
        raise InputError("--save_statistics takes one set of images: omit REAL")
    if options.save_statistics.suffix != ".npz":
        raise InputError(f"--save_statistics must name an .npz file, got {options.save_statistics}")
    data = load(options.fake, 0, 1, options.data_dir)
    print(statistics.save(data, options.split, options.extractor, options.save_statistics))
    print(f"written to {options.save_statistics}")
