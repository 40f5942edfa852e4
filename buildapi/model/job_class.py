"""Say what a builder's name tells of its jobs."""

from __future__ import annotations

import msgspec


class JobClass(msgspec.Struct, frozen=True):
    """Where a builder's jobs run, what kind they are (``opt unittest``), and a short name of it."""

    platform: str
    kind: str
    symbol: str
