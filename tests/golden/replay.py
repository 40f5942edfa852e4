"""Replay one job request on a copy of the recorded farm, and watch all there is to see."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from tests.buildbot.pbmaster import Change, PBMaster
from tests.golden.cases import Case
from tests.golden.client import Answer, ask
from tests.golden.clobberer import Clobberer, Told
from tests.golden.databases import Files, changes, next_id, opened
from tests.golden.masters import Asked, Masters
from tests.golden.program import NoNames, program
from tests.golden.scheduler import scheduler
from tests.reactor import until

ACCEPTED = (202, 302)
SECONDS = 10
"""For a job to be finished; a master that keeps silent is given up after one."""


@attrs.frozen
class Message:
    """A message given to the broker, and the newest row of job requests at that moment."""

    routing_key: str
    body: dict[str, Any]
    row: dict[str, Any]


@attrs.frozen
class Seen:
    """What a job request came to; ``row`` is the row it made, None where it made none.

    ``scheduler`` are the rows changed by others than masters, ``asked`` what masters were asked,
    ``told`` what the clobberer was, and ``sent`` the changes that the scheduler was sent.
    """

    answer: Answer
    messages: Sequence[Message]
    row: dict[str, Any] | None
    scheduler: dict[str, Any]
    asked: Sequence[Asked]
    told: Sequence[Told]
    sent: Sequence[Change]

    @property
    def nothing(self) -> bool:
        """Return whether it had no effect."""
        effects = self.messages, self.row, self.scheduler, self.asked, self.told, self.sent
        return not any(effects)

    def published(self, routing_key: str) -> Sequence[Message]:
        """List the messages of a routing key."""
        return [m for m in self.messages if m.routing_key == routing_key]


@attrs.define
class Outside:
    """All that the program speaks to, but for databases and broker."""

    masters: Masters
    scheduler: PBMaster
    clobberer: Clobberer

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen until the block ends."""
        parts = (self.masters, self.masters.stop), (self.scheduler, self.scheduler.close)
        async with contextlib.AsyncExitStack() as started:
            for part, stop in (*parts, (self.clobberer, self.clobberer.stop)):
                part.start()
                started.push_async_callback(stop)
            yield


async def replay(case: Case, folder: Path, files: Files) -> Seen:
    """Send the request of a case, wait until its job is finished, and look."""
    recorded = case.recorded
    names = [field.name for field in attrs.fields(Files)]
    farm = Files(*(Path(shutil.copy(getattr(files, name), folder)) for name in names))
    before = Path(shutil.copy(files.scheduler, folder / "before.sqlite"))
    known = _newest(farm.jobs)["id"]
    given = recorded.get("jobrequest_at_accept") or {"id": known + 1}
    next_id(farm.jobs, "jobrequests", given["id"])
    outside = Outside(
        Masters(farm.scheduler, before),
        scheduler((farm.scheduler, before), refuses=_change_fails(recorded)),
        Clobberer(),
    )
    messages = list[Message]()
    async with outside.listening():
        answer = await _act(recorded["request"], folder, farm, outside, messages)
    newest = _newest(farm.jobs)
    return Seen(
        answer,
        messages,
        newest if newest["id"] > known else None,
        changes(before, farm.scheduler),
        outside.masters.asked,
        outside.clobberer.told,
        outside.scheduler.changes,
    )


def _change_fails(recorded: Mapping[str, Any]) -> bool:
    """Return whether a change was sent in vain when the case was recorded."""
    reports = [json.loads(m["body_raw"])["body"] for m in recorded.get("finished", [])]
    return bool(recorded.get("sendchange")) and any(report["errors"] for report in reports)


async def _act(
    request: dict[str, Any], folder: Path, farm: Files, outside: Outside, messages: list[Message]
) -> Answer:
    """Run the program for one request and what comes of it."""
    masters_file = folder / "masters.json"
    outside.masters.write_directory(masters_file, outside.scheduler.number)
    urls = {name: f"sqlite:{path}" for name, path in attrs.asdict(farm).items()}
    running = program(
        folder, databases=urls, masters=masters_file, clobber_url=outside.clobberer.url
    )
    with _no_names():
        async with running as at:
            _watch(at.daemon.services.adapters.broker, farm.jobs, messages)
            answer = await ask(at.port, request)
            if answer.status in ACCEPTED:
                await until(lambda: _newest(farm.jobs)["completed_at"] is not None, SECONDS)
    return answer


def _newest(jobs: Path) -> dict[str, Any]:
    with opened(jobs) as db:
        return dict(db.execute("SELECT * FROM jobrequests ORDER BY id DESC LIMIT 1").fetchone())


def _watch(broker: Any, jobs: Path, messages: list[Message]) -> None:
    publish = broker.publish

    async def watched(routing_key: str, body: bytes, **properties: Any) -> None:
        messages.append(Message(routing_key, json.loads(body), _newest(jobs)))
        await publish(routing_key, body, **properties)

    broker.publish = watched


@contextlib.contextmanager
def _no_names() -> Iterator[None]:
    from twisted.internet import reactor

    before = reactor.installNameResolver(NoNames())
    try:
        yield
    finally:
        reactor.installNameResolver(before)
