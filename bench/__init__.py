"""Benchmarks: each prints its figures, the size of its data and what they are relative to."""
