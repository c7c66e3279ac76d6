"""What users type, parsed: expressions, names of functions, stopping rules, names of metrics."""
