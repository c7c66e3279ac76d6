"""Measure a run's generator: `python experiments/evaluate.py RUN_DIR`.

Or one set of samples against another: `python experiments/evaluate.py FAKE REAL`, each an .npz, a folder of images, or any
other name that --data takes. Prints a table, each metric with its standard error and beside the same measurement of real
samples, and writes a JSON file that also says what it was measured on.
"""

from pathlib import Path

from gan_jax.cli.command import Parser, out_file, seed, write_json
from gan_jax.errors import unknown
from gan_jax.spec.expressions import names_between_commas


def main() -> None:
    parser = Parser(description=__doc__, allow_abbrev=False)
    parser.add_argument("fake", help="a run directory; or generated samples, where REAL is given")
    parser.add_argument("real", nargs="?", help="real samples")
    parser.add_argument("--metrics", default="", help="names between commas, or all (default: those that take seconds)")
    parser.add_argument("--extractor", help="classifier, random, inception, dinov2, or path.py:function (default: by the data)")
    parser.add_argument("--errors", choices=("yes", "no"), default="yes", help="standard errors, at ten times the cost")
    parser.add_argument("--samples", type=int, help="generated samples of a run to measure (default: its eval_samples)")
    parser.add_argument("--seed", type=seed, default=0, help="seeds their latents (default: %(default)s)")
    parser.add_argument("--step", type=int, help="which checkpoint (default: the newest)")
    parser.add_argument("--generator", default="average", help="average or raw (default: %(default)s)")
    parser.add_argument("--ema", type=float, help="relative width of an average made afterwards, .01 to .28 (--posthoc_ema)")
    parser.add_argument("--doctor", action="store_true", help="only say what ails the run, from its log, with a remedy to try")
    parser.add_argument("--standing_statistics", type=int, help="takes batch norm's statistics anew, over so many batches")
    parser.add_argument("--data_dir", help="where tfds: data lies (default: $GAN_JAX_DATA)")
    parser.add_argument("--out", type=out_file, help="the JSON file (default: RUN_DIR/evaluation.json, or evaluation.json)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    # Not earlier: --help need not wait for JAX.
    from gan_jax.data.dataset import Protocol
    from gan_jax.evaluation.evaluate import GENERATORS, diagnose_run, evaluate_run, evaluate_samples, table

    if options.generator not in GENERATORS:
        raise unknown("generator", options.generator, GENERATORS)
    if options.doctor:
        print(diagnose_run(Path(options.fake)))
        return
    metrics = names_between_commas(options.metrics)
    protocol = Protocol(options.extractor, metrics, errors=options.errors == "yes")
    if options.real:
        out = options.out or Path("evaluation.json")
        result = evaluate_samples(options.fake, options.real, protocol, options.data_dir)
    else:
        out = options.out or Path(options.fake) / "evaluation.json"
        asked = (options.samples, options.seed, options.data_dir, options.step, options.generator, options.ema)
        asked += (options.standing_statistics,)
        result = evaluate_run(Path(options.fake), protocol, *asked)
    write_json(out, result)
    print(table(result), f"written to {out}", sep="\n")
