"""Computations of reports over typed rows: pure, the clock and the databases are elsewhere."""
