"""The checks there are: name, purpose, thresholds and options of each."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from buildapi.nagios import page, parts, work
from buildapi.nagios.check_result import CheckResult, Thresholds
from buildapi.nagios.json_document import JSONValue
from buildapi.nagios.service_client import ServiceClient

Examine = Callable[[JSONValue, Namespace], CheckResult]


@dataclass(frozen=True)
class CheckSpec:
    """A check; ``run`` asks the service and finds."""

    name: str
    purpose: str
    limits: Sequence[Thresholds]
    run: Callable[[ServiceClient, Namespace], CheckResult]
    options: Callable[[ArgumentParser], None] = lambda _parser: None


def status_check(examine: Examine) -> Callable[[ServiceClient, Namespace], CheckResult]:
    """Look at nothing but the status of the service."""
    return lambda service, args: examine(service.document("/status?format=json"), args)


def _http_options(parser: ArgumentParser) -> None:
    from buildapi.nagios.option_types import page_path, whole_number

    parser.add_argument(
        "--path",
        type=page_path,
        metavar="PATH",
        help="the page, with its query if it has one; default: /self-serve/branches as JSON, which"
        " has to be an object",
    )
    parser.add_argument(
        "--status",
        type=whole_number(100, 599),
        default=200,
        metavar="NUMBER",
        help="the status that it has to have; default: 200",
    )
    parser.add_argument("--content", metavar="TEXT", help="a text that it has to contain")


def _pending_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--pool",
        dest="pools",
        action="append",
        default=[],
        metavar="NAME",
        help="look at this pool alone; may be repeated. A pool that the farm does not"
        " have is UNKNOWN",
    )


def _jobs_options(parser: ArgumentParser) -> None:
    from buildapi.nagios.option_types import whole_number

    parser.add_argument(
        "--minutes",
        type=whole_number(1, 7 * 24 * 60),
        default=60,
        metavar="NUMBER",
        help="count the job requests that failed within this time; default: 60",
    )


def _queue_options(parser: ArgumentParser) -> None:
    parser.add_argument(
        "--queue",
        choices=parts.ROLES,
        help="look at this queue alone: of job requests, or of what became of them",
    )


CHECKS: Sequence[CheckSpec] = (
    CheckSpec(
        "http",
        "a page: response time, status, contents",
        [page.RESPONSE_TIME],
        page.http,
        _http_options,
    ),
    CheckSpec(
        "pending",
        "pending requests of the worst pool",
        [work.PENDING],
        status_check(work.pending),
        _pending_options,
    ),
    CheckSpec(
        "backlog",
        "how long the oldest pending request waits",
        [work.BACKLOG],
        status_check(work.backlog),
    ),
    CheckSpec(
        "jobs",
        "the oldest unfinished job request, and failures",
        [work.OPEN, work.FAILED],
        work.jobs,
        _jobs_options,
    ),
    CheckSpec("agents", "live agents", [parts.AGENTS], status_check(parts.agents)),
    CheckSpec(
        "queue",
        "messages, consumers and dead letters of the broker's queues",
        [parts.READY, parts.UNACKED, parts.DEAD, parts.SETTLED, parts.CONSUMERS],
        status_check(parts.queue),
        _queue_options,
    ),
    CheckSpec(
        "masters",
        "masters that answer, and the age of the directory",
        [parts.MASTERS, parts.DIRECTORY],
        status_check(parts.masters),
    ),
    CheckSpec(
        "db",
        "databases: whether they answer, time to connect, lag of the replica",
        [parts.CONNECT, parts.LAG],
        status_check(parts.db),
    ),
    CheckSpec("reports", "the age of the dumps", [parts.DUMPS], status_check(parts.reports)),
)
