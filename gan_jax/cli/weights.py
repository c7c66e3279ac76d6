"""Download the weights of a feature extractor: `gan_jax weights inception` (96 MB), `dinov2` (1.2 GB),
`resnet50` (103 MB), `swav`, `clip` (354 MB), `vgg16` (with LPIPS); or of LPIPS: `vgg16_torchvision` (553 MB) and `lpips`.

Copies the file from the caches of PyTorch, NVIDIA's projects, clean-fid or CLIP if it is there, and otherwise downloads it;
verifies it by its published sha256, or a copy of the Inception network by its tensors; converts it once to an .npz in the
cache; and prints both paths. After an interruption, the same command resumes. Without a network, put the file at the path given
in the error message, and run the same command to verify and convert it.

Or import a pretrained generator, StyleGAN2 or BigGAN-deep, as a run to sample, evaluate or fork from:
`gan_jax weights FILE --run_dir RUN_DIR`. gan_jax/pretrained/import_run.py describes the files.
"""

from gan_jax.cli.command import DATA_DIR_HELP, Parser, path, path_of
from gan_jax.errors import unknown
from gan_jax.storage.cache import cache_path


def main() -> None:
    parser = Parser(description=__doc__)
    parser.add_argument(
        "name", help="inception, dinov2, resnet50, swav, clip, vgg16, vgg16_torchvision or lpips; or with --run_dir, a file"
    )
    parser.add_argument("--to", type=path, help="directory of the download (default: $GAN_JAX_CACHE, or ~/.cache/gan_jax)")
    parser.add_argument("--run_dir", type=path, help="new directory for the run of a pretrained generator")
    parser.add_argument(
        "--data", help="data to evaluate its samples against (default: none, so that they can be viewed but not evaluated)"
    )
    parser.add_argument("--data_dir", help=DATA_DIR_HELP)
    parser.add_argument(
        "--truncation",
        type=float,
        default=1.0,
        help="scale of BigGAN-deep's latents, above 0 and at most 1 (default: %(default)s)",
    )
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    options = parser.parse_args()
    if options.run_dir is not None:
        from gan_jax.pretrained.import_run import import_run

        print(
            import_run(path_of("the file", options.name), options.run_dir, options.data, options.truncation, options.data_dir)
        )
        print(f"gan_jax sample {options.run_dir} --samples 100")
        return
    from gan_jax.pretrained.obtain import obtain
    from gan_jax.storage.weights import PUBLISHED, convert, sha256

    if options.name not in PUBLISHED:
        raise unknown("weights", options.name, PUBLISHED)
    weights = PUBLISHED[options.name]
    file, verification = obtain(weights, options.to or cache_path(""))
    print(f"{file}: {weights.description}, sha256 {sha256(file)}, {verification}")
    if file.suffix != ".npz":
        print(f"{convert(file)}: the same tensors as .npz; either file can serve as an extractor's weights")
