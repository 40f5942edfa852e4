"""A database that keeps what it is asked, and fails or forgets as told."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import attrs

from buildapi.db.sql import Database, Params, Read, Row, Statement, Write

T = TypeVar("T")


@attrs.define
class ScriptedDatabase:
    """Pass everything on to a database, and keep the texts of its SELECTs.

    ``error`` is raised instead, ``refusal`` at writes alone.  With ``forgets`` each commit is done
    but not heard of, so that it is tried again.
    """

    db: Database
    texts: list[str] = attrs.field(factory=list)
    error: Exception | None = None
    refusal: Exception | None = None
    forgets: bool = False

    async def fetch(self, text: str, params: Params) -> Sequence[Row]:
        self._note(text)
        return await self.db.fetch(text, params)

    async def snapshot(self, reading: Callable[[Read], T]) -> T:
        self._note()
        return await self.db.snapshot(lambda read: reading(self._noted(read)))

    def _noted(self, read: Read) -> Read:
        def note(text: str, params: Params) -> Sequence[Row]:
            self.texts.append(text)
            return read(text, params)

        return note

    async def transact(self, statements: Sequence[Statement]) -> Sequence[int]:
        self._note()
        if self.refusal is not None:
            raise self.refusal
        if self.forgets:
            await self.db.transact(statements)
        return await self.db.transact(statements)

    async def decide(self, deciding: Callable[[Read, Write], T]) -> T:
        self._note()
        if self.refusal is not None:
            raise self.refusal
        if self.forgets:
            await self.db.decide(deciding)
        return await self.db.decide(lambda read, write: deciding(self._noted(read), write))

    async def transactional(self, tables: Iterable[str]) -> bool:
        self._note()
        return await self.db.transactional(tables)

    def _note(self, *texts: str) -> None:
        self.texts += texts
        if self.error is not None:
            raise self.error
