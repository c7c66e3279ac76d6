"""Audio: recordings, clips and mel spectrograms."""
