"""Learners as pure functions on arrays."""
