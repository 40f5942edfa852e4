"""Record the events of job requests without delaying them."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from buildapi import tracing
from buildapi.model.ops import Part, TrailEntry
from buildapi.ops.buffered_writer import BufferedWriter

DETAIL_MAX = 1000


@attrs.define(slots=False, eq=False)
class BufferedTrail(BufferedWriter[TrailEntry]):
    """Implement ``Trail`` on a ``TrailStore``; ``counted`` is called for each event."""

    what = "audit trail"
    trouble = "audit trail: cannot write entries"

    _counted: Callable[[int, Part, str], None] = lambda *_: None

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.name = "trail"

    def note(self, job_id: int, part: Part, event: str, detail: str = "") -> None:
        """Record an event, a short word, now; the trace is that of the running context."""
        self._counted(job_id, part, event)
        detail = " ".join(detail.split())[:DETAIL_MAX]
        self.put(TrailEntry(job_id, self._now(), self._host, part, event, detail, tracing.trace()))
