"""``buildapi watch``: print events as they come, over lost connections."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence

import attrs
import click

from buildapi.cli import param_types
from buildapi.cli.command_error import CommandError
from buildapi.cli.command_help import command
from buildapi.cli.connection_options import complete_branch, with_client
from buildapi.cli.declared_options import declared_option
from buildapi.cli.event_lines import ServerEvent, as_json, as_text, events
from buildapi.cli.output import Output, output_options, unpack
from buildapi.cli.service_client import Document, ServiceClient
from buildapi.exit_codes import INTERRUPTED, UNAVAILABLE
from buildapi.parameters.event_parameters import JOB, REVISION

FIRST_PAUSE, PAUSE_MAX = 1.0, 30.0
"""Seconds before a lost connection is opened again: twice as long each time, up to a maximum."""


SILENCE_SECONDS = 60.0
"""Silence after which a stream counts as lost; the service sends a comment every 15 seconds."""


@attrs.define
class EventReader:
    """Read events from a service, over lost connections, until a monotonic time."""

    client: ServiceClient
    out: Output
    query: Document
    end: float | None
    _last: str = ""
    _pause: float = FIRST_PAUSE

    def read(self) -> Iterator[ServerEvent]:
        """Yield events.

        :raises CommandError: the service refuses, or was never there.
        """
        while not self._is_over:
            try:
                yield from self._connection()
                lost = "the service ended the stream"
            except CommandError as e:
                # Without any answer it is probably a wrong URL, which no waiting mends.
                if self._is_over and self._last:
                    return
                if e.exit_code != UNAVAILABLE or not self._last:
                    raise
                lost = e.message
            if not self._is_over:
                self.out.note(f"{lost}; connecting again in {self._pause:g} s")
                self.client.sleep(self._pause)
                self._pause = min(2 * self._pause, PAUSE_MAX)

    def _connection(self) -> Iterator[ServerEvent]:
        # With the id the service sends what was missed, or a reset (docs/api.md, "Events").
        headers = {"Last-Event-ID": self._last} if self._last else {}
        parts = self.client.stream(
            "self-serve", "events", headers=headers, silence=self._silence, **self.query
        )
        for event in events(parts):
            self._last, self._pause = event.id, FIRST_PAUSE
            yield event
            if self._is_over:
                return

    @property
    def _silence(self) -> float:
        left = math.inf if self.end is None else self.end - time.monotonic()
        return max(0.1, min(left, SILENCE_SECONDS))

    @property
    def _is_over(self) -> bool:
        return self.end is not None and time.monotonic() >= self.end


@command(example="buildapi watch try --job mine")
@click.argument("branch", type=param_types.name, nargs=-1, shell_complete=complete_branch)
@declared_option(REVISION, metavar="REVISION", type=param_types.name)
@declared_option(JOB, metavar="ID")
@click.option("--limit", type=click.IntRange(1), help="Maximum number of events; then it ends.")
@click.option(
    "--seconds", type=param_types.Seconds(0), metavar="SECONDS", help="End after so many seconds."
)
@with_client
@output_options
def watch(
    *,
    branch: Sequence[str],
    revision: Sequence[str],
    job: Sequence[str],
    limit: int | None,
    seconds: float | None,
    client: ServiceClient,
    out: Output,
) -> None:
    """Print changes of builds, requests and jobs as they come.

    Of the farm, or of each BRANCH; one event a line, with --json as one line of JSON. It connects
    again if the connection is lost, and ends with Ctrl+C.
    """
    query = {"branch": list(branch), "revision": list(revision), "job": list(job)}
    end = None if seconds is None else time.monotonic() + seconds
    reader = EventReader(client, out, {k: v or None for k, v in query.items()}, end)
    shown = 0
    try:
        for event in reader.read():
            shown += _print_event(event, out)
            if limit is not None and shown >= limit:
                return
    except KeyboardInterrupt:  # how a watch ends: no error to tell of
        raise SystemExit(INTERRUPTED) from None


def _print_event(event: ServerEvent, out: Output) -> bool:
    """Print an event; return whether it counts as one."""
    if event.kind == "hello":
        return False
    if event.kind == "reset":
        out.note("Some events were missed.")
        if not out.as_json:
            return False
    line = as_json(event) if out.as_json else unpack(as_text, event, out.time, time.time())
    out.line(line)
    return event.kind != "reset"
