"""Accept changes over Perspective Broker, as a master of Buildbot 0.8.2 does."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from twisted.cred.checkers import InMemoryUsernamePasswordDatabaseDontUse
from twisted.cred.portal import IRealm, Portal
from twisted.internet import defer
from twisted.internet.protocol import connectionDone
from twisted.logger import Logger
from twisted.protocols.policies import TimeoutMixin
from twisted.python.failure import Failure
from twisted.spread import pb
from zope.interface import implementer  # type: ignore[import-untyped]  # it ships no types

from buildapi.db.sql import Database, ValueRefusedError
from buildapi.errors import DatabaseUnavailable
from buildapi.sample.change_parser import BadChangeError, change_statements, read_change
from buildapi.sample.loopback_ports import LoopbackServer

CHANGE_USER, CHANGE_PASSWORD = "change", "changepw"
MESSAGE_MAX = 2_000_000
"""Maximum bytes of one message."""
IDLE_SECONDS = 60
CONCURRENT_MAX = 50
"""Maximum number of changes being stored; more are refused."""

StoreChange = Callable[[Any], defer.Deferred[None]]


class ChangeRefusedError(pb.Error):
    """A change was not stored; the sender gets the reason."""


class _ChangeBroker(pb.Broker, TimeoutMixin):
    """Limit the bytes of a message and the idle time of a connection."""

    log = Logger()
    _taken = 0

    def connectionMade(self) -> None:
        super().connectionMade()  # type: ignore[no-untyped-call]  # Broker is not typed
        self.setTimeout(IDLE_SECONDS)  # type: ignore[no-untyped-call]  # nor is TimeoutMixin

    def dataReceived(self, chunk: bytes) -> None:
        self.resetTimeout()  # type: ignore[no-untyped-call]  # as above
        self._taken += len(chunk)
        if self._taken > MESSAGE_MAX:
            self._give_up(f"a message of more than {MESSAGE_MAX} bytes")
            return
        try:
            super().dataReceived(chunk)  # type: ignore[no-untyped-call]  # as above
        except Exception as e:  # whatever a peer that speaks something else provokes
            self._give_up(repr(e)[:200])

    def expressionReceived(self, sexp: Any) -> None:
        """Receive one complete message."""
        self._taken = 0
        super().expressionReceived(sexp)  # type: ignore[no-untyped-call]  # as above

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self.setTimeout(None)  # type: ignore[no-untyped-call]  # as above
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # as above

    def _give_up(self, why: str) -> None:
        self.log.warn("sample changes: connection ended: {why}", why=why)
        transport: Any = self.transport
        transport.abortConnection()


class _ChangeSender(pb.Avatar):
    """Represent a user who has logged in to send changes."""

    def __init__(self, store: StoreChange) -> None:
        self._store = store

    def perspective_addChange(self, changedict: Any) -> defer.Deferred[None]:
        """Store a change; fire when it is stored."""
        return self._store(changedict)


@implementer(IRealm)
class _ChangeRealm:
    def __init__(self, store: StoreChange) -> None:
        self._store = store

    def requestAvatar(self, avatarId: Any, mind: Any, *interfaces: Any) -> Any:  # noqa: ARG002  # IRealm's
        return pb.IPerspective, _ChangeSender(self._store), lambda: None


class ChangeSource(LoopbackServer):
    """Store the changes that are sent, and request the builds of ``branches`` they cause.

    ``endpoint`` provides IStreamServerEndpoint, ``now`` returns epoch seconds.
    """

    log = Logger()

    def __init__(
        self,
        endpoint: Any,
        db: Database,
        branches: Sequence[str],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._db, self._branches, self._now = db, branches, now
        self._storing: set[defer.Deferred[None]] = set()
        checker: Any = InMemoryUsernamePasswordDatabaseDontUse()
        checker.addUser(CHANGE_USER.encode(), CHANGE_PASSWORD.encode())
        realm: Any = _ChangeRealm(self._take)
        factory = pb.PBServerFactory(Portal(realm, [checker]))
        factory.protocol, factory.noisy = _ChangeBroker, False
        super().__init__("sample changes", endpoint, factory)

    def _take(self, told: Any) -> defer.Deferred[None]:
        if len(self._storing) >= CONCURRENT_MAX or not self.running:
            return defer.fail(ChangeRefusedError("busy"))
        storing = defer.ensureDeferred(self._store(told))
        self._storing.add(storing)
        return storing.addBoth(self._stored, storing)

    def _stored(self, result: Any, storing: defer.Deferred[None]) -> Any:
        self._storing.discard(storing)
        return result

    async def _store(self, told: Any) -> None:
        try:
            change = read_change(told)
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
            storing.addBoth(_and_tell, done)
            await done


def _and_tell(result: Any, done: defer.Deferred[None]) -> Any:
    done.callback(None)
    return result
