"""Text of several runs at several temperatures, in one table: `python experiments/temperatures.py MLE_RUN GAN_RUN`.

A generator that is sharpened writes better sentences and fewer kinds of them: read quality (bleu, jsd) beside variety (nll,
self_bleu, distinct), and adversarial training beside the run of maximum likelihood it began with, at every temperature. The
last row is that of training samples. Writes a JSON file too.

    python experiments/temperatures.py runs/coco_words_mle-seed0 runs/coco_words_relgan-seed0 --metrics bleu,self_bleu
"""

from pathlib import Path

from gan_jax.cli.command import Parser, out_file, seed, write_json
from gan_jax.errors import InputError
from gan_jax.spec.expressions import names_between_commas


def main() -> None:
    parser = Parser(description=__doc__, allow_abbrev=False)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN_DIR", help="runs on the same text")
    parser.add_argument("--temperatures", default="1,0.8,0.6", help="numbers between commas (default: %(default)s)")
    parser.add_argument("--metrics", default="", help="bleu, self_bleu or both, between commas; they take longer")
    parser.add_argument("--extractor", help="an embedding of texts for a Fréchet distance, path.py:function: [str] -> [N, D]")
    parser.add_argument("--samples", type=int, help="generated samples each (default: the first run's eval_samples)")
    parser.add_argument("--seed", type=seed, default=0, help="seeds what is drawn (default: %(default)s)")
    parser.add_argument("--data_dir", help="where the text lies (default: $GAN_JAX_DATA)")
    parser.add_argument("--out", type=out_file, default=Path("temperatures.json"), help="the JSON file (default: %(default)s)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    try:
        temperatures = [float(part) for part in options.temperatures.split(",")]
    except ValueError as error:
        raise InputError(f"--temperatures must be numbers between commas, got {options.temperatures!r}") from error
    # Not earlier: --help need not wait for JAX.
    from gan_jax.data.dataset import Protocol
    from gan_jax.evaluation.temperatures import measure_runs, table

    protocol = Protocol(options.extractor, names_between_commas(options.metrics))
    rows = measure_runs(options.runs, temperatures, protocol, options.samples, options.seed, options.data_dir)
    write_json(options.out, rows)
    print(table(rows), f"written to {options.out}", sep="\n")
