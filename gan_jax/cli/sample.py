"""Samples of a run's averaged generator: `python experiments/sample.py RUN_DIR`.

Writes a grid (of a conditional generator a class a column), an interpolation between latents, and an .npz with the samples (as
stored in the data: uint8 for images), their latents and labels. Or, with --view, one of the views of gan_jax/evaluation/views.py:
interpolation, truncation, mixing, classes, neighbours, projection, walk.
"""

from pathlib import Path

from gan_jax.cli.command import Parser, seed
from gan_jax.errors import InputError


def main() -> None:
    parser = Parser(description=__doc__, allow_abbrev=False)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--samples", type=int, default=1_000, help="how many go into the .npz (default: %(default)s)")
    parser.add_argument(
        "--view", help="look at latents instead: NAME, or NAME(key=value) for its options, as in 'walk(seconds=9)'"
    )
    parser.add_argument("--seed", type=seed, default=0, help="seeds the latents (default: %(default)s)")
    parser.add_argument("--label", help="of a conditional generator: a class, or numbers between commas (default: all classes)")
    parser.add_argument("--ema", type=float, help="relative width of an average made afterwards, .01 to .28 (--posthoc_ema)")
    parser.add_argument("--standing_statistics", type=int, help="takes batch norm's statistics anew, over so many batches")
    parser.add_argument("--data_dir", help="where tfds: data lies (default: $GAN_JAX_DATA)")
    parser.add_argument("--out", type=Path, help="a directory (default: RUN_DIR/samples)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    # Not earlier: --help need not wait for JAX.
    from gan_jax.evaluation.sample import sample_run
    from gan_jax.evaluation.view_run import view_run

    out = options.out or options.run_dir / "samples"
    chosen = {"data_dir": options.data_dir, "label": options.label, "ema": options.ema}
    if options.view is not None and options.standing_statistics is not None:
        raise InputError("--standing_statistics is for samples, not for a --view: leave off one of the two")
    if options.view is None:
        standing = options.standing_statistics
        written = sample_run(options.run_dir, options.samples, options.seed, out, **chosen, standing=standing)
    else:
        written = view_run(options.run_dir, options.view, options.seed, out, **chosen)
    for path in written:
        print(path)
