"""End a streaming response when its bearer token is revoked."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from twisted.internet import defer
from twisted.logger import Logger

from buildapi.errors import BadToken, Unavailable
from buildapi.reactor_time import AsyncCall, ReactorTime, repeated

log = Logger()

# With FRESH_SECONDS of a lookup, streams end within 20 s (docs/tokens.md, List and revoke tokens).
LOOK_SECONDS = 15.0
"""Seconds between two checks of the token."""


async def until_token_revoked(
    answering: AsyncCall[bytes],
    check: Callable[[], Awaitable[object]],
    reactor: ReactorTime,
) -> bytes:
    """Return the last bytes of a stream; cancel it once ``check`` raises BadToken.

    The stream goes on while the token cannot be checked.  ``reactor`` provides IReactorTime.
    """
    going, refused = defer.ensureDeferred(answering), False

    async def look() -> None:
        nonlocal refused
        try:
            await check()
        except BadToken:
            refused = True
            going.cancel()
        except Unavailable:
            pass
        except Exception:
            log.failure("a token cannot be checked")

    looking = repeated(reactor, lambda: defer.ensureDeferred(look()))
    # Not now: the token was checked before the stream began.
    looking.start(LOOK_SECONDS, now=False)
    try:
        return await going
    except defer.CancelledError:
        # Klein cancels the handler when the client disconnects [KleinResource.render].
        if not refused:
            raise
        return b""
    finally:
        if looking.running:
            looking.stop()
