"""Metrics: arrays in, numbers out, one noun per file. `features/` turns samples into what the metrics compare."""
