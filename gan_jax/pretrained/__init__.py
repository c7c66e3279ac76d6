"""Pretrained generators of others, imported as runs."""
