"""The layers of the framework as pure functions."""
