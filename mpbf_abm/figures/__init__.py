"""Figures: what to look at."""
