"""Whether a page of the service answers as it should, and how fast."""

from __future__ import annotations

import json
from argparse import Namespace

from nagiosplugin import Critical

from buildapi.nagios.check_result import CheckResult, Measurement, Thresholds
from buildapi.nagios.formatting import format_duration, printable
from buildapi.nagios.service_client import Response, ServiceClient, UnreachableError

RESPONSE_TIME = Thresholds("", "seconds until the whole page is there", "2", "8")


def http(service: ServiceClient, args: Namespace) -> CheckResult:
    """Ask for a page; no answer, another status or other contents are critical."""
    path = args.path or "/self-serve/branches?format=json"
    try:
        answer = service.get(path)
    except UnreachableError as e:
        return CheckResult(str(e), faults=((Critical, str(e)),))
    return page(answer, path.partition("?")[0], args)


def page(answer: Response, name: str, args: Namespace) -> CheckResult:
    """Look at an answer."""
    took, size = format_duration(answer.seconds), len(answer.body)
    text = f"{name} answered {answer.status} in {took}, {size} bytes"
    measures = (
        Measurement("time", answer.seconds, "s", RESPONSE_TIME, f"{name} took {took}"),
        Measurement("size", size, "B"),
    )
    fault = _fault(answer, name, args)
    return CheckResult(text, measures, ((Critical, fault),) if fault else ())


def _fault(answer: Response, name: str, args: Namespace) -> str:
    if answer.status != args.status:
        return f"{name} answered {answer.summary}"
    if args.path is None and not _is_object(answer.body):
        return f"{name} answered with something else than the branches as JSON"
    if args.content and args.content.encode() not in answer.body:
        return f"{name} does not contain {printable(args.content, 60)!r}"
    return ""


def _is_object(body: bytes) -> bool:
    try:
        return isinstance(json.loads(body), dict)
    except (ValueError, RecursionError):
        return False
