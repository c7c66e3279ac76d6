"""Fetch the published weights of an extractor: `python experiments/weights.py inception` (96 MB), or `dinov2` (1.2 GB).

Downloads, verifies size and sha256, converts once to .npz in the cache, and prints where both lie. Stopped half-way, the same
command goes on. Without network: put the file where the error says, and run the same command to verify and convert it.
"""

from pathlib import Path

from gan_jax.cache import cache_path
from gan_jax.command import Parser, command
from gan_jax.errors import unknown


def main() -> None:
    parser = Parser(description=__doc__, allow_abbrev=False)
    parser.add_argument("name", help="inception or dinov2")
    parser.add_argument(
        "--to", type=Path, help="the directory to keep the file in (default: $GAN_JAX_CACHE, or ~/.cache/gan_jax)"
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    from gan_jax.metrics.features.weights import DINOV2, INCEPTION, convert, download

    known = {weights.name: weights for weights in (INCEPTION, DINOV2)}
    if options.name not in known:
        raise unknown("weights", options.name, known)
    weights = known[options.name]
    path = download(weights, options.to or cache_path(""))
    print(f"{path}: {weights.what}, sha256 {weights.sha256}, verified")
    print(f"{convert(path)}: the same tensors, converted; either serves as an extractor's weights")


if __name__ == "__main__":
    command(main)
