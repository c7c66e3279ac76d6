"""Tables: rows, their schema, metrics and plots."""
