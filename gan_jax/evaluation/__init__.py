"""A trained generator, evaluated, sampled and viewed."""
