"""Feature extractors: samples in, vectors out. Distances between features depend on the extractor: report its name too."""
