"""Samples of a run's averaged generator: `python experiments/sample.py RUN_DIR`.

Writes a grid, an interpolation between latents, and an .npz with the samples (as stored in the data: uint8 for images) and
their latents.
"""

from pathlib import Path

from gan_jax.command import Parser, command


def main() -> None:
    parser = Parser(description=__doc__, allow_abbrev=False)
    parser.add_argument("run_dir", type=Path)
    parser.add_argument("--samples", type=int, default=1_000, help="how many go into the .npz (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="seeds the latents (default: %(default)s)")
    parser.add_argument("--data_dir", help="where tfds: data lies (default: $GAN_JAX_DATA)")
    parser.add_argument("--out", type=Path, help="a directory (default: RUN_DIR/samples)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    # Not earlier: --help need not wait for JAX.
    from gan_jax.sample import sample_run

    out = options.out or options.run_dir / "samples"
    for path in sample_run(options.run_dir, options.samples, options.seed, out, options.data_dir):
        print(path)


if __name__ == "__main__":
    command(main)
