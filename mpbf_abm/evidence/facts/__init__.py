"""Stylised facts of real discovery ecosystems: in the model, and in public data."""
