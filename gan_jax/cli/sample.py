"""Sample a run's averaged generator: `gan_jax sample RUN_DIR`.

Writes a grid (with one column per class for a conditional generator), an interpolation between latents, and the samples: an
.npz with their latents and labels, and files in the usual format: a csv of rows, a text of sentences, SMILES, wav files; with
--png also an image file each. With --view, writes one of the views of
gan_jax/evaluation/views.py instead: interpolation, truncation, mixing, directions, classes, neighbours, projection, walk.
With --sampler, latents are chosen with the help of the discriminator: rejection or langevin (gan_jax/evaluation/samplers.py).
"""

from gan_jax.cli.command import (
    DATA_DIR_HELP,
    EMA_HELP,
    NO_CACHE_HELP,
    SAMPLES,
    STANDING_HELP,
    TRUST_HELP,
    Parser,
    path,
    seed,
    use_cached_programs,
    whole_number,
)
from gan_jax.errors import InputError


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument("run_dir", type=path, metavar="RUN_DIR", help="directory of the run")
    parser.add_argument(
        "--samples", type=whole_number(1, SAMPLES), default=1_000, help="number of samples to write (default: %(default)s)"
    )
    parser.add_argument("--view", help="write a view instead: NAME, or NAME(key=value) with options, as in 'walk(seconds=9)'")
    parser.add_argument("--sampler", help="rejection, langevin, or NAME(key=value) with options, as in 'langevin(steps=500)'")
    parser.add_argument("--seed", type=seed, default=0, help="seed of the latents (default: %(default)s)")
    parser.add_argument(
        "--label",
        help="label of all samples, for a conditional generator: a class, or comma-separated numbers (default: all classes); "
        "for tables what rows must satisfy, as in 'tier=pro, income>50000'",
    )
    parser.add_argument("--png", action="store_true", help="also write each image as a PNG file, in a folder")
    parser.add_argument("--ema", type=float, help=EMA_HELP)
    parser.add_argument("--standing_statistics", type=whole_number(1, 10**6), metavar="BATCHES", help=STANDING_HELP)
    parser.add_argument("--data_dir", help=DATA_DIR_HELP)
    parser.add_argument("--out", type=path, help="directory to write to (default: RUN_DIR/samples)")
    parser.add_argument("--no_compilation_cache", action="store_true", help=NO_CACHE_HELP)
    parser.add_argument("--trust", action="store_true", help=TRUST_HELP)
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    # Imported here so that --help does not load JAX.
    from gan_jax.evaluation.sample_run import sample_run
    from gan_jax.evaluation.view_run import view_run
    from gan_jax.runs import trust

    if options.trust:
        trust.accept_all()
    use_cached_programs(not options.no_compilation_cache)
    out = options.out or options.run_dir / "samples"
    shared = {"data_dir": options.data_dir, "label": options.label, "ema": options.ema}
    for name in ("standing_statistics", "sampler", "png"):
        if options.view is not None and getattr(options, name):
            raise InputError(f"--{name} does not apply to a --view: leave off one of the two")
    if options.view is None:
        choices = {"standing": options.standing_statistics, "sampler_name": options.sampler, "png": options.png}
        written = sample_run(options.run_dir, options.samples, options.seed, out, **shared, **choices)
    else:
        written = view_run(options.run_dir, options.view, options.seed, out, **shared)
    print(*written, sep="\n")
