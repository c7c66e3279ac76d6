"""Commands, one module each: from command-line arguments to a result. The scripts in `experiments/` call them."""
