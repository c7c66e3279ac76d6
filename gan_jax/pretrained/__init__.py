"""Import pretrained generators, published by others, as runs."""
