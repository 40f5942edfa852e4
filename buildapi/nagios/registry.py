"""The registry of checks, and the command line that is made from it."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, ArgumentTypeError, Namespace, RawDescriptionHelpFormatter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlsplit

from nagiosplugin import Range

import buildapi
from buildapi.nagios import checks
from buildapi.nagios.check_result import CheckResult, Thresholds
from buildapi.nagios.formatting import printable
from buildapi.nagios.service_client import JSONValue, ServiceClient, is_plain_ascii

UNKNOWN = 3

EPILOG = """\
Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN (the check could not be carried out).
RANGE is the range of good values: 10 means 0 to 10, 10: means 10 or more, ~:10 means 10 or less,
10:20 means 10 to 20, @10:20 means outside 10 to 20.
"""

# --- types of option values


def threshold_range(text: str) -> str:
    """Accept a range of the Monitoring Plugins guidelines."""
    try:
        Range(text)
    except ValueError:
        text = ""
    # nagiosplugin accepts "" and "@", which are slips rather than ranges.
    if not text.strip("@"):
        raise ArgumentTypeError(
            "expected a range such as 10 (0 to 10 is good), 10: (10 or more), ~:10 (10 or less),"
            " 10:20 (10 to 20) or @10:20 (outside 10 to 20)"
        )
    return text


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """Return a converter that accepts whole numbers within bounds."""

    def read(text: str) -> int:
        # Longer ones are out of any bounds, and int() refuses very long ones in its own words.
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            raise ArgumentTypeError(f"expected a whole number from {low} to {high}")
        if not low <= int(text) <= high:
            raise ArgumentTypeError(f"{text} is out of range (expected {low} to {high})")
        return int(text)

    return read


def service_url(text: str) -> str:
    """Accept the URL of the service; one with a password would show it in lists of processes."""
    try:
        parts = urlsplit(text)
        # "port" is parsed only when it is read, and raises ValueError then.
        port_fits = parts.port != 0
    except ValueError:
        raise ArgumentTypeError("not a valid URL") from None
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_fits:
        raise ArgumentTypeError("expected http:// or https:// and the name of a host")
    if parts.username is not None or parts.password is not None:
        raise ArgumentTypeError("put the user name and password into a file, see --user-file")
    if parts.query or parts.fragment or not is_plain_ascii(text):
        raise ArgumentTypeError("a query, a fragment or spaces are not allowed")
    # Paths are appended, and they begin with a slash.
    return text.rstrip("/")


def page_path(text: str) -> str:
    """Accept the path of a page."""
    if not text.startswith("/") or "#" in text or not is_plain_ascii(text):
        raise ArgumentTypeError("expected a path that starts with / (ASCII, no spaces, no #)")
    return text


# --- checks


@dataclass(frozen=True)
class CheckSpec:
    """A check of the registry; ``run`` queries the service, ``options`` are those it adds."""

    name: str
    purpose: str
    limits: Sequence[Thresholds]
    run: Callable[[ServiceClient, Namespace], CheckResult]
    options: Mapping[str, Mapping[str, object]]


def status_check(
    name: str,
    purpose: str,
    limits: Sequence[Thresholds],
    examine: Callable[[JSONValue, Namespace], CheckResult],
    options: Mapping[str, Mapping[str, object]] | None = None,
) -> CheckSpec:
    """Return a check that reads nothing but the status of the service."""

    def run(client: ServiceClient, args: Namespace) -> CheckResult:
        return examine(client.document("/status?format=json"), args)

    return CheckSpec(name, purpose, limits, run, options or {})


HTTP_OPTIONS: Mapping[str, Mapping[str, object]] = {
    "--path": {
        "type": page_path,
        "metavar": "PATH",
        "help": "path of the page, with its query; default: /self-serve/branches, which must be"
        " a JSON object",
    },
    "--status": {
        "type": whole_number(100, 599),
        "default": 200,
        "metavar": "NUMBER",
        "help": "expected status; default: 200",
    },
    "--content": {"metavar": "TEXT", "help": "text that the page must contain"},
}
POOL_OPTION = {
    "dest": "pools",
    "action": "append",
    "default": [],
    "metavar": "NAME",
    "help": "check only this pool; repeatable. UNKNOWN if the farm has no such pool",
}
MINUTES_OPTION = {
    "type": whole_number(1, 7 * 24 * 60),
    "default": 60,
    "metavar": "NUMBER",
    "help": "count job requests that failed within this time; default: 60",
}
QUEUE_OPTION = {
    "choices": checks.QUEUE_ROLES,
    "help": "check only the queue of job requests, or of their results",
}

CHECKS: Sequence[CheckSpec] = (
    CheckSpec(
        "http",
        "a page: response time, status, contents",
        [checks.RESPONSE_TIME],
        checks.http,
        HTTP_OPTIONS,
    ),
    status_check(
        "pending",
        "pending requests of the pool with most of them",
        [checks.PENDING],
        checks.pending,
        {"--pool": POOL_OPTION},
    ),
    status_check(
        "backlog",
        "the wait of the oldest pending request",
        [checks.BACKLOG],
        checks.backlog,
    ),
    CheckSpec(
        "jobs",
        "the oldest unfinished job request, and failures",
        [checks.OPEN, checks.FAILED],
        checks.jobs,
        {"--minutes": MINUTES_OPTION},
    ),
    status_check("agents", "live agents", [checks.AGENTS], checks.agents),
    status_check(
        "queue",
        "messages, consumers and dead letters of the broker's queues",
        [checks.READY, checks.UNACKED, checks.DEAD, checks.SETTLED, checks.CONSUMERS],
        checks.queue,
        {"--queue": QUEUE_OPTION},
    ),
    status_check(
        "masters",
        "reachable masters, and the age of the directory",
        [checks.MASTERS, checks.DIRECTORY],
        checks.masters,
    ),
    status_check(
        "db",
        "databases: availability, connection time, replica lag",
        [checks.CONNECT, checks.LAG],
        checks.db,
    ),
    status_check("reports", "the age of the dumps", [checks.DUMPS], checks.reports),
)

# --- the command line


class PluginParser(ArgumentParser):
    """Exit with UNKNOWN, also after --help, as the Monitoring Plugins guidelines require."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:  # noqa: ARG002  # argparse's own codes mean OK and CRITICAL here
        """Print a message and exit."""
        if message:
            # Nagios shows only standard output (Monitoring Plugins, "Development Guidelines").
            sys.stdout.write(message)
        sys.exit(UNKNOWN)

    def error(self, message: str) -> NoReturn:
        """Print an error of the command line as one status line."""
        name = self.prog.rpartition(" ")[2].removeprefix("check_").upper()
        self.exit(message=f"{name} UNKNOWN - {printable(message, 300)} (see {self.prog} --help)\n")


def build_parser() -> PluginParser:
    """Return the parser of all checks."""
    root = PluginParser(
        prog="check_buildapi",
        description="Check a BuildAPI service for Nagios, Icinga and other monitors.",
        epilog=EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
        # An abbreviation in a configuration file would break when another option is added.
        allow_abbrev=False,
    )
    _add_version(root)
    subparsers = root.add_subparsers(title="checks", dest="check", metavar="CHECK", required=True)
    for spec in CHECKS:
        parser = subparsers.add_parser(
            spec.name,
            help=spec.purpose,
            description=f"Check {spec.purpose}.",
            epilog=EPILOG,
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        _add_common(parser)
        for name, settings in spec.options.items():
            _add_option(parser, name, **settings)
        for limit in spec.limits:
            _add_thresholds(parser, limit)
    return root


def read_arguments(arguments: Sequence[str] | None) -> tuple[CheckSpec, Namespace]:
    """Parse a command line; exit with UNKNOWN if it is wrong."""
    root = build_parser()
    args = root.parse_args(arguments)
    (spec,) = (spec for spec in CHECKS if spec.name == args.check)
    # Without TLS the certificates would be ignored silently.
    if args.ca and not args.url.startswith("https://"):
        root.error("--ca needs a URL that starts with https://")
    return spec, args


def _add_version(to: ArgumentParser) -> None:
    version = f"check_buildapi {buildapi.__version__}"
    to.add_argument("-V", "--version", action="version", version=version, help="show the version")


def _add_option(
    parser: ArgumentParser,
    name: str,
    **settings: Any,  # Any: keywords of add_argument
) -> None:
    parser.add_argument(name, **settings)


def _add_common(parser: ArgumentParser) -> None:
    _add_version(parser)
    parser.add_argument(
        "-u",
        "--url",
        type=service_url,
        default="http://127.0.0.1:8010",
        help="URL of the service, with its mount prefix; default: %(default)s",
    )
    parser.add_argument(
        "-t",
        "--timeout",
        type=whole_number(1, 600),
        default=10,
        metavar="SECONDS",
        help="maximum time of all requests together; default: 10",
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="print details on more lines; performance data come last",
    )
    parser.add_argument("--ca", default="", metavar="FILE", help="certificates to trust (https)")
    secret = parser.add_mutually_exclusive_group()
    secret.add_argument("--token-file", metavar="FILE", help="file with an API token, on one line")
    secret.add_argument(
        "--user-file",
        metavar="FILE",
        help="file with name:password for the reverse proxy, on one line",
    )
    parser.add_argument(
        "--proxy-from-environment",
        action="store_true",
        help="use the proxies of http_proxy and similar variables; default: no proxy",
    )


def _add_thresholds(parser: ArgumentParser, limit: Thresholds) -> None:
    both = (("warning", limit.warning), ("critical", limit.critical))
    for (level, default), key in zip(both, limit.keys, strict=True):
        names = [f"--{limit.name}-{level}"] if limit.name else [f"-{level[0]}", f"--{level}"]
        parser.add_argument(
            *names,
            dest=key,
            type=threshold_range,
            metavar="RANGE",
            help=f"{limit.what}; default: {default or 'none'}",
        )
