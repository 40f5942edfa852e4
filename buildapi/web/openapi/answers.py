"""The answers of each route: the type of its JSON, and its other media types, by status.

The types are those that the encoders return, so that mypy holds both together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs

from buildapi.model.status import StatusDocument
from buildapi.reports.documents import (
    BuilderDocument,
    BuildersDocument,
    BuildRunDetails,
    EndToEndDocument,
    IdleJobsDocument,
    NamesDocument,
    NothingDocument,
    PushesReportDocument,
    ReportListDocument,
    SlaveDetails,
    SlavesDocument,
    StatusBuilderDocument,
    StatusBuildersDocument,
    TestRunsDocument,
    TrySyntaxDocument,
    WaitTimesDocument,
)
from buildapi.web.farm.documents import (
    HomeDocument,
    LoadDocument,
    PendingDocument,
    PushesDocument,
    RecentDocument,
    RevisionDocument,
    RunningDocument,
)
from buildapi.web.http.routes import Route
from buildapi.web.ops.documents import (
    DumpsDocument,
    HealthDocument,
    NotReadyDocument,
    ReadyDocument,
)
from buildapi.web.selfserve.documents import (
    AcceptedDocument,
    AllRevokedDocument,
    AuditPage,
    AuthorizationsDocument,
    BatchAnswerDocument,
    BuildDetailsDocument,
    BuildDocument,
    BuildStepsDocument,
    CompletionDocument,
    DryRunDocument,
    FoundDocument,
    JobDocument,
    NewBuildsDocument,
    NewTokenDocument,
    OpenRequestDocument,
    PushListDocument,
    RequestDetailsDocument,
    RevokedDocument,
    SelectionAnswerDocument,
    SelfServeDocument,
    ShownDocument,
    TokenDocument,
    TraceDocument,
    UserDocument,
    WhoDocument,
)

# Any: Python has no type of its own for all that an annotation may be [PEP 747].
TypeForm: TypeAlias = Any

HTML, CSV, SCRIPT = "text/html", "text/csv", "text/javascript"


@attrs.frozen
class ListOfEither:
    """A list of documents of either type, which msgspec has no schema for."""

    one: TypeForm
    other: TypeForm


@attrs.frozen
class Answer:
    """An answer that is not a plain error: the type of its JSON, and other media types.

    An answer ``without_json`` has these alone, and no ``type``.
    """

    meaning: str
    type: TypeForm = None
    media: tuple[str, ...] = (HTML,)
    without_json: bool = False


Answers = Mapping[int, Answer]
FARM: Mapping[str, TypeForm] = {
    "/pending": PendingDocument,
    "/running": RunningDocument,
    "/revision": RevisionDocument,
    "/recent": list[RecentDocument],
    "/pushes": PushesDocument,
    "/load": LoadDocument,
}
"""Types of the answers of the whole farm, by the beginning of their paths."""

LED: Answers = {302: Answer("HTML clients are led to a page.", media=(), without_json=True)}


def _read(type: TypeForm, *media: str) -> Answers:
    return {200: Answer("The answer.", type, (HTML, *media))}


def _file(*media: str) -> Answers:
    return {200: Answer("The file.", media=media, without_json=True)}


ITEMS = ListOfEither(BuildDocument, OpenRequestDocument)
JOB: Answers = {
    200: Answer("The plan, for dry_run; nothing was done.", DryRunDocument),
    202: Answer("Accepted, and queued.", AcceptedDocument),
    **LED,
}
REPORTS: Mapping[str, TypeForm] = {
    "waittimes": WaitTimesDocument,
    "waittimes/{pool}": WaitTimesDocument,
    "pushes": PushesReportDocument,
    "builders": BuildersDocument,
    "builders/{branch_name}": BuildersDocument,
    "builder/{buildername}": BuilderDocument,
    "endtoend": EndToEndDocument,
    "endtoend/{branch_name}": EndToEndDocument,
    "trychooser": TrySyntaxDocument,
    "trychooser/{branch_name}": TrySyntaxDocument,
    "revision/{branch_name}/{revision}": BuildRunDetails,
    "slaves": SlavesDocument,
    "slaves/{slave_id}": SlaveDetails,
    "status_builders": StatusBuildersDocument,
    "status_builders/{builder_name}": StatusBuilderDocument,
    "testruns": TestRunsDocument,
    "idlejobs": IdleJobsDocument,
    "names": NamesDocument,
}
"""Types of the reports by their paths below ``REPORT``."""
REPORT = "/reports/"

ANSWERS: Mapping[str, Answers] = {
    "GET /": _read(HomeDocument),
    "GET /builds/{name}": _file("application/json", "application/gzip"),
    "GET /docs": _read(ShownDocument),
    "GET /metrics": _file("text/plain"),
    "GET /builds": _read(DumpsDocument),
    "GET /healthz": _read(HealthDocument),
    "GET /readyz": {**_read(ReadyDocument), 503: Answer("Not ready.", NotReadyDocument)},
    "GET /status": _read(StatusDocument),
    "GET /static/{name}": _file("text/css", SCRIPT),
    "GET /static/scripts/{version}/{name}": _file(SCRIPT),
    "GET /reports": _read(ReportListDocument),
    "GET /self-serve": _read(SelfServeDocument),
    "GET /self-serve/{branch}/new": _read(NewBuildsDocument),
    "GET /self-serve/branches": _read(dict[str, Any]),
    "GET /self-serve/events": _file("text/event-stream"),
    "GET /openapi.json": {200: Answer("The document.", dict[str, Any], ())},
    "GET /reports/revision": {**_read(NothingDocument, CSV, SCRIPT), **LED},
    "GET /self-serve/lookup": {**_read(FoundDocument), **LED},
    "GET /self-serve/jobs": _read(list[JobDocument]),
    "GET /self-serve/jobs/{job_id}": _read(JobDocument),
    "GET /self-serve/jobs/{job_id}/trace": _read(TraceDocument),
    "GET /self-serve/audit": _read(AuditPage),
    "GET /self-serve/authorizations": _read(AuthorizationsDocument),
    "GET /self-serve/tokens": _read(list[TokenDocument]),
    "GET /self-serve/whoami": _read(WhoDocument),
    "GET /self-serve/{branch}": _read(ITEMS),
    "GET /self-serve/{branch}/build/{build_id}": _read(BuildDetailsDocument),
    "GET /self-serve/{branch}/build/{build_id}/steps": _read(BuildStepsDocument),
    "GET /self-serve/{branch}/builders": _read(list[str]),
    "GET /self-serve/{branch}/pushes": _read(PushListDocument),
    "GET /self-serve/pushes": _read(PushListDocument),
    "GET /self-serve/user/{user}": _read(PushListDocument),
    "GET /self-serve/{branch}/request/{request_id}": _read(RequestDetailsDocument),
    "GET /self-serve/{branch}/rev/{revision}": _read(ITEMS),
    "GET /self-serve/{branch}/rev/{revision}/is_done": _read(CompletionDocument),
    "GET /self-serve/{branch}/user/{user}": _read(UserDocument),
    "POST /self-serve/batch": {200: Answer("The answer of each.", list[BatchAnswerDocument])},
    "POST /self-serve/selection": {
        200: Answer("The answer of each.", list[SelectionAnswerDocument])
    },
    "POST /self-serve/tokens": {201: Answer("The new token.", NewTokenDocument)},
    "DELETE /self-serve/tokens": {200: Answer("Revoked.", AllRevokedDocument), **LED},
    "DELETE /self-serve/tokens/{token_id}": {200: Answer("Revoked.", RevokedDocument), **LED},
}
"""Answers by method and path.

A job request without an entry has ``JOB``, a report one of ``REPORTS``.
"""


def answers_of(route: Route) -> Answers:
    """Return the answers of a route that are not plain errors, by status.

    :raises KeyError: they are not declared.
    """
    found = ANSWERS.get(f"{route.method} {route.path}")
    if found is not None:
        return found
    if route.job:
        return JOB
    if route.path.startswith(REPORT):
        return _read(REPORTS[route.path.removeprefix(REPORT)], CSV, SCRIPT)
    return _read(FARM[f"/{route.path.split('/')[1]}"])
