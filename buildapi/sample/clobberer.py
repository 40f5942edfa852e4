"""Serve a clobberer for the sample farm: it cleans nothing, and lists what it was asked for."""

from __future__ import annotations

import hmac
import json
from collections import deque
from collections.abc import Sequence

from twisted.logger import Logger
from twisted.web.resource import Resource
from twisted.web.server import Request

from buildapi.sample.loopback_ports import Endpoint, LoopbackServer, QuietSite

CLOBBER_TOKEN = "sample-token"  # noqa: S105  # guards nothing
REMEMBERED, REQUESTS_MAX, NAME_MAX = 100, 100, 256
BODY_MAX = 100_000
"""Maximum bytes of a request body."""

_PATH = [b"clobber"]
ClobberRequest = dict[str, str]


class _BoundedRequest(Request):
    """Limit how much of a request's body is kept."""

    too_large = False
    _received = 0

    def handleContentChunk(self, data: bytes) -> None:
        """Receive a chunk of the body."""
        self._received += len(data)
        # Dropped and counted: Twisted's Request keeps any body, in memory or in a file.
        self.too_large = self._received > BODY_MAX
        if not self.too_large:
            super().handleContentChunk(data)  # type: ignore[no-untyped-call]  # Request is not typed


class ClobbererResource(Resource):
    """Accept requests to clean builders' folders on slaves, and list the last of them."""

    isLeaf = True
    log = Logger()

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Resource is not typed
        self.done: deque[ClobberRequest] = deque(maxlen=REMEMBERED)

    def render(self, request: _BoundedRequest) -> bytes:
        """Respond in JSON to any method."""
        code, document = self._answer(request)
        request.setResponseCode(code)
        headers = request.responseHeaders
        headers.setRawHeaders("content-type", ["application/json"])
        if code == 405:
            headers.setRawHeaders("allow", ["GET, POST"])
        return json.dumps(document).encode() + b"\n"

    def _answer(self, request: _BoundedRequest) -> tuple[int, object]:
        if request.postpath != _PATH:
            return 404, {"error": "not found"}
        match request.method:
            case b"GET":
                return 200, list(self.done)
            case b"POST":
                return self._clobber(request)
            case _:
                return 405, {"error": "GET or POST"}

    def _clobber(self, request: _BoundedRequest) -> tuple[int, object]:
        if not _has_token(request):
            return 403, {"error": "a bearer token is required"}
        if request.too_large:
            return 413, {"error": f"at most {BODY_MAX} bytes"}
        try:
            clobbers = read_clobber_requests(request.content.read() if request.content else b"")
        except ValueError as e:
            return 400, {"error": str(e)}
        self.done.extend(clobbers)
        for clobber in clobbers:
            self.log.info("sample clobberer: {slave} cleaned for {buildername}", **clobber)
        return 200, {"result": "ok"}


def _has_token(request: Request) -> bool:
    header = request.getHeader(b"authorization") or b""
    # In constant time, as a real clobberer has to compare its token.
    return hmac.compare_digest(header, b"Bearer " + CLOBBER_TOKEN.encode())


def read_clobber_requests(body: bytes) -> Sequence[ClobberRequest]:
    """Decode a JSON list of slaves and builder names; :raises ValueError: it is something else."""
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as e:
        raise ValueError("the body is not JSON") from e
    if not isinstance(document, list) or len(document) > REQUESTS_MAX:
        raise ValueError(f"a list of at most {REQUESTS_MAX} requests is expected")
    return [_clobber_request(entry) for entry in document]


def _clobber_request(entry: object) -> ClobberRequest:
    fields = entry if isinstance(entry, dict) else {}
    clobber = {key: fields.get(key) for key in ("slave", "buildername")}
    for key, value in clobber.items():
        if not isinstance(value, str) or not 0 < len(value) <= NAME_MAX:
            raise ValueError(f"each request needs a {key} of 1 to {NAME_MAX} characters")
    return clobber  # type: ignore[return-value]  # checked


class ClobbererServer(LoopbackServer):
    """Serve the clobberer."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.clobberings = ClobbererResource()
        site = QuietSite(self.clobberings, requestFactory=_BoundedRequest)  # type: ignore[no-untyped-call]  # Site is not typed
        super().__init__("sample clobberer", endpoint, site)
