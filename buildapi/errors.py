"""Errors with the HTTP status and code that clients receive."""

from buildapi.model.audit import AuditSubject
from buildapi.model.outcome import Item


class BuildAPIError(Exception):
    """Refuse a request with a message for its client.

    ``status`` is the HTTP status, ``code`` a short stable word for programs.  ``retry_after`` is
    in seconds, None if a retry would not help.  ``challenge`` is the WWW-Authenticate header.
    ``job_id`` is set once the job request is recorded, ``subject`` once it is known what was asked
    for.
    """

    status = 500
    code = "error"
    retry_after: int | None = None
    challenge: str | None = None
    job_id: int | None = None
    subject: AuditSubject | None = None

    def __init__(self, msg: str, job_id: int | None = None) -> None:
        super().__init__(msg)
        self.msg = msg
        if job_id is not None:
            self.job_id = job_id

    def document(self) -> dict[str, str | int | None]:
        """Return the body of a JSON response."""
        said: dict[str, str | int | None] = {"status": "FAILED", "msg": self.msg, "code": self.code}
        return said if self.job_id is None else said | {"request_id": self.job_id}


class BadRequest(BuildAPIError):
    """Refuse bad input."""

    status, code = 400, "bad_request"


class UnknownParameter(BadRequest):
    """Refuse an unknown parameter instead of ignoring it: a typo could cancel a whole push."""

    code = "unknown_parameter"


class AccessDenied(BuildAPIError):
    """Refuse a client without a user, or a user without the permission."""

    status, code = 403, "access_denied"

    # Other programs read this text [docs/compatibility.md, Texts].
    def __init__(self, msg: str = "ACCESS DENIED!") -> None:
        super().__init__(msg)


class NotPermitted(AccessDenied):
    """Refuse what the access rules do not permit a user.

    ``rule`` is the name of the rule that refuses it, None for the default; ``needed`` names the
    groups, users and tokens that are permitted it, empty if there are none.
    """

    def __init__(self, msg: str, rule: str | None, needed: str) -> None:
        super().__init__(msg)
        self.rule, self.needed = rule, needed

    def document(self) -> dict[str, str | int | None]:
        """Return the body of a JSON response."""
        return super().document() | {"rule": self.rule, "needed": self.needed}


class BadToken(BuildAPIError):
    """Refuse a bearer token that is malformed, unknown, expired or not accepted here."""

    status, code = 401, "bad_token"
    # [RFC 6750, 3.1]
    challenge = 'Bearer realm="BuildAPI", error="invalid_token"'


class UnknownHost(BuildAPIError):
    """Refuse a request for another host name than ours [RFC 9110 15.5.20]."""

    status, code = 421, "unknown_host"


class NotFound(BuildAPIError):
    """Report that the named object does not exist."""

    status, code = 404, "not_found"


class TooLarge(BuildAPIError):
    """Refuse a request body or a response above its size limit."""

    status, code = 413, "too_large"


class InProgress(BuildAPIError):
    """Refuse a request while an earlier one with the same idempotency key is being handled."""

    # 409 here and 422 below are those of draft-ietf-httpapi-idempotency-key-header.
    status, code = 409, "in_progress"
    retry_after = 1


class KeyReused(BuildAPIError):
    """Refuse an idempotency key that an earlier, different request used."""

    status, code = 422, "idempotency_key_reused"


class TooManyBuilds(BuildAPIError):
    """Refuse more builds than one job request, or one user in an hour, may ask for."""

    # [RFC 6585, 4]
    status, code = 429, "too_many_builds"

    def __init__(self, msg: str, retry_after: int) -> None:
        super().__init__(msg)
        self.retry_after = retry_after


class TooManyRequests(BuildAPIError):
    """Refuse a client that has sent too many requests in a minute."""

    status, code = 429, "too_many_requests"

    def __init__(self, msg: str, retry_after: int) -> None:
        super().__init__(msg)
        self.retry_after = retry_after


class TooManyStreams(BuildAPIError):
    """Refuse another event stream to a client that has too many."""

    status, code = 429, "too_many_streams"
    retry_after = 30


class Unsupported(BuildAPIError):
    """Report that this version of Buildbot does not record or do what is asked; say which."""

    status, code = 501, "unsupported"


class Unavailable(BuildAPIError):
    """Refuse a request for now: nothing was done, a retry is safe."""

    status, code = 503, "unavailable"
    retry_after = 5


class Overloaded(BuildAPIError):
    """Refuse a request at once, since too many are being answered: nothing was done."""

    status, code = 503, "overloaded"

    def __init__(self, msg: str, retry_after: int) -> None:
        super().__init__(msg)
        self.retry_after = retry_after


class Unconfirmed(Unavailable):
    """Report that the effect of a step cannot be observed yet.

    ``item`` says so in the progress of the job.
    """

    def __init__(self, msg: str, item: Item) -> None:
        super().__init__(msg)
        self.item = item


class BrokerUnavailable(Unavailable):
    """Report that the broker did not confirm a message, or is not connected."""

    code = "broker_unavailable"


class DatabaseUnavailable(Unavailable):
    """Report that a database did not answer in time, or its queue of queries is full."""

    code = "database_unavailable"


class UnclassifiedError(DatabaseUnavailable):
    """Report an unclassified database error: it is retried, but not for ever."""


class TableDenied(DatabaseUnavailable):
    """Report that the account of a database has no right to a table or column of a statement."""


class OutcomeUnknownError(BuildAPIError):
    """Report that a job request may or may not be executed."""

    code = "outcome_unknown"


class ConfigError(Exception):
    """Report bad configuration: file, section, key and value, and the allowed values."""
