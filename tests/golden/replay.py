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

    def published(self, routing_key: str) -> Sequence[Message]:
        """List the messages of a routing key."""
        return [m for m in self.messages if m.routing_key == routing_key]


async def replay(case: Case, folder: Path, files: Files) -> Seen:
    """Send the request of a case, wait until its job is finished, and look."""
    copies = {f.name: Path(shutil.copy(getattr(files, f.name), folder)) for f in attrs.fields(Files)}
    before = Path(shutil.copy(files.scheduler, folder / "before.sqlite"))
    recorded = case.recorded
    known = _newest(copies["jobs"])["id"]
    next_id(copies["jobs"], "jobrequests", recorded.get("jobrequest_at_accept", {}).get("id", known + 1))
    masters, messages = Masters(copies["scheduler"], before), list[Message]()
    urls = {name: f"sqlite:{path}" for name, path in copies.items()}
    masters.start()
    masters.write_directory(folder / "masters.json")
    try:
        with _no_names():
            async with program(folder, databases=urls, masters=folder / "masters.json") as running:
                _watch(running.assembly.broker, copies["jobs"], messages)
                answer = await ask(running.port, recorded["request"])
                if answer.status in ACCEPTED:
                    await until(lambda: _newest(copies["jobs"])["completed_at"] is not None, SECONDS)
    finally:
        await masters.stop()
    newest = _newest(copies["jobs"])
    return Seen(
        answer,
        messages,
        newest if newest["id"] > known else None,
        changes(before, copies["scheduler"]),
        masters.asked,
    )


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

    before = reactor.installNameResolver(NoNames())  # type: ignore[attr-defined]  # the module
    try:
        yield
    finally:
        reactor.installNameResolver(before)  # type: ignore[attr-defined]  # the module
