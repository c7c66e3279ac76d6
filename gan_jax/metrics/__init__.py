"""Metrics: arrays in, numbers out. `features/` holds the networks that turn samples into the features that metrics compare."""
