"""Records of the audit log: who did what to which objects, from where, and what was answered.

The audit trail (``model.ops.TrailEntry``) says how one job request went on its way through the
processes; the audit log says who asked for what, also where the answer was no.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence

import attrs

from buildapi.model.actions import ACTIONS, Action, NewBuilderBuild

# The names of actions of job requests are in use beside these.
CREATE_TOKEN = "create_token"  # noqa: S105  # a word, not a secret
USE_TOKEN = "use_token"  # noqa: S105  # likewise
REVOKE_TOKEN = "revoke_token"  # noqa: S105  # likewise
RELOAD = "reload_configuration"
UPGRADE = "upgrade_schema"

OTHER_ACTIONS = (CREATE_TOKEN, USE_TOKEN, REVOKE_TOKEN, RELOAD, UPGRADE)
"""Names of the actions that are recorded and are not job requests."""

VARIOUS = "various"
"""The action of refusals that are recorded together and were about several."""

USER_AGENT_MAX = 200
FORWARDED_MAX = 500
BUILDERS_MOST = 20


class AuditOutcome(enum.Enum):
    """The answer: ``ACCEPTED`` a job request, ``DONE`` anything else, ``REFUSED`` or ``FAILED``.

    ``OTHER`` is an outcome that only a newer version has.
    """

    ACCEPTED = "accepted"
    DONE = "done"
    REFUSED = "refused"
    FAILED = "failed"
    OTHER = "other"


@attrs.frozen
class AuditActor:
    """Who acts, and how they are known.

    ``by`` is proxy, token or development for a user of HTTP, ``command`` for an operator at a
    shell, ``process`` for the process itself, and empty for nobody.  ``token_label`` is the label
    of the token that they use, by its id.
    """

    who: str | None = None
    by: str = ""
    groups: tuple[str, ...] = ()
    token_id: int | None = None
    token_label: str = ""


BY_PROCESS = AuditActor(by="process")
"""The actor of what a process does of its own accord, or by a signal, whose sender is unknown."""


@attrs.frozen
class Client:
    """Where an HTTP request came from; all empty for what did not come over HTTP.

    ``address`` is that of the client, as trusted proxies name it, ``peer`` that of the connection,
    ``forwarded`` the chain in ``X-Forwarded-For``, which anybody may have made up.
    """

    address: str = ""
    peer: str = ""
    forwarded: str = ""
    user_agent: str = ""


@attrs.frozen
class AuditSubject:
    """What is acted on, as far as it is named; ``request_id`` is that of a build request."""

    branch: str | None = None
    build_id: int | None = None
    request_id: int | None = None
    revision: str | None = None
    builders: tuple[str, ...] = ()


@attrs.frozen
class AuditRecord:
    """One record of the audit log.

    ``at`` is in seconds since the epoch, with a fraction.  ``action`` is the name of an action, or
    the method and route of a request that was refused before one was known.  ``status`` and
    ``code`` are those of a refusal.  ``trace`` is the id of the HTTP request.  ``count`` is the
    number of refusals that the record stands for.  ``identity`` is its own among all records:
    writing it again changes nothing.  ``id`` is its place in the table, None before it has one.
    """

    action: str
    outcome: AuditOutcome
    actor: AuditActor = AuditActor()
    client: Client = Client()
    subject: AuditSubject = AuditSubject()
    status: int | None = None
    code: str = ""
    job_id: int | None = None
    detail: str = ""
    trace: str = ""
    count: int = 1
    at: float = 0.0
    host: str = ""
    identity: str = ""
    id: int | None = None


@attrs.frozen
class AuditFilter:
    """Which records are looked for; None matches all.

    ``who`` is the user or, for what was done to tokens, their owner.  ``since`` and ``until`` are
    seconds since the epoch, the second is the first moment that is left out.  ``before`` is the
    ``id`` of the record after which older ones are wanted.
    """

    who: str | None = None
    action: str | None = None
    outcome: AuditOutcome | None = None
    branch: str | None = None
    build_id: int | None = None
    request_id: int | None = None
    revision: str | None = None
    job_id: int | None = None
    token_id: int | None = None
    address: str | None = None
    since: float | None = None
    until: float | None = None
    before: int | None = None


def schema_record(actor: AuditActor, changes: Sequence[str]) -> AuditRecord:
    """Return the record of changes to our tables."""
    return AuditRecord(UPGRADE, AuditOutcome.DONE, actor, detail=", ".join(changes))


def subject_of(action: Action, branch: str | None) -> AuditSubject:
    """Return what a job request on a branch acts on; never values of its properties."""
    names = {field.name for field in attrs.fields(type(action))}
    builders: tuple[str, ...] = ()
    if isinstance(action, NewBuilderBuild):
        builders = (action.builder_name,)
    elif "builders" in names:
        builders = tuple(getattr(action, "builders", ()))[:BUILDERS_MOST]
    return AuditSubject(
        branch if branch is not None else getattr(action, "branch", None),
        getattr(action, "bid", None),
        getattr(action, "brid", None),
        getattr(action, "full_revision", "") or getattr(action, "revision", None),
        builders,
    )


def subject_of_path(values: Mapping[str, str]) -> AuditSubject:
    """Return what the path of a request names, which was refused before it was checked."""
    return AuditSubject(
        values.get("branch"),
        _id(values.get("build_id")),
        _id(values.get("request_id")),
        values.get("revision"),
    )


def _id(text: str | None) -> int | None:
    """Parse an id; None for what no database has."""
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= ID_DIGITS):
        return None
    return int(text)


ID_DIGITS = 18
"""Digits of the longest id that a BIGINT holds, whatever the digits are."""

ACTION_NAMES = (*ACTIONS, *OTHER_ACTIONS)
"""Names that a search for an action offers."""
