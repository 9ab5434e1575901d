"""Known results: the model's special cases against exact or published values."""
