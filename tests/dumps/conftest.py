"""Databases on each engine to dump from."""

from tests.farmwide.conftest import *  # noqa: F403  # pytest finds the fixtures of its __all__ here
