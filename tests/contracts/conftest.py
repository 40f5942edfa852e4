"""The databases that contracts run on: those of tests of the 0.8 dialect."""

from tests.farmwide.conftest import *  # noqa: F403  # pytest finds the fixtures of its __all__ here
