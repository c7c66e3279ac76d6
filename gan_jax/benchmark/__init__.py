"""The benchmark: our training steps and convolutions, timed in turns with those of PyTorch."""
