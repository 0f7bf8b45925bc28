"""Judging forecasts on the quotes that were observed at their targets."""
