"""Send a change to a Buildbot 0.8 master over Perspective Broker.

The master runs on Python 2, and this is Python 3; neither its identity nor its data are trusted.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NoReturn

import attrs
from twisted.cred.credentials import UsernamePassword
from twisted.internet import defer, error
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import connectionDone
from twisted.python.failure import Failure
from twisted.spread import banana, jelly, pb

from buildapi.errors import BuildAPIError
from buildapi.reactor_time import ReactorTime, timeout

COMMENTS_LENGTH = 1024
"""Maximum characters of comments that a master's database accepts (VARCHAR(1024))."""

ANSWER_BYTES = 2**14
"""Maximum bytes that a master may send; its errors have one or two thousand."""

TEXT_LENGTH = 300
"""Maximum characters of a master's error text that are passed on."""

REFUSED_LOGINS = ("UnauthorizedLogin", "LoginFailed", "LoginDenied")
NO_SOURCE = "no PBChangeSource installed"
ANSWERS = (b"version", b"answer", b"error")
"""Messages that a master may send to a client."""


@attrs.frozen
class PBChange:
    """Describe a change; all values of ``properties`` must be JSON."""

    who: str
    branch: str
    revision: str
    revlink: str | None
    comments: str
    files: Sequence[str]
    properties: Mapping[str, object]

    def message(self) -> dict[str, object]:
        """Return the argument of ``addChange``, without an empty link and with comments cut."""
        # Texts are str: a 0.8 master decodes bytes as ASCII. Without "when" it takes its own time.
        fields: dict[str, object] = {
            "who": self.who,
            "branch": self.branch,
            "revision": self.revision,
            # Cut, or strict MySQL would refuse the change (1406, DATA_TOO_LONG).
            "comments": self.comments[:COMMENTS_LENGTH],
            "files": list(self.files),
            "properties": dict(self.properties),
        }
        return fields if self.revlink is None else {**fields, "revlink": self.revlink}


class ChangeError(Exception):
    """A change is not known to be stored; ``sent`` is true if it may be."""

    def __init__(self, msg: str, *, sent: bool = False) -> None:
        super().__init__(msg)
        self.sent = sent


class MasterFailure(pb.CopiedFailure):
    """Represent a failure on a Python 2 master, whose texts are bytes."""

    def setCopyableState(self, state: object) -> None:
        """Copy type, value and parents; the rest is not used here."""
        said = {_text(k): v for k, v in state.items()} if isinstance(state, dict) else {}
        parents = said.get("parents")
        taken: dict[str, object] = {key: _text(said.get(key)) for key in ("type", "value")}
        taken["parents"] = [_text(p) for p in parents] if isinstance(parents, list) else []
        empty: dict[str, object] = {
            "traceback": "",
            "tb": None,
            "frames": [],
            "stack": [],
            "count": 0,
        }
        super().setCopyableState({**empty, **taken})  # type: ignore[no-untyped-call]  # Twisted

    def raiseException(self) -> NoReturn:
        """Raise RemoteError: the value is a text, which cannot be raised."""
        raise pb.RemoteError(self.type, self.value, "")


# A Python 2 master names the fields of a failure in bytes. Twisted on Python 3 then fails with
# KeyError('parents') inside the protocol, and the caller's Deferred never fires. This setting holds
# for the whole process; failures of peers on Python 3 are read as well.
pb.setUnjellyableForClass(pb.CopyableFailure, MasterFailure)


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return value if isinstance(value, str) else ""


class _Broker(pb.Broker):
    """Limit what an untrusted peer may send: excess bytes or invalid data end the connection."""

    transport: Any
    factory: Any
    waitingForAnswers: Any

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]  # Twisted
        self.received = 0
        self.nonsense: str | None = None
        self.lost: defer.Deferred[None] = defer.Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += len(data)
        if self.nonsense is not None:
            return
        if self.received > ANSWER_BYTES:
            self._give_up(f"the master sent more than {ANSWER_BYTES} bytes")
            return
        try:
            super().dataReceived(data)  # type: ignore[no-untyped-call]  # Twisted
        # Unhandled, Twisted would log a traceback for whatever else listens at that port.
        except Exception:
            self._give_up("the master does not speak Perspective Broker")

    def expressionReceived(self, sexp: object) -> None:
        # A peer may call a PB client too (message, cachemessage, decref): nothing here is to be
        # called.
        if not (isinstance(sexp, list) and sexp and sexp[0] in ANSWERS):
            raise pb.ProtocolError("not an answer")
        super().expressionReceived(sexp)  # type: ignore[no-untyped-call]  # Twisted

    # Unlike Twisted's, these two decode the answer before they remove its waiter, so that after a
    # decoding error the waiter still learns of the lost connection.

    def proto_answer(self, requestID: object, netResult: object) -> None:
        told = self.unserialize(netResult)  # type: ignore[no-untyped-call]  # Twisted
        self.waitingForAnswers.pop(requestID).callback(told)

    def proto_error(self, requestID: object, fail: object) -> None:
        told = self.unserialize(fail)  # type: ignore[no-untyped-call]  # Twisted
        if not isinstance(told, MasterFailure):
            raise pb.ProtocolError("not a failure")  # what else there is cannot be raised
        self.waitingForAnswers.pop(requestID).errback(told)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        super().connectionLost(reason)  # type: ignore[no-untyped-call]  # Twisted
        # Nothing else notifies the factory, whose login would wait for ever.
        self.factory.clientConnectionLost(None, reason)
        self.lost.callback(None)

    def _give_up(self, why: str) -> None:
        self.nonsense = why
        self.transport.abortConnection()

    async def hang_up(self) -> None:
        """Abort the connection in any state, and wait until it has ended."""
        # loseConnection would wait until a hung master reads what was sent.
        self.transport.abortConnection()
        await self.lost


class _Factory(pb.PBClientFactory):
    protocol = _Broker
    noisy = False


@attrs.define
class _Sending:
    """Hold one conversation with a master, and its progress."""

    change: dict[str, object]
    credentials: UsernamePassword
    leaving: Callable[[], Awaitable[None]]
    sent: bool = False
    broker: _Broker | None = None

    async def run(self, endpoint: HostnameEndpoint) -> None:
        factory: Any = _Factory()  # type: ignore[no-untyped-call]  # Twisted
        self.broker = await _cancellable(endpoint.connect(factory))
        try:
            # A port that does not speak PB may never answer: the limit of send_change is around all
            # of this.
            perspective = await factory.login(self.credentials)
            await self.leaving()
            # Until here nothing has left: a master that hung during the login stores no change when
            # it goes on (0.8.2). Afterwards it may.
            answer = perspective.callRemote("addChange", self.change)
            self.sent = True
            await answer
        finally:
            await self.broker.hang_up()

    def in_words(self, problem: Exception) -> ChangeError:
        """Convert an exception to a ChangeError that says why sending failed."""
        if isinstance(problem, pb.RemoteError):
            return ChangeError(_refusal(problem))
        return ChangeError(self._trouble(problem), sent=self.sent)

    def _trouble(self, problem: Exception) -> str:
        if self.broker is None:
            return f"no connection: {_brief(str(problem)) or type(problem).__name__}"
        if self.broker.nonsense is not None:
            return self.broker.nonsense
        if isinstance(problem, (pb.PBConnectionLost, pb.DeadReferenceError, *LOST)):
            return "the master closed the connection"
        return "the master's answer cannot be read"


LOST = (error.ConnectionClosed, error.ConnectError)


async def _unnoted() -> None:
    return None


async def send_change(
    reactor: ReactorTime,
    host: str,
    port: int,
    change: PBChange,
    *,
    username: str,
    password: str,
    seconds: float,
    leaving: Callable[[], Awaitable[None]] = _unnoted,
) -> None:
    """Log in, send a change to a master and disconnect, all within ``seconds``.

    ``reactor`` provides IReactorTCP and IReactorTime. Returns once the master has stored it.
    ``leaving`` is awaited right before the change leaves; if it raises, the change is not sent.

    :raises ChangeError: it is not known to have been stored.
    """
    _check(change)
    # Bytes: the answer to the challenge of PB is a hash, and hashlib refuses str.
    login = UsernamePassword(username.encode(), password.encode())
    sending = _Sending(change.message(), login, leaving)
    endpoint = HostnameEndpoint(reactor, host, port, timeout=seconds)
    running = defer.ensureDeferred(sending.run(endpoint))

    def late(_: object, seconds: float) -> None:
        raise ChangeError(f"no answer within {seconds:g} s", sent=sending.sent)

    try:
        await timeout(running, seconds, reactor, late)
    except (ChangeError, BuildAPIError, defer.CancelledError):
        raise
    except Exception as e:
        raise sending.in_words(e) from e


def _check(change: PBChange) -> None:
    """Refuse what a master stores and later fails on, or accepts without storing."""
    # A 0.8 master accepts a non-ASCII branch or revision, but then the schedulers of all other
    # masters fail to read changes.
    for name, value in (("branch", change.branch), ("revision", change.revision)):
        if not value.isascii():
            raise ChangeError(f"the {name} has non-ASCII characters")
    # A change with an empty list of files is answered with None, and not stored (0.8.2).
    if not change.files:
        raise ChangeError("a change needs a file")
    try:
        # Banana refuses texts above 640 KiB (SIZE_LIMIT), and would do so only in the conversation.
        banana.encode(jelly.jelly(change.message()))
    except (ValueError, banana.BananaError) as e:
        raise ChangeError("the change cannot be encoded for Perspective Broker") from e


def _refusal(said: pb.RemoteError) -> str:
    # Python 2 names the module as well: twisted.cred.error.UnauthorizedLogin,
    # exceptions.ValueError.
    kind = str(said.remoteType).rsplit(".", 1)[-1]
    if kind in REFUSED_LOGINS:
        return "the master refused our user name or password"
    if NO_SOURCE in str(said):
        return "the master accepts no changes (no PBChangeSource)"
    return f"the master refused: {_brief(': '.join(filter(None, (kind, str(said)))))}"


def _brief(text: str) -> str:
    # The text comes from the master, and goes into one line of log and page.
    return " ".join(text.split())[:TEXT_LENGTH]


def _cancellable(connecting: defer.Deferred[Any]) -> defer.Deferred[Any]:
    """Deliver CancelledError to a cancelled caller, whatever the endpoint makes of it."""

    def cancel(waiting: defer.Deferred[Any]) -> None:
        waiting.errback(defer.CancelledError())
        connecting.cancel()

    def pass_on(result: object) -> None:
        # The endpoint may still connect, or fail, after the caller has gone.
        if not waiting.called:
            waiting.callback(result)

    waiting: defer.Deferred[Any] = defer.Deferred(cancel)
    connecting.addBoth(pass_on)
    return waiting
