"""Commands, one module each: from an argument vector to a result. The scripts in `experiments/` call them."""
