"""Keep Python's garbage collector away from the objects that a program has for good.

A full collection visits every object: 90,000 of modules and classes take it 50 to 100 ms, in which
the reactor stands still; those of a start visit them again and again for nothing.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

START_THRESHOLD = 5000
"""New objects between two collections while the program is made; Python's default is 700."""

NEVER = 1_000_000
"""A collection of older objects per so many of younger ones: none."""


@contextmanager
def permanent_objects() -> Iterator[None]:
    """Exempt what exists at the end of the block from collection, and collect less within it.

    Young objects are collected nevertheless: each class with slots leaves its first form behind.
    """
    before = gc.get_threshold()
    gc.set_threshold(START_THRESHOLD, NEVER, NEVER)
    try:
        yield
    finally:
        gc.freeze()
        gc.set_threshold(*before)
