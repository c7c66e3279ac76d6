"""Files: the cache, atomic writes and the weights of published networks."""
