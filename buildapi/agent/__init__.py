"""Consume job requests, execute them, and report their outcomes."""
