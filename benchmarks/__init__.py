"""Whole-process benchmarks: `python -m benchmarks [NAME …]`, or `make bench` for all."""
