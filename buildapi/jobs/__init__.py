"""Verbs: pure functions that decide what a job request means."""
