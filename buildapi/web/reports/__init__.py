"""Serve the reports."""
