"""Find the new requests of a rebuild in the outcome of its job."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from buildapi.model.actions import ID_MAX, RebuildBuild, RebuildRequest
from buildapi.model.rebuilds import OF_BUILD, OF_REQUEST, Rebuild, RebuildOrigin
from buildapi.model.records import JobRecord
from buildapi.model.wire import readable_items

_ORIGINS = {RebuildBuild.name: (OF_BUILD, "bid"), RebuildRequest.name: (OF_REQUEST, "brid")}


def rebuilds_of(job: JobRecord, report: Mapping[str, object]) -> Sequence[Rebuild]:
    """List the new requests of a job that rebuilds; of any other job, none.

    Outcomes of older agents have no items, so no requests are known of them.
    """
    kind, name = _ORIGINS.get(job.action, ("", ""))
    old = _id(job.what.get(name))
    if old is None:
        return []
    # Only what was submitted has a buildset: a request that was looked at has none.
    submitted = [
        _id(item.get("request_id"))
        for item in readable_items(report.get("items"))
        if item.get("state") == "done" and item.get("buildset_id")
    ]
    origin = RebuildOrigin(kind, old)
    return [Rebuild(origin, new, job.id) for new in dict.fromkeys(submitted) if new is not None]


def _id(value: object) -> int | None:
    # Any agent may have written the outcome; a larger number would not fit into the table.
    return value if type(value) is int and 0 < value <= ID_MAX else None
