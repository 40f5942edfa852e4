"""Accept changes over Perspective Broker, as a master of Buildbot 0.8.2 does."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet import defer
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from twisted.spread import pb
from zope.interface import implementer  # type: ignore[import-untyped]  # it ships no types

from buildapi.db.sql import Database, Statement, ValueRefusedError
from buildapi.errors import DatabaseUnavailable
from buildapi.sample.catalog import BRANCHES, BuildType, builder_groups
from buildapi.sample.loopback_ports import Endpoint, LoopbackServer
from buildapi.sample.sample_rows import (
    RowStatements,
    SampleChange,
    insert_change,
    insert_submission,
)

# The defaults of Buildbot's PBChangeSource, which sendchange uses.
CHANGE_USER, CHANGE_PASSWORD = "change", "changepw"
MESSAGE_MAX = 2_000_000
"""Maximum bytes of one message."""
IDLE_SECONDS = 60
CONCURRENT_MAX = 50
"""Maximum number of changes being stored; more are refused."""

StoreChange = Callable[[object], defer.Deferred[None]]


# --- a change --------------------------------------------------------------------------------

TEXT_MAX, NAME_MAX = 1024, 256
"""Maximum characters of the columns, which SQLite does not enforce."""
FILES_MAX, PROPERTIES_MAX = 1000, 100
SOURCE = "Change"
"""Source of the properties of changes."""


class BadChangeError(ValueError):
    """A change is refused; the message says why."""


def read_change(dictionary: object) -> SampleChange | None:
    """Validate the argument of ``addChange``; return None if it names no files.

    :raises BadChangeError: something is missing, of another type or too long.
    """
    if not isinstance(dictionary, dict):
        raise BadChangeError("a change must be a dictionary")
    fields = {_text_of("a key", key): value for key, value in dictionary.items()}
    # A 0.8.2 master fails with a KeyError without one of these three; all others may be missing.
    if missing := [key for key in ("who", "files", "comments") if key not in fields]:
        raise BadChangeError(f"{missing[0]!r} is missing")
    files = _files(fields["files"])
    # A 0.8.2 master answers None too, and stores nothing.
    if not files:
        return None
    return SampleChange(
        author=_required(fields, "who"),
        comments=_required(fields, "comments"),
        files=files,
        branch=_ascii(fields, "branch"),
        revision=_ascii(fields, "revision"),
        revlink=_text(fields, "revlink", NAME_MAX) if "revlink" in fields else "",
        category=_text(fields, "category", NAME_MAX),
        repository=_text(fields, "repository", TEXT_MAX) or "",
        project=_text(fields, "project", TEXT_MAX) or "",
        when=_when(fields.get("when")),
        properties=_properties(fields.get("properties", {})),
    )


def change_statements(change: SampleChange, branches: Sequence[str], now: int) -> list[Statement]:
    """Return the statements that store a change and the builds that follow from it.

    Schedulers know these ``branches`` by the paths of their repositories, and build each optimised
    and with debugging; a change of another branch is only stored.
    """
    rows = RowStatements()
    when = now if change.when is None else min(change.when, now)
    stored = insert_change(rows, attrs.evolve(change, when=when), now)
    for name in branches:
        # Only an exact match: changes of tests and of B-selfserve schedule nothing.
        if BRANCHES[name].path == change.branch:
            builds = [g.build for g in builder_groups(name) if g.build.kind is not BuildType.PGO]
            insert_submission(rows, [stored], change.revision, builds, now)
    return rows.statements


def _text_of(what: str, value: object) -> str:
    """Return a text; old clients send bytes."""
    if isinstance(value, bytes):
        try:
            return value.decode("ascii")
        except UnicodeDecodeError as e:
            raise BadChangeError(f"{what} is bytes that are not ASCII") from e
    if not isinstance(value, str):
        raise BadChangeError(f"{what} must be a text")
    return value


def _bounded(what: str, value: object, most: int) -> str:
    text = _text_of(what, value)
    if len(text) > most:
        raise BadChangeError(f"{what} is longer than {most} characters")
    return text


def _text(fields: Mapping[str, object], name: str, most: int) -> str | None:
    value = fields.get(name)
    return None if value is None else _bounded(name, value, most)


def _required(fields: Mapping[str, object], name: str) -> str:
    text = _text(fields, name, TEXT_MAX)
    if text is None:
        raise BadChangeError(f"{name} must not be None")
    return text


def _ascii(fields: Mapping[str, object], name: str) -> str | None:
    """Validate a branch or revision: with other than ASCII a real master's schedulers stop."""
    value = fields.get(name)
    # A 0.8.2 master accepts a revision that is an integer.
    text = _text({name: str(value) if type(value) is int else value}, name, NAME_MAX)
    if text is not None and not text.isascii():
        raise BadChangeError(f"{name} must be ASCII")
    return text


def _files(value: object) -> Sequence[str]:
    if not isinstance(value, list | tuple) or len(value) > FILES_MAX:
        raise BadChangeError(f"files must be a list of at most {FILES_MAX}")
    return sorted(_bounded("a file", one, TEXT_MAX) for one in value)


def _when(value: object) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not value >= 0:  # type: ignore[operator]  # a number
        raise BadChangeError("when must be a time in seconds, or None")
    return value  # type: ignore[return-value]  # checked


def _properties(value: object) -> Sequence[tuple[str, str]]:
    if not isinstance(value, dict) or len(value) > PROPERTIES_MAX:
        raise BadChangeError(f"properties must be a dictionary of at most {PROPERTIES_MAX}")
    return [_property(_bounded("a property's name", k, NAME_MAX), v) for k, v in value.items()]


def _property(name: str, value: object) -> tuple[str, str]:
    try:
        # As masters store properties of changes: a pair of value and source, of at most 1024
        # characters.
        text = json.dumps([value, SOURCE], allow_nan=False)
    except (TypeError, ValueError, RecursionError) as e:
        raise BadChangeError(f"property {name!r} is not JSON") from e
    return name, _bounded(f"property {name!r}", text, TEXT_MAX)


# --- the connection ----------------------------------------------------------------------------


# A pb.Error reaches the client without a traceback in the log of this process (Twisted, pb.Error).
class ChangeRefusedError(pb.Error):
    """A change was not stored; the client gets the reason."""


class _ChangeBroker(pb.Broker, TimeoutMixin):
    """Limit the bytes of a message and the idle time of a connection."""

    log = Logger()
    _received = 0

    def connectionMade(self) -> None:
        super().connectionMade()  # type: ignore[no-untyped-call]  # Broker is not typed
        self.setTimeout(IDLE_SECONDS)  # type: ignore[no-untyped-call]  # nor is TimeoutMixin

    def dataReceived(self, chunk: bytes) -> None:
        self.resetTimeout()  # type: ignore[no-untyped-call]  # as above
        self._received += len(chunk)
        # Banana bounds each string and list (banana.SIZE_LIMIT), but not what a message has in
        # total.
        if self._received > MESSAGE_MAX:
            self._abort(f"a message of more than {MESSAGE_MAX} bytes")
            return
        try:
            super().dataReceived(chunk)  # type: ignore[no-untyped-call]  # as above
        except Exception as e:  # whatever a peer that speaks something else provokes
            self._abort(repr(e)[:200])

    def expressionReceived(self, sexp: object) -> None:  # whatever Banana decodes
        """Receive one complete message."""
        self._received = 0
        super().expressionReceived(sexp)  # type: ignore[no-untyped-call]  # as above

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.setTimeout(None)  # type: ignore[no-untyped-call]  # as above
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # as above

    def _abort(self, why: str) -> None:
        self.log.warn("sample changes: connection ended: {why}", why=why)
        transport: Any = self.transport  # whose interface lacks abortConnection
        transport.abortConnection()


class _ChangeSender(pb.Avatar):
    """Represent a client that has logged in to send changes."""

    def __init__(self, store: StoreChange) -> None:
        self._store = store

    def perspective_addChange(self, changedict: object) -> defer.Deferred[None]:
        """Store a change; fire when it is stored."""
        return self._store(changedict)


@implementer(IRealm)
class _ChangeRealm:
    def __init__(self, store: StoreChange) -> None:
        self._store = store

    def requestAvatar(self, avatarId: object, mind: object, *interfaces: object) -> Any:  # noqa: ARG002  # IRealm's, untyped
        return pb.IPerspective, _ChangeSender(self._store), lambda: None


class ChangeSource(LoopbackServer):
    """Store the changes that are sent, and submit the builds of ``branches`` they cause.

    ``now`` returns epoch seconds.
    """

    log = Logger()

    def __init__(
        self,
        endpoint: Endpoint,
        db: Database,
        branches: Sequence[str],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._db, self._branches, self._now = db, branches, now
        self._storing: set[defer.Deferred[None]] = set()
        # Any: twisted.cred and zope's interfaces have no types that fit.
        checker: Any = InMemoryUsernamePasswordDatabaseDontUse()
        # Credentials of Perspective Broker are bytes.
        checker.addUser(CHANGE_USER.encode(), CHANGE_PASSWORD.encode())
        realm: Any = _ChangeRealm(self._accept)
        factory = pb.PBServerFactory(Portal(realm, [checker]))
        factory.protocol, factory.noisy = _ChangeBroker, False
        super().__init__("sample changes", endpoint, factory)

    def _accept(self, change: object) -> defer.Deferred[None]:
        if len(self._storing) >= CONCURRENT_MAX or not self.running:
            return defer.fail(ChangeRefusedError("busy"))
        storing = defer.ensureDeferred(self._store(change))
        self._storing.add(storing)
        return storing.addBoth(self._stored, storing)

    def _stored(self, result: object, storing: defer.Deferred[None]) -> Any:
        self._storing.discard(storing)
        return result

    async def _store(self, dictionary: object) -> None:
        try:
            change = read_change(dictionary)
            if change is not None:
                now = int(self._now())
                await self._db.transact(change_statements(change, self._branches, now))
        except (BadChangeError, ValueRefusedError) as e:
            raise ChangeRefusedError(str(e)) from e
        except DatabaseUnavailable as e:
            raise ChangeRefusedError(e.msg) from e

    async def _settle(self) -> None:
        for storing in list(self._storing):
            done: defer.Deferred[None] = defer.Deferred()
            # Not awaited itself: its result is the client's answer and must stay in its own chain.
            storing.addBoth(_fire, done)
            await done


def _fire(result: object, done: defer.Deferred[None]) -> Any:
    done.callback(None)
    return result
