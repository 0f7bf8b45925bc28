"""Drift of features, of a model's errors and of its skill; `python -m ml.drift` reports it."""
