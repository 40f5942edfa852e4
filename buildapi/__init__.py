"""BuildAPI: the self-serve desk of a Buildbot farm."""

__version__ = "0.1.0"
