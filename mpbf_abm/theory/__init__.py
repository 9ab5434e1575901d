"""Theory: closed forms, mean fields and null communities."""
