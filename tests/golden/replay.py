"""Replay one job request on a copy of the recorded farm, and watch all there is to see."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from tests.golden.cases import Case
from tests.golden.client import Answer, ask
from tests.golden.databases import Files, changes, next_id, opened
from tests.golden.masters import Asked, Masters
from tests.golden.program import NoNames, program
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
    """What a job request came to; ``row`` is the row it made, None where it made none."""

    answer: Answer
    messages: Sequence[Message]
    row: dict[str, Any] | None
    scheduler: dict[str, Any]
    asked: Sequence[Asked]

    @property
    def nothing(self) -> bool:
        """Tell whether nothing came of it."""
        return not (self.messages or self.row or self.scheduler or self.asked)

    def published(self, routing_key: str) -> Sequence[Message]:
        """List the messages of a routing key."""
        return [m for m in self.messages if m.routing_key == routing_key]


async def replay(case: Case, folder: Path, files: Files) -> Seen:
    """Send the request of a case, wait until its job is finished, and look."""
    names = [field.name for field in attrs.fields(Files)]
    farm = Files(*(Path(shutil.copy(getattr(files, name), folder)) for name in names))
    before = Path(shutil.copy(files.scheduler, folder / "before.sqlite"))
    known = _newest(farm.jobs)["id"]
    given = case.recorded.get("jobrequest_at_accept") or {"id": known + 1}
    next_id(farm.jobs, "jobrequests", given["id"])
    masters, messages = Masters(farm.scheduler, before), list[Message]()
    masters.start()
    try:
        answer = await _act(case, folder, farm, masters, messages)
    finally:
        await masters.stop()
    newest = _newest(farm.jobs)
    return Seen(
        answer,
        messages,
        newest if newest["id"] > known else None,
        changes(before, farm.scheduler),
        masters.asked,
    )


async def _act(
    case: Case, folder: Path, farm: Files, masters: Masters, messages: list[Message]
) -> Answer:
    """Run the program for one request and what comes of it."""
    masters_file = folder / "masters.json"
    masters.write_directory(masters_file)
    urls = {name: f"sqlite:{path}" for name, path in attrs.asdict(farm).items()}
    with _no_names():
        async with program(folder, databases=urls, masters=masters_file) as running:
            _watch(running.assembly.broker, farm.jobs, messages)
            answer = await ask(running.port, case.recorded["request"])
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
