"""Feature extractors: samples in, vectors out. A distance between features is a number *of that extractor*: name it."""
