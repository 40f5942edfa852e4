"""Scheduler and status databases on each engine."""

from tests.farmwide.conftest import *  # noqa: F403  # pytest finds the fixtures of its __all__ here
