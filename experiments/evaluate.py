"""Measure a run's averaged generator: `python experiments/evaluate.py RUN_DIR`.

Or one set of samples against another: `python experiments/evaluate.py FAKE REAL`, each an .npz, a folder of images, or any
other name that --data takes. Prints a table, each metric beside the same measurement of real samples, and a JSON file.
"""

import json
from pathlib import Path

from gan_jax.command import Parser, command


def main() -> None:
    parser = Parser(description=__doc__, allow_abbrev=False)
    parser.add_argument("fake", help="a run directory; or generated samples, where REAL is given")
    parser.add_argument("real", nargs="?", help="real samples")
    parser.add_argument("--samples", type=int, help="generated samples of a run to measure (default: its eval_samples)")
    parser.add_argument("--seed", type=int, default=0, help="seeds their latents (default: %(default)s)")
    parser.add_argument("--ema", type=float, help="relative width of an average made afterwards, .01 to .28 (--posthoc_ema)")
    parser.add_argument("--data_dir", help="where tfds: data lies (default: $GAN_JAX_DATA)")
    parser.add_argument("--out", type=Path, help="the JSON file (default: RUN_DIR/evaluation.json, or evaluation.json)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    # Not earlier: --help need not wait for JAX.
    from gan_jax.evaluate import evaluate_run, evaluate_samples, table

    if options.real:
        out = options.out or Path("evaluation.json")
        result = evaluate_samples(options.fake, options.real, options.data_dir)
    else:
        out = options.out or Path(options.fake) / "evaluation.json"
        result = evaluate_run(Path(options.fake), options.samples, options.seed, options.data_dir, options.ema)
    out.write_text(json.dumps(result, indent=2) + "\n")
    print(table(result), f"written to {out}", sep="\n")


if __name__ == "__main__":
    command(main)
