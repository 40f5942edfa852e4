"""Dialects of real Buildbot masters and their databases."""
