"""Types of the JSON documents of self-serve: what serializers return, and what is documented.

Keys are only ever added: programs read the others [docs/compatibility.md].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from buildapi.model.steps import StepsDocument
from buildapi.model.token_scope import ScopeDocument
from buildapi.web.http.routes import RouteDocument

Epoch = Annotated[int, Meta(description="Seconds since the epoch.")]
PushAuthor = Annotated[
    str, Meta(description="Who pushed its revision; missing if no change of it is known.")
]
PushSubject = Annotated[
    str, Meta(description="The first line of the push's comment, at most 200 characters.")
]


class RequestDocument(TypedDict):
    """A build request."""

    request_id: int
    buildername: str
    branch: str | None
    revision: str | None
    submittime: Epoch
    complete: Annotated[int, Meta(ge=0, le=1)]
    complete_at: Epoch | None
    priority: int
    claimed_at: Annotated[int, Meta(description="Seconds since the epoch; 0 if unclaimed.")]
    reason: str | None


class OpenRequestDocument(RequestDocument):
    """A build request without a build; it has ``claimed_by_name`` while a master starts one."""

    claimed_by_name: NotRequired[str | None]
    author: NotRequired[PushAuthor]
    comments: NotRequired[PushSubject]


class RequestWithProperties(RequestDocument):
    """A build request of a build, with its properties."""

    properties: dict[str, Any]


class PushJobDocument(TypedDict):
    """A build of a push, or a request of it without a build, whose ``build_id`` is null."""

    build_id: int | None
    request_id: Annotated[int, Meta(description="The first of requests.")]
    requests: list[int]
    buildername: str
    state: str
    platform: str
    kind: Annotated[str, Meta(description="Build type and job type.")]
    symbol: Annotated[str, Meta(description="A few letters that stand for the builder.")]
    submittime: Epoch
    starttime: Epoch | None
    endtime: Epoch | None
    priority: int
    claimed_by_name: str | None


class PushedWithDocument(TypedDict):
    """A revision without jobs that was pushed with another; its comments' first line."""

    revision: str
    comments: str


class PushDocument(TypedDict):
    """A push: the changes of one revision on one branch, with its jobs and a summary of them."""

    branch: str
    revision: str
    author: Annotated[str, Meta(description="That of the first change.")]
    comments: Annotated[str, Meta(description="First line of those of the first change.")]
    when: Epoch
    changes: Annotated[int, Meta(description="The number of changes.")]
    revlink: str | None
    pushed_with: Annotated[
        list[PushedWithDocument],
        Meta(description="Other revisions of its author and second, the last one first."),
    ]
    counts: Annotated[dict[str, int], Meta(description="Number of all its jobs by state.")]
    job_complete: Annotated[bool, Meta(description="As is_done answers without parameters.")]
    job_passed: bool
    started: Epoch | None
    ended: Annotated[int | None, Meta(description="Null while a job is open.")]
    expected_seconds: Annotated[
        int | None,
        Meta(description="Time left by the median durations of the builders; null if unknown."),
    ]
    jobs: NotRequired[list[PushJobDocument]]
    jobs_omitted: NotRequired[
        Annotated[bool, Meta(description="True if it has too many jobs to tell anything of them.")]
    ]


class PushListDocument(TypedDict):
    """Pushes, newest first, and the URI of older ones; null if there are none."""

    pushes: list[PushDocument]
    next: str | None


class RebuildOfDocument(TypedDict):
    """What a request is a rebuild of: a build or a request, the other is null."""

    build_id: int | None
    request_id: int | None
    job_id: Annotated[int, Meta(description="The job request that asked for the rebuild.")]


class RebuildsFields(TypedDict):
    """How a build or request is linked with its rebuilds."""

    rebuilt_as: Annotated[
        list[int] | None,
        Meta(
            description="Ids of the new requests of its rebuilds, newest first, at most 100;"
            " null while the jobs database does not respond."
        ),
    ]
    rebuild_of: RebuildOfDocument | None


class RequestDetailsDocument(OpenRequestDocument, RebuildsFields):
    """A build request with its properties, builds and rebuilds."""

    properties: dict[str, Any]
    build_ids: list[int]


class BuildFields(TypedDict):
    """What every build has."""

    build_id: int
    buildnumber: int
    buildername: str
    branch: str | None
    revision: str | None
    starttime: Epoch
    endtime: Epoch | None
    status: Annotated[
        int | None,
        Meta(
            description="0 success, 1 warnings, 2 failure, 3 skipped, 4 exception, 5 retry,"
            " 6 cancelled; null while its request is open."
        ),
    ]
    claimed_by_name: str | None
    abandoned: NotRequired[Literal[True]]
    author: NotRequired[PushAuthor]
    comments: NotRequired[PushSubject]


class BuildDocument(BuildFields):
    """A build and the requests that it serves."""

    requests: list[RequestDocument]


class BuildDetailsDocument(BuildFields, RebuildsFields):
    """A build, its requests with their properties, and its rebuilds."""

    requests: list[RequestWithProperties]


class BuildStepDocument(TypedDict):
    """A step of a build; it has no times and no status before it is begun."""

    name: str
    text: Annotated[str, Meta(description="What the master shows of it, such as its last words.")]
    state: Annotated[str, Meta(description="The word for its status, or pending or running.")]
    starttime: Epoch | None
    endtime: Epoch | None
    status: int | None


class BuildStepsDocument(TypedDict):
    """What the master of a build reports of it; without worker and steps, nothing is known."""

    worker: str | None
    log_url: Annotated[str | None, Meta(description="Where the log of all steps is kept.")]
    failing_step: Annotated[str | None, Meta(description="The first step that failed.")]
    steps: list[BuildStepDocument]


class UserDocument(TypedDict):
    """Ended builds, running builds and pending requests with changes of an author."""

    builds: list[BuildDocument]
    running: list[BuildDocument]
    pending: list[OpenRequestDocument]


class CompletionDocument(TypedDict):
    """Whether a revision is complete, and passed; ``revisions`` if the hash fits several."""

    stableDelay: int
    job_complete: bool
    job_passed: bool
    revisions: NotRequired[list[str]]


class ProgressDocument(TypedDict):
    """How many items of a running job are finished."""

    done: int
    total: int


class JobDocument(TypedDict):
    """A job request: what was asked, its state, the outcome of each item."""

    id: int
    state: Literal["queued", "running", "done", "failed"]
    action: str
    who: str
    when: Epoch
    completed_at: Epoch | None
    what: dict[str, Any]
    complete_data: Mapping[str, Any] | None
    items: list[Mapping[str, Any]]
    warnings: list[str]
    progress: ProgressDocument | None
    author: NotRequired[PushAuthor]
    comments: NotRequired[PushSubject]


class AcceptedDocument(TypedDict):
    """An accepted job request; ``request_id`` is the id of the job."""

    status: Literal["OK"]
    request_id: int
    msg: str
    warnings: NotRequired[list[str]]
    job: NotRequired[JobDocument]


class PlanDocument(StepsDocument):
    """The plan of a job request: the expected outcome, and the steps of the farm's dialect."""

    errors: bool
    msg: str
    items: Sequence[Mapping[str, Any]]
    warnings: list[str]


class DryRunDocument(TypedDict):
    """What a job request would do; nothing was done."""

    status: Literal["OK"]
    dry_run: Literal[True]
    msg: str
    plan: PlanDocument


class TokenDocument(TypedDict):
    """A token, for its owner."""

    id: int
    label: str
    created_at: Epoch
    expires_at: Epoch
    used_at: Epoch | None
    used_from: str | None
    scope: ScopeDocument | None


class NewTokenDocument(TypedDict):
    """A new token; only here is its text."""

    status: Literal["OK"]
    id: int
    token: str
    label: str
    expires_at: Epoch
    scope: ScopeDocument | None
    msg: str
    warnings: NotRequired[Sequence[str]]


class RevokedDocument(TypedDict):
    """A revoked token."""

    status: Literal["OK"]
    id: int
    msg: str


class AllRevokedDocument(TypedDict):
    """The revoked tokens of a user."""

    status: Literal["OK"]
    user: str
    ids: list[int]
    msg: str


class OwnTokenDocument(TypedDict):
    """The token that a call was authenticated with."""

    id: int
    label: str
    expires_at: Epoch
    scope: ScopeDocument | None


class WhoDocument(TypedDict):
    """The user, how they were authenticated, and their CSRF token."""

    who: str | None
    by: Literal["proxy", "token", "development"] | None
    token: OwnTokenDocument | None
    csrf_token: str | None


class BatchAnswerDocument(TypedDict):
    """The status and body that an entry would have got alone."""

    status: int
    body: dict[str, Any]


class SelectionAnswerDocument(BatchAnswerDocument):
    """The same, with the path of the selected item."""

    item: str


class FoundDocument(TypedDict):
    """Paths of pages that were looked for."""

    found: list[str]


class TrailEvent(TypedDict):
    """An event in the life of a job request; ``at`` is in seconds since the epoch."""

    at: float
    host: str
    part: str
    event: str
    detail: str
    trace: str


class TraceDocument(TypedDict):
    """A job request and its events; ``trace`` is the id of the request that submitted it."""

    job: JobDocument
    trace: str | None
    events: list[TrailEvent]


class AuditToken(TypedDict):
    """The token that somebody was authenticated with."""

    id: int
    label: str


class AuditDocument(TypedDict):
    """A record of the audit log; ``at`` is in seconds since the epoch."""

    id: int | None
    at: float
    host: str
    who: str | None
    by: str
    groups: list[str]
    token: AuditToken | None
    address: str
    peer: str
    forwarded: str
    user_agent: str
    action: str
    branch: str | None
    build_id: int | None
    request_id: int | None
    revision: str | None
    builders: list[str]
    outcome: str
    status: int | None
    code: str
    job_id: int | None
    detail: str
    trace: str
    count: int


class AuditPage(TypedDict):
    """Records of the audit log, newest first, and the path of the next ones."""

    records: list[AuditDocument]
    next: str | None


class RuleDocument(TypedDict):
    """A rule and its conditions; without a name, it is the default."""

    rule: str | None
    effect: Literal["allow", "deny"]
    builders: NotRequired[list[str]]
    priority: NotRequired[list[int]]
    count: NotRequired[int]


class AuthorizationDocument(TypedDict):
    """How far something is permitted, and by which rule; null is the default.

    What is permitted partly has the rules that may decide it, in order.
    """

    allowed: str
    rule: str | None
    needed: str
    rules: NotRequired[list[RuleDocument]]


class BranchAuthorizations(TypedDict):
    """What one may do on a branch."""

    access: str | None
    actions: dict[str, AuthorizationDocument]


class AuthorizationsDocument(TypedDict):
    """What the user of a call may do."""

    who: str | None
    groups: list[str]
    token: str | None
    branches: dict[str, BranchAuthorizations]
    administration: dict[str, AuthorizationDocument]


class ShownDocument(TypedDict):
    """Where the document is that a page shows."""

    document: str


class SelfServeDocument(TypedDict):
    """The routes, the names of branches, and the age in seconds of the files of the directory."""

    routes: list[RouteDocument]
    branches: list[str]
    directory_age_seconds: dict[str, int | None]


class NewBuildsDocument(TypedDict):
    """The form for new builds: the kinds with their labels, and what is filled in."""

    branch: str
    kinds: dict[str, str]
    revision: str
    builder: str


class ErrorDocument(TypedDict):
    """An error.

    ``rule`` and ``needed`` are those of a refusal by the access rules, the last keys those of
    a 503.
    """

    status: Literal["FAILED"]
    msg: str
    code: Annotated[str, Meta(description="A short word for programs, which never changes.")]
    request_id: NotRequired[
        Annotated[int, Meta(description="The id of the job, once it is recorded.")]
    ]
    rule: NotRequired[
        Annotated[str | None, Meta(description="The rule that decided; null for the default.")]
    ]
    needed: NotRequired[
        Annotated[str, Meta(description="Who would be permitted it; empty if nobody is.")]
    ]
    away: NotRequired[list[str]]
    trace: NotRequired[str]
    retry_after: NotRequired[int]
    status_page: NotRequired[str]
