"""Wait for what other processes bring about."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
PATIENCE = 180
"""Seconds that everything may take: on a busy machine what is quick takes long."""


def eventually(read: Callable[[], T], holds: Callable[[T], bool], seconds: float = PATIENCE) -> T:
    """Read until something holds of what is read; give that.

    :raises AssertionError: it does not in ``seconds``, which are at least PATIENCE.
    """
    seconds = max(seconds, PATIENCE)
    end = time.monotonic() + seconds
    while not holds(found := read()):
        assert time.monotonic() < end, f"not so in {seconds} s: {found}"
        time.sleep(0.1)
    return found
