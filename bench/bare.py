"""The references of reads: recorded answers, served by twisted.web and by Klein with nothing else.

    python -m bench.bare PORT ANSWERS

``ANSWERS`` is a file that :func:`write` made.  ``/web/N`` is answered by a twisted.web resource,
``/klein/N`` by a Klein route, both with the status, the headers and the bytes of answer ``N``.
Nothing is logged.
"""

from __future__ import annotations

import pickle
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs
from klein import Klein
from twisted.internet import reactor as installed
from twisted.web.http import Request
from twisted.web.resource import Resource
from twisted.web.server import Site

REACTOR: Any = installed
"""Typed only where it is used."""


@attrs.frozen
class Answer:
    """A recorded answer, without the headers that every server adds for itself."""

    status: int
    headers: Sequence[tuple[str, str]]
    body: bytes


def write(file: Path, answers: Sequence[Answer]) -> None:
    """Write answers for a process of this module."""
    plain = [(a.status, list(a.headers), a.body) for a in answers]
    file.write_bytes(pickle.dumps(plain))


def _read(file: Path) -> list[Answer]:
    return [Answer(*one) for one in pickle.loads(file.read_bytes())]  # noqa: S301  # our own file


def _fill(request: Any, answer: Answer) -> bytes:
    request.setResponseCode(answer.status)
    for name, value in answer.headers:
        request.setHeader(name, value)
    return answer.body


class Recorded(Resource):
    """Serve one answer."""

    isLeaf = True

    def __init__(self, answer: Answer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted is typed in part
        self._answer = answer

    def render_GET(self, request: Request) -> bytes:
        """Answer."""
        return _fill(request, self._answer)


class Silent(Site):
    """A site without an access log, as ours has none by default."""

    def log(self, request: Request) -> None:
        """Write nothing."""


# Any: the stubs of twisted.web and its interfaces do not fit together.
def web(answers: Mapping[str, Answer]) -> Any:
    """Return the tree of twisted.web."""
    root: Any = Resource()
    for name, answer in answers.items():
        root.putChild(name.encode(), Recorded(answer))
    return root


def klein(answers: Mapping[str, Answer]) -> Any:
    """Return the resource of a Klein application."""
    app = Klein()

    @app.route("/<name>")
    def one(request: Any, name: str) -> bytes:
        return _fill(request, answers[name])

    return app.resource()


def main() -> None:
    """Serve until the process is ended."""
    port, file = int(sys.argv[1]), Path(sys.argv[2])
    answers = {str(n): answer for n, answer in enumerate(_read(file))}
    site = {"web": web(answers), "klein": klein(answers)}
    root: Any = Resource()
    for name, resource in site.items():
        root.putChild(name.encode(), resource)
    silent: Any = Silent
    REACTOR.listenTCP(port, silent(root), backlog=1024, interface="127.0.0.1")
    REACTOR.run()


if __name__ == "__main__":
    main()
