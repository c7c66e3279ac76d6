"""Data: a name and a seed in, batches of real samples out. One folder per domain."""
