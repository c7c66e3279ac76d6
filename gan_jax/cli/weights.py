"""Weights that others trained: `python experiments/weights.py inception` (96 MB), or `dinov2` (1.2 GB), fetches an extractor's.

Downloads, verifies size and sha256, converts once to .npz in the cache, and prints where both lie. Stopped half-way, the same
command goes on. Without network: put the file where the error says, and run the same command to verify and convert it.

`python experiments/weights.py FILE --run_dir RUN_DIR` makes a run of a pretrained generator, StyleGAN2 or BigGAN-deep, for
sample.py, evaluate.py and train.py --fork_from; gan_jax/pretrained/import_run.py says which files these are, and how to come by them.
"""

from pathlib import Path

from gan_jax.cli.command import Parser
from gan_jax.errors import unknown
from gan_jax.storage.cache import cache_path


def main() -> None:
    parser = Parser(description=__doc__, allow_abbrev=False)
    parser.add_argument("name", help="inception, dinov2, or with --run_dir a file: .npz, .safetensors or PyTorch's")
    parser.add_argument(
        "--to", type=Path, help="the directory to keep the file in (default: $GAN_JAX_CACHE, or ~/.cache/gan_jax)"
    )
    parser.add_argument("--run_dir", type=Path, help="a new directory for the run of a pretrained generator")
    parser.add_argument(
        "--data", help="what its samples are to be measured on (default: nothing; its samples can be looked at)"
    )
    parser.add_argument("--data_dir", help="where tfds: data lies (default: $GAN_JAX_DATA)")
    parser.add_argument("--truncation", type=float, default=1.0, help="of BigGAN-deep, 0.02 to 1 (default: %(default)s)")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    if options.run_dir is not None:
        from gan_jax.pretrained.import_run import import_run

        print(import_run(Path(options.name), options.run_dir, options.data, options.truncation, options.data_dir))
        print(f"python experiments/sample.py {options.run_dir} --samples 100")
        return
    from gan_jax.storage.weights import DINOV2, INCEPTION, convert, download

    known = {weights.name: weights for weights in (INCEPTION, DINOV2)}
    if options.name not in known:
        raise unknown("weights", options.name, known)
    weights = known[options.name]
    path = download(weights, options.to or cache_path(""))
    print(f"{path}: {weights.description}, sha256 {weights.sha256}, verified")
    print(f"{convert(path)}: the same tensors, converted; either serves as an extractor's weights")
