"""Images: readers, extractors and metrics."""
