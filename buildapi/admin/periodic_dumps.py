"""Write dumps periodically while the service runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import attrs
from twisted.internet import defer

from buildapi.admin.day_dump_files import DayDumps
from buildapi.admin.dump_writer import EXPECTED, Dumper, Target
from buildapi.atomic_file import remove_stale
from buildapi.config import DumpsSection
from buildapi.model.ended_builds import DumpStatus
from buildapi.periodic import PeriodicService
from buildapi.reports.day_dumps import day_name
from buildapi.reports.dump_entries import HOUR, window

PENDING, RUNNING = "builds-pending.js", "builds-running.js"


def builds_name(hours: int) -> str:
    """Return the file name of the dump of the builds that ended in the last hours."""
    return f"builds-{hours}hr.js.gz"


@attrs.define(slots=False, eq=False)
class PeriodicDumps(PeriodicService):
    """Write dumps into a folder; after a failure, which is logged, the last good file stays.

    ``rounds`` counts how often all dumps were attempted. A stop removes an incomplete file.
    """

    trouble = "cannot write the dumps"

    _dumper: Dumper
    _folder: Path
    _settings: DumpsSection
    _now: Callable[[], float]

    def __attrs_post_init__(self) -> None:
        self.name = "dumps"
        self.rounds = 0
        self._writers = self._each()
        self._statuses = {name: DumpStatus(name) for name in self._writers}
        self._days = DayDumps(self._dumper, self._folder, self._settings, self._now)
        self.interval = self._settings.seconds
        self._is_prepared = False

    def statuses(self) -> Sequence[DumpStatus]:
        """Return the state of each dump."""
        newest_day = self._days.status()
        return [*self._statuses.values(), *([newest_day] if newest_day else [])]

    def startService(self) -> None:
        """Start dumping."""
        self._is_prepared = False
        PeriodicService.startService(self)

    def _each(self) -> Mapping[str, Callable[[str], Awaitable[object]]]:
        compact, hours = self._settings.compact, self._settings.hours

        def builds(path: str) -> Awaitable[object]:
            last = window(self._now(), hours * HOUR)
            return self._dumper.builds(last, Target(path, compact, gzipped=True))

        return {
            builds_name(hours): builds,
            PENDING: lambda path: self._dumper.pending(Target(path, compact)),
            RUNNING: lambda path: self._dumper.running(Target(path, compact)),
        }

    async def run_once(self) -> None:
        """Attempt every dump."""
        if not self._is_prepared:
            self._is_prepared = await self._safely("folder", self._prepare) is None
        for name, write in self._writers.items():
            await self._dump(name, write)
        await self._dump_days()
        self.rounds += 1

    async def _prepare(self) -> None:
        """Create the folder, and read what an earlier process left there."""
        self._folder.mkdir(parents=True, exist_ok=True)
        for name in self._writers:
            remove_stale(self._folder, name)
            if (path := self._folder / name).is_file():
                self._statuses[name] = DumpStatus(name, path.stat().st_mtime)
        await self._days.prepare()

    async def _dump(self, name: str, write: Callable[[str], Awaitable[object]]) -> None:
        error = await self._safely(name, lambda: write(str(self._folder / name)))
        before, now = self._statuses[name], self._now()
        if error is None:
            self._statuses[name] = attrs.evolve(before, good_at=now)
        else:
            self._statuses[name] = attrs.evolve(before, last_error=error, last_error_at=now)

    async def _dump_days(self) -> None:
        """Write the files of days that are due, and remove expired ones."""
        for day in self._days.due():
            error = await self._safely(day_name(day), partial(self._days.write, day))
            self._days.note(day, error)
        await self._safely("old day files", self._days.remove_expired)

    async def _safely(self, name: str, work: Callable[[], Awaitable[object]]) -> str | None:
        """Run a part of the work; log a failure and return its reason."""
        try:
            await work()
        except defer.CancelledError:
            raise
        except EXPECTED as e:
            self._log.warn("dumps: cannot write {name}: {error}", name=name, error=str(e))
            return str(e)
        except Exception as e:
            self._log.failure("dumps: cannot write {name}", name=name)
            return f"{type(e).__name__}"
        return None
