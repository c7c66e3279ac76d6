"""Parsers for what users type: expressions, names of functions, stopping rules; and the names of metrics."""
