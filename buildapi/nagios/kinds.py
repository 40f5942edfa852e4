"""The checks there are: name, purpose, thresholds and options of each."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from buildapi.nagios import page, parts, work
from buildapi.nagios.fetch import Service
from buildapi.nagios.finding import Finding, Limit
from buildapi.nagios.node import Node

Examine = Callable[[Node, Namespace], Finding]


@dataclass(frozen=True)
class Kind:
    """A check; ``look`` asks the service and finds."""

    name: str
    purpose: str
    limits: Sequence[Limit]
    look: Callable[[Service, Namespace], Finding]
    options: Callable[[ArgumentParser], None] = lambda _parser: None


def of_status(examine: Examine) -> Callable[[Service, Namespace], Finding]:
    """Look at nothing but the status of the service."""
    return lambda service, asked: examine(service.document("/status?format=json"), asked)


def _http_options(parser: ArgumentParser) -> None:
    from buildapi.nagios.values import page_path, whole

    parser.add_argument(
        "--path",
        type=page_path,
        metavar="PATH",
        help="the page, with its query if it has one; default: /self-serve/branches as JSON, which"
        " has to be an object",
    )
    parser.add_argument(
        "--status",
        type=whole(100, 599),
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
    from buildapi.nagios.values import whole

    parser.add_argument(
        "--minutes",
        type=whole(1, 7 * 24 * 60),
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


KINDS: Sequence[Kind] = (
    Kind("http", "a page: response time, status, contents", [page.TIME], page.http, _http_options),
    Kind(
        "pending",
        "pending requests of the worst pool",
        [work.PENDING],
        of_status(work.pending),
        _pending_options,
    ),
    Kind(
        "backlog",
        "how long the oldest pending request waits",
        [work.BACKLOG],
        of_status(work.backlog),
    ),
    Kind(
        "jobs",
        "the oldest unfinished job request, and failures",
        [work.OPEN, work.FAILED],
        work.jobs,
        _jobs_options,
    ),
    Kind("agents", "live agents", [parts.AGENTS], of_status(parts.agents)),
    Kind(
        "queue",
        "messages, consumers and dead letters of the broker's queues",
        [parts.READY, parts.UNACKED, parts.DEAD, parts.SETTLED, parts.CONSUMERS],
        of_status(parts.queue),
        _queue_options,
    ),
    Kind(
        "masters",
        "masters that answer, and the age of the directory",
        [parts.MASTERS, parts.DIRECTORY],
        of_status(parts.masters),
    ),
    Kind(
        "db",
        "databases: whether they answer, time to connect, lag of the replica",
        [parts.CONNECT, parts.LAG],
        of_status(parts.db),
    ),
    Kind("reports", "the age of the dumps", [parts.DUMPS], of_status(parts.reports)),
)
