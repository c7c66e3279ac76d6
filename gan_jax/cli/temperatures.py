"""Evaluate text generators at several temperatures, in one table: `gan_jax temperatures MLE_RUN GAN_RUN`.

At a lower temperature, a generator writes better but less varied sentences. Compare quality (bleu, jsd) together with diversity
(nll, self_bleu, distinct), and adversarial training with the maximum-likelihood run that it started from, at every temperature.
The last row holds the metrics of training samples. Also writes a JSON file.

    gan_jax temperatures runs/coco_words_mle-seed0 runs/coco_words_relgan-seed0-fork --metrics bleu,self_bleu
"""

from pathlib import Path

from gan_jax.cli.command import (
    DATA_DIR_HELP,
    NO_CACHE_HELP,
    SAMPLES,
    TRUST_HELP,
    Parser,
    out_file,
    path,
    seed,
    use_cached_programs,
    whole_number,
    write_json,
)
from gan_jax.errors import InputError
from gan_jax.spec.expressions import names_between_commas


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("runs", nargs="+", type=path, metavar="RUN_DIR", help="directories of runs on the same text")
    parser.add_argument("--temperatures", default="1,0.8,0.6", help="comma-separated numbers (default: %(default)s)")
    parser.add_argument("--metrics", default="", help="slower metrics to add: bleu, self_bleu, or both, comma-separated")
    parser.add_argument(
        "--extractor", help="text embedding for a Fréchet distance: path.py:function, from a list of N strings to [N, D]"
    )
    parser.add_argument(
        "--samples", type=whole_number(2, SAMPLES), help="number of samples per run (default: the first run's eval_samples)"
    )
    parser.add_argument("--seed", type=seed, default=0, help="seed of the samples (default: %(default)s)")
    parser.add_argument("--data_dir", help=DATA_DIR_HELP)
    parser.add_argument(
        "--out", type=out_file, default=Path("temperatures.json"), help="JSON file to write (default: %(default)s)"
    )
    parser.add_argument("--no_compilation_cache", action="store_true", help=NO_CACHE_HELP)
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    try:
        temperatures = [float(part) for part in options.temperatures.split(",")]
    except ValueError:
        temperatures = []
    if not temperatures or not all(1e-6 <= temperature <= 1e6 for temperature in temperatures):
        allowed = "comma-separated numbers from 1e-6 to 1e6"
        raise InputError(f"--temperatures must be {allowed}, got {options.temperatures!r}")
    # Imported here so that --help does not load JAX.
    from gan_jax.data.dataset import Protocol
    from gan_jax.evaluation.temperatures import measure_runs, table
    from gan_jax.runs import trust

    if options.trust:
        trust.accept_all()
    use_cached_programs(not options.no_compilation_cache)
    protocol = Protocol(options.extractor, names_between_commas(options.metrics))
    rows = measure_runs(options.runs, temperatures, protocol, options.samples, options.seed, options.data_dir)
    write_json(options.out, rows)
    print(table(rows), f"written to {options.out}", sep="\n")
