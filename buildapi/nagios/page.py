"""Whether a page of the service answers as it should, and how fast."""

from __future__ import annotations

import json
from argparse import Namespace

from nagiosplugin import Critical

from buildapi.nagios.fetch import Answer, Service, Unreachable
from buildapi.nagios.finding import Finding, Limit, Measure
from buildapi.nagios.words import duration, printable

TIME = Limit("", "seconds until the whole page is there", "2", "8")


def http(service: Service, asked: Namespace) -> Finding:
    """Ask for a page; no answer, another status or other contents are critical."""
    path = asked.path or "/self-serve/branches?format=json"
    try:
        answer = service.get(path)
    except Unreachable as e:
        return Finding(str(e), faults=((Critical, str(e)),))
    return page(answer, path.partition("?")[0], asked)


def page(answer: Answer, name: str, asked: Namespace) -> Finding:
    """Look at an answer."""
    took, size = duration(answer.seconds), len(answer.body)
    text = f"{name} answered {answer.status} in {took}, {size} bytes"
    measures = (
        Measure("time", answer.seconds, "s", TIME, f"{name} took {took}"),
        Measure("size", size, "B"),
    )
    fault = _fault(answer, name, asked)
    return Finding(text, measures, ((Critical, fault),) if fault else ())


def _fault(answer: Answer, name: str, asked: Namespace) -> str:
    if answer.status != asked.status:
        return f"{name} answered {answer.words}"
    if asked.path is None and not _is_object(answer.body):
        return f"{name} answered with something else than the branches as JSON"
    if asked.content and asked.content.encode() not in answer.body:
        return f"{name} does not contain {printable(asked.content, 60)!r}"
    return ""


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False
