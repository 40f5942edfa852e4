"""Nouns: frozen values of the farm and of job requests."""
