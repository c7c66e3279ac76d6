"""Files: the cache, atomic writes, checksums, and the weights of published networks."""
