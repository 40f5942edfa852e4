"""Resident memory of the process that has answered all reads of the table."""

from __future__ import annotations

from collections.abc import Iterator

import attrs

from bench.processes import peak_megabytes, resident_megabytes
from bench.rows import Figure, Row, below
from tests.e2e.service import Service

SECTION = "memory"
GOAL = below(150, "MB")


@attrs.define
class Memory:
    """What a process had at some moments, by their names."""

    service: Service
    seen: dict[str, float] = attrs.field(factory=dict)

    def rest(self) -> None:
        """Note what it has now, before any work."""
        self.seen["at rest"] = resident_megabytes(self.service.pid)

    def note(self, when: str) -> None:
        """Note the most that it had until now."""
        self.seen[when] = peak_megabytes(self.service.pid)

    def rows(self) -> Iterator[Row]:
        """Yield a row for each moment."""
        for when, megabytes in self.seen.items():
            yield Row(SECTION, when, "MB", Figure(megabytes), goal=GOAL)
