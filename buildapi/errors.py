"""Errors that know which HTTP status they deserve."""

from buildapi.model.outcome import Item


class BuildAPIError(Exception):
    """Refuse a request with a text meant for its sender.

    ``status`` is the HTTP status, ``code`` a short stable word for programs.  ``retry_after`` is
    in seconds, None where asking again would not help.  ``challenge`` says how to show who one is.
    ``job_id`` is that of the job request that was recorded, once one is.
    """

    status = 500
    code = "error"
    retry_after: int | None = None
    challenge: str | None = None
    job_id: int | None = None

    def __init__(self, msg: str, job_id: int | None = None) -> None:
        super().__init__(msg)
        self.msg = msg
        if job_id is not None:
            self.job_id = job_id

    def document(self) -> dict[str, str | int]:
        """Return what JSON says of it."""
        said: dict[str, str | int] = {"status": "FAILED", "msg": self.msg, "code": self.code}
        return said if self.job_id is None else said | {"request_id": self.job_id}


class BadRequest(BuildAPIError):
    """Say what is wrong with the input."""

    status, code = 400, "bad_request"


class UnknownParameter(BadRequest):
    """Refuse a parameter that the request does not know, rather than pass it over."""

    code = "unknown_parameter"


class AccessDenied(BuildAPIError):
    """Refuse somebody who is nobody, or may not."""

    status, code = 403, "access_denied"

    def __init__(self, msg: str = "ACCESS DENIED!") -> None:
        super().__init__(msg)


class BadToken(BuildAPIError):
    """Refuse a token that stands for nobody."""

    status, code = 401, "bad_token"
    challenge = 'Bearer realm="BuildAPI", error="invalid_token"'


class UnknownHost(BuildAPIError):
    """Refuse a request that asks for another name than ours [RFC 9110 15.5.20]."""

    status, code = 421, "unknown_host"


class NotFound(BuildAPIError):
    """Say what is not there."""

    status, code = 404, "not_found"


class TooLarge(BuildAPIError):
    """Refuse a body or an answer past its bound."""

    status, code = 413, "too_large"


class InProgress(BuildAPIError):
    """Refuse for now what is being decided in this moment; ask again in a second."""

    status, code = 409, "in_progress"
    retry_after = 1


class KeyReused(BuildAPIError):
    """Refuse a key that stands for another request."""

    status, code = 422, "idempotency_key_reused"


class TooManyBuilds(BuildAPIError):
    """Refuse a request that asks for more builds than one request, or one user, may."""

    status, code = 429, "too_many_builds"

    def __init__(self, msg: str, retry_after: int) -> None:
        super().__init__(msg)
        self.retry_after = retry_after


class TooManyStreams(BuildAPIError):
    """Refuse another stream of events to a client that has many."""

    status, code = 429, "too_many_streams"
    retry_after = 30


class Unavailable(BuildAPIError):
    """Refuse for now: nothing was done, asking again later is safe."""

    status, code = 503, "unavailable"
    retry_after = 5


class Unconfirmed(Unavailable):
    """Report that something was asked for, and that nobody can tell yet what came of it.

    ``item`` says so in the progress of the job.
    """

    def __init__(self, msg: str, item: Item) -> None:
        super().__init__(msg)
        self.item = item


class BrokerUnavailable(Unavailable):
    """Report that a message is not safe with the broker."""

    code = "broker_unavailable"


class DatabaseUnavailable(Unavailable):
    """Report that a database did not answer in time, or has no room for another query."""

    code = "database_unavailable"


class UnclassifiedError(DatabaseUnavailable):
    """Report an error of a database that nobody classified: it is waited for, but not for ever."""


class OutcomeUnknownError(BuildAPIError):
    """Admit that a job request may or may not be carried out."""

    code = "outcome_unknown"


class ConfigError(Exception):
    """Name the file, section, key and value that stop the program, and what is allowed."""
