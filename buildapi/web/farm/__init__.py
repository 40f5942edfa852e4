"""Serve the pages of the whole farm."""
