"""Data: tables of real materials and synthetic ones, as arrays."""
