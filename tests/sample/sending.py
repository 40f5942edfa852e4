"""Send changes over Perspective Broker, as the tools of Buildbot do."""

from __future__ import annotations

from typing import Any

from twisted.cred.credentials import UsernamePassword
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.spread import pb

from buildapi.sample.change_source import CHANGE_PASSWORD, CHANGE_USER

USER, PASSWORD = CHANGE_USER.encode(), CHANGE_PASSWORD.encode()
REVISION = "0123456789abcdef" * 2 + "01234567"


def change(**more: Any) -> dict[str, Any]:
    """Return a change of mozilla-inbound."""
    usual = {
        "who": "ada@example.org",
        "files": ["b.txt", "a.txt"],
        "comments": "n\u00e4mlich",
        "branch": "integration/mozilla-inbound",
        "revision": REVISION,
    }
    return usual | more


async def send(port: int, *told: Any, user: bytes = USER, password: bytes = PASSWORD) -> None:
    """Log in, send changes, disconnect."""
    from twisted.internet import reactor

    factory: Any = pb.PBClientFactory()
    factory.noisy = False
    protocol = await TCP4ClientEndpoint(reactor, "127.0.0.1", port).connect(factory)
    try:
        perspective = await factory.login(UsernamePassword(user, password))
        for one in told:
            assert await perspective.callRemote("addChange", one) is None
    finally:
        protocol.transport.abortConnection()
