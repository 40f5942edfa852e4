"""Buildbot 0.8.0 to 0.8.4: schema v6 queries, writes and master pokes."""
