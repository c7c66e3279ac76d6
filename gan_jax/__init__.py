"""gan_jax: research on generative adversarial networks in functional JAX. Start reading at `gan_jax/game/update.py`."""

__version__ = "0.1.0"
