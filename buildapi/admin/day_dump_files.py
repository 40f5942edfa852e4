"""Dump the builds of whole days, and remove dumps that are too old."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

import attrs

from buildapi.admin.dump_writer import Dumper, Target
from buildapi.atomic_file import AtomicFile, remove_stale
from buildapi.config import DumpsSection
from buildapi.model.ended_builds import DumpStatus
from buildapi.reports.day_dumps import day_at, day_name, day_of, day_window, due_days, expired_days

LEDGER = ".days.json"
"""Ledger of the days whose files this program wrote: it removes only those."""


@attrs.define
class DayDumps:
    """Manage the files of days in the folder of dumps.

    A file written by somebody else is never removed, nor rewritten once its day is over.
    """

    _dumper: Dumper
    _folder: Path
    _settings: DumpsSection
    _now: Callable[[], float]
    _written: dict[date, float] = attrs.field(factory=dict, init=False)
    _tried: dict[date, float] = attrs.field(factory=dict, init=False)
    _error: tuple[date, str, float] | None = attrs.field(default=None, init=False)

    async def prepare(self) -> None:
        """Read which files an earlier process left in the folder."""
        self._written.update(await self._dumper.in_thread(self._found))

    def _found(self) -> dict[date, float]:
        found = {}
        for path in self._folder.iterdir():
            if (day := day_of(path.name)) is not None and path.is_file():
                found[day] = path.stat().st_mtime
        for day in self._owned():
            remove_stale(self._folder, day_name(day))
        return found

    def due(self) -> Sequence[date]:
        """List the days to write now."""
        kept, pause = self._settings.days, self._settings.seconds
        return due_days(self._now(), kept, self._written, self._tried, pause)

    async def write(self, day: date) -> None:
        """Write the file of a day."""
        # Before the file is written: a process that dies meanwhile leaves a day too many in the
        # ledger, but no file that is never removed.
        await self._dumper.in_thread(self._own, day)
        path = str(self._folder / day_name(day))
        await self._dumper.builds(day_window(day), Target(path, self._settings.compact, True))

    def note(self, day: date, error: str | None) -> None:
        """Record that a file was written, or why it was not."""
        now = self._tried[day] = self._now()
        if error is None:
            self._written[day] = now
            if self._error is not None and self._error[0] == day:
                self._error = None
        else:
            self._error = (day, error, now)

    def status(self) -> DumpStatus | None:
        """Return the state of the newest file and of the last failure; None if no days are kept."""
        if not self._settings.days:
            return None
        newest = max(self._written, default=None)
        name = day_name(newest or day_at(self._now()))
        good_at = self._written[newest] if newest else None
        if self._error is None:
            return DumpStatus(name, good_at)
        day, text, at = self._error
        return DumpStatus(name, good_at, f"{day_name(day)}: {text}", at)

    async def remove_expired(self) -> None:
        """Remove files of expired days that this program wrote."""
        if self._settings.days:
            for day in await self._dumper.in_thread(self._remove):
                self._written.pop(day, None)
                self._tried.pop(day, None)

    def _remove(self) -> Sequence[date]:
        owned = self._owned()
        expired = expired_days(self._now(), self._settings.days, owned)
        for day in expired:
            (self._folder / day_name(day)).unlink(missing_ok=True)
        if expired:
            self._keep(owned - set(expired))
        return expired

    def _own(self, day: date) -> None:
        owned = self._owned()
        if day not in owned:
            self._keep(owned | {day})

    def _owned(self) -> set[date]:
        """Read the ledger; if it is lost or damaged, nothing is removed."""
        with contextlib.suppress(OSError, ValueError, TypeError, RecursionError):
            days = json.loads((self._folder / LEDGER).read_text())
            return {date.fromisoformat(day) for day in days}
        return set()

    def _keep(self, days: set[date]) -> None:
        with AtomicFile(str(self._folder / LEDGER)) as file:
            file.write(json.dumps(sorted(day.isoformat() for day in days)).encode())
