"""The Python API: `gan_jax.train`, `gan_jax.load` and what they return."""
