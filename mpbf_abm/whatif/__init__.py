"""One question to the model: a plain run, or baseline and what-if on the same seeds."""
