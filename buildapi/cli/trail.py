"""The story of a job request, as rows: pure functions of what the service answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from buildapi.cli.table_rows import what

EVENTS = ("after", "host", "part", "event", "detail")


def about(job: Mapping[str, Any], time: Callable[[Any], str]) -> Sequence[str]:
    """Say who asked for what, and when."""
    lines = [f"job {job['id']}: {job['action']} {what(job['what'])}".rstrip()]
    return [*lines, f"asked by {job['who']} at {time(job['when'])}"]


def events(document: Mapping[str, Any]) -> Sequence[Sequence[Any]]:
    """List the events in their order, with times since the first."""
    found = sorted(document["events"], key=lambda event: float(event["at"]))
    if not found:
        return [(None, None, None, None, "nothing is known of it: it is too old, or not logged")]
    first = float(found[0]["at"])
    return [
        (f"+{float(e['at']) - first:.3f} s", e["host"], e["part"], e["event"], e["detail"])
        for e in found
    ]
