"""A game: the record of its functions, its state, and the update that plays it."""
