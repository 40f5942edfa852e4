"""A database that records what is read, for tests of how many statements a read takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import attrs

from buildapi.db.sql import Database, Params, Read, Row

T = TypeVar("T")


@attrs.define
class RecordedSelects:
    """A database that records the SELECTs of snapshots."""

    db: Database
    texts: list[str] = attrs.field(factory=list)

    async def snapshot(self, reading: Callable[[Read], T]) -> T:
        def recorded(read: Read) -> T:
            def noted(text: str, params: Params) -> list[Row]:
                self.texts.append(text)
                return list(read(text, params))

            return reading(noted)

        return await self.db.snapshot(recorded)
