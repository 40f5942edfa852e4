"""A master that takes changes over Perspective Broker, and tells of failures as Python 2 does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import attrs
from twisted.cred.checkers import ICredentialsChecker
from twisted.cred.portal import IRealm, Portal
from twisted.internet import defer, protocol
from twisted.spread import pb
from zope.interface import implementer  # type: ignore[import-untyped]  # it ships no types

from buildapi.buildbot.directory import Master
from tests.buildbot.seed import T0, Seed

Change = dict[str, Any]
Hook = Callable[[Change], None]


class Python2Error(pb.Error, pb.Jellyable):
    """Fail a call as a master on Python 2 does: all texts are bytes on the wire."""

    def __init__(self, kind: bytes, text: bytes = b"") -> None:
        super().__init__(kind, text)
        self.kind, self.text = kind, text

    def jellyFor(self, jellier: Any) -> Any:
        state = {
            b"type": self.kind,
            b"value": self.text,
            b"traceback": b"Traceback unavailable\n",
            b"parents": [self.kind, b"exceptions.Exception"],
            b"frames": [],
            b"stack": [],
            b"tb": None,
            b"count": 12,
            b"pickled": 1,
        }
        return [b"twisted.spread.pb.CopyableFailure", jellier.jelly(state)]


def stores(seed: Seed) -> Hook:
    """Put changes into a scheduler database, as masters do."""

    def store(change: Change) -> None:
        id_ = seed.insert(
            "changes",
            author=change["who"],
            comments=change["comments"],
            is_dir=0,
            branch=change.get("branch"),
            revision=change.get("revision"),
            revlink=change.get("revlink", ""),
            when_timestamp=seed.time(T0),
            repository="",
            project="",
        )
        for name in change["files"]:
            seed.insert("change_files", changeid=id_, filename=name)
        for name, value in change.get("properties", {}).items():
            text = json.dumps([value, "Change"])
            seed.insert("change_properties", changeid=id_, property_name=name, property_value=text)

    return store


class _Perspective(pb.Avatar):
    def __init__(self, master: PBMaster) -> None:
        self.master = master

    def perspective_addChange(self, change: Change) -> Any:
        return self.master.take(change)


class _Silence(protocol.Protocol):
    """Take what comes and say nothing."""


class _Listening:
    """What listens on a free loopback port until it is closed."""

    connections: Any
    _port: Any

    def _listen(self, factory: Any) -> None:
        from twisted.internet import reactor

        network: Any = reactor
        self._port = network.listenTCP(0, factory, interface="127.0.0.1")

    async def close(self) -> None:
        """Stop listening and end all connections."""
        await defer.maybeDeferred(self._port.stopListening)
        for connection in list(self.connections):
            connection.transport.abortConnection()
        while self.connections:
            await _turn()

    @property
    def number(self) -> int:
        """Return the port it listens on."""
        return int(self._port.getHost().port)


@implementer(ICredentialsChecker, IRealm)
class PBMaster(_Listening, protocol.ServerFactory[Any]):
    """Listen on a free loopback port from :meth:`start` to :meth:`close`.

    ``changes`` are those given to it, ``connections`` those that are open.  How it behaves:

    * ``hook`` is called with each change.
    * ``no_source``: it takes no changes.
    * ``error``: each change fails with it, after the hook.
    * ``silent``: it takes changes and calls the hook, and never answers.
    * ``drops``: it closes the connection when it has a change, after the hook.
    * ``mute``: it accepts connections and never says anything.
    """

    noisy = False
    credentialInterfaces = (pb.IUsernameMD5Password,)

    def __init__(self, username: str = "change", password: str = "changepw") -> None:
        self.username, self.password = username.encode(), password.encode()
        self.changes: list[Change] = []
        self.connections: set[Any] = set()
        self.connected = 0
        self.hook: Hook = lambda change: None
        self.error: Python2Error | None = None
        self.no_source = self.silent = self.drops = self.mute = False
        # Both its parts find what they need in this object.
        both: Any = self
        self._brokers: Any = pb.PBServerFactory(Portal(both, [both]))
        self._port: Any = None

    def start(self) -> PBMaster:
        """Listen."""
        self._listen(self)
        return self

    def entry(self, db_name: str) -> Master:
        """Return its entry of the directory."""
        return Master(db_name, "127.0.0.1", None, self.number, None)

    def buildProtocol(self, address: Any) -> Any:
        made: Any = _Silence() if self.mute else self._brokers.buildProtocol(address)
        self.connected += 1
        self.connections.add(made)
        lose = made.connectionLost

        def lost(reason: Any) -> None:
            self.connections.discard(made)
            lose(reason)

        made.connectionLost = lost
        return made

    def requestAvatarId(self, credentials: Any) -> Any:
        right = credentials.checkPassword(self.password)
        if credentials.username != self.username or not right:
            return defer.fail(Python2Error(b"twisted.cred.error.UnauthorizedLogin"))
        return defer.succeed(credentials.username)

    def requestAvatar(self, avatar_id: Any, mind: Any, *interfaces: Any) -> Any:
        if self.no_source:
            raise Python2Error(b"exceptions.ValueError", b"no PBChangeSource installed")
        return pb.IPerspective, _Perspective(self), lambda: None

    def take(self, change: Change) -> Any:
        """Do with a change what it was told to do."""
        self.changes.append(change)
        self.hook(change)
        if self.drops:
            for connection in self.connections:
                connection.transport.abortConnection()
        if self.silent or self.drops:
            return defer.Deferred()
        return defer.fail(self.error) if self.error else None


@attrs.define
class RawPeer(_Listening):
    """Listen on a free loopback port, send ``data`` to whoever connects, close if ``closes``."""

    data: bytes
    closes: bool = False
    connections: list[Any] = attrs.field(factory=list, init=False)
    _port: Any = attrs.field(default=None, init=False)

    def start(self) -> RawPeer:
        """Listen."""
        peer = self

        class Talker(protocol.Protocol):
            def connectionMade(self) -> None:
                peer.connections.append(self)
                transport: Any = self.transport
                transport.write(peer.data)
                if peer.closes:
                    transport.loseConnection()

            def connectionLost(self, reason: Any = protocol.connectionDone) -> None:
                peer.connections.remove(self)

        factory: Any = protocol.Factory.forProtocol(Talker)
        factory.noisy = False
        self._listen(factory)
        return self


async def _turn() -> None:
    from tests.reactor import sleep

    await sleep(0.005)
