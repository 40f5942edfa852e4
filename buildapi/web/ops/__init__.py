"""Serve health, status, metrics and dump files."""
