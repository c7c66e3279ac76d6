"""`python -m gan_jax COMMAND ...` is the same as `gan_jax COMMAND ...`."""

from gan_jax.cli.main import main

if __name__ == "__main__":
    main()
