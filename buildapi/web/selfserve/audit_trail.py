"""Serve the audit trail of a job request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from buildapi.errors import NotFound
from buildapi.interfaces import JobStore, TrailStore
from buildapi.model.ops import CLOCKS_APART, TrailEntry, first_trace
from buildapi.model.records import JobRecord
from buildapi.parameters.texts import id_of_path
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.selfserve.documents import TraceDocument, TrailEvent
from buildapi.web.selfserve.pages import SelfServePages
from buildapi.web.selfserve.serializers import job_json


@attrs.frozen
class JobTrail:
    """Serve the audit trail of a job."""

    _store: JobStore
    _trail: TrailStore
    _pages: SelfServePages

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        return (Route("GET", "/self-serve/jobs/{job_id}/trace", self.trace, TRACE, (FORMAT,)),)

    async def trace(self, call: Call) -> Reply:
        """Show the events of a job, in order."""
        text = call.path["job_id"]
        job_id = id_of_path(text)
        job = None if job_id is None else await self._store.get(job_id)
        if job is None:
            raise NotFound(f"Job {text} not found")
        # Ids are used again after the jobs database was restored to an older copy (docs/amqp.md,
        # "Whose a message is"): older events are of another job.
        entries = await self._trail.of_job(job.id, job.when - CLOCKS_APART)
        document = JSONBody.of(trace_json(job, entries))
        title = f"Timeline of job {job.id}"
        page = Page("trace.html", title, lambda: self._pages.common() | document.value)
        return Reply(document, page, fresh=True)


def trace_json(job: JobRecord, entries: Sequence[TrailEntry]) -> TraceDocument:
    """Return a job and its events as JSON; without events, those that its row implies."""
    events = [event_json(entry) for entry in entries] or recorded_events(job)
    report: Mapping[str, object] = job.complete_data or {}
    # The stored outcome has it too (docs/amqp.md, "finished"), also after [ops] trail_days.
    told = report.get("trace")
    trace = first_trace(entries) or (told if isinstance(told, str) else None)
    return {"job": job_json(job), "trace": trace or None, "events": events}


def event_json(entry: TrailEntry) -> TrailEvent:
    """Return an event as JSON."""
    return {
        "at": entry.at,
        "host": entry.host,
        "part": entry.part.value,
        "event": entry.event,
        "detail": entry.detail,
        "trace": entry.trace,
    }


def recorded_events(job: JobRecord) -> list[TrailEvent]:
    """Return the events that a job's row implies; the host is known of ``begun`` alone."""
    found = [_event(job.when, "http", "recorded", f"{job.action} by {job.who}")]
    if job.completed_at is not None:
        body = (job.complete_data or {}).get("body")
        msg = str(body.get("msg", "")) if isinstance(body, dict) else ""
        found.append(_event(job.completed_at, "finisher", "stored", " ".join(msg.split())[:1000]))
    if job.agent is not None:
        last = job.when if job.completed_at is None else job.completed_at
        begun = _event(last, "agent", "begun", "time not recorded")
        found.insert(1, {**begun, "host": job.agent})
    return found


def _event(at: float, part: str, event: str, detail: str) -> TrailEvent:
    return {"at": at, "host": "", "part": part, "event": event, "detail": detail, "trace": ""}


TRACE = "The timeline of a job request, with the id of the HTTP request that submitted it."
