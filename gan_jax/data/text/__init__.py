"""Text: corpora, an oracle and metrics."""
