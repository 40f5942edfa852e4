"""The command line of ``check_buildapi``: what is wrong with it is told as UNKNOWN."""

from __future__ import annotations

import sys
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections.abc import Sequence
from typing import NoReturn

import buildapi
from buildapi.nagios.check_result import Thresholds
from buildapi.nagios.formatting import printable
from buildapi.nagios.option_types import service_url, threshold_range, whole_number
from buildapi.nagios.registry import CHECKS, CheckSpec

UNKNOWN = 3

EPILOG = """\
Exit codes: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN: what was asked for cannot be told.
A threshold is a range of what is well: 10 means 0 to 10, 10: from 10 on, ~:10 up to 10,
10:20 between them, @10:20 outside of them.
"""


class PluginParser(ArgumentParser):
    """Leave with UNKNOWN, also after help, as the guidelines of the Monitoring Plugins have it."""

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:  # noqa: ARG002
        """Leave; what argparse would leave with means OK or CRITICAL here."""
        if message:
            sys.stdout.write(message)
        sys.exit(UNKNOWN)

    def error(self, message: str) -> NoReturn:
        """Tell what is wrong in one line."""
        name = self.prog.rpartition(" ")[2].removeprefix("check_").upper()
        self.exit(message=f"{name} UNKNOWN - {printable(message, 300)} (see {self.prog} --help)\n")


def parser() -> PluginParser:
    """Make the parser of all checks."""
    root = PluginParser(
        prog="check_buildapi",
        description="Check a BuildAPI service, for Nagios, Icinga and their like.",
        epilog=EPILOG,
        formatter_class=RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    _version(root)
    checks = root.add_subparsers(title="checks", dest="kind", metavar="CHECK", required=True)
    for kind in CHECKS:
        check = checks.add_parser(
            kind.name,
            help=kind.purpose,
            description=f"Check {kind.purpose}.",
            epilog=EPILOG,
            formatter_class=RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        _common(check)
        kind.options(check)
        for limit in kind.limits:
            _thresholds(check, limit)
    return root


def read(arguments: Sequence[str] | None) -> tuple[CheckSpec, Namespace]:
    """Read a command line, or leave with UNKNOWN."""
    root = parser()
    args = root.parse_args(arguments)
    (kind,) = (kind for kind in CHECKS if kind.name == args.kind)
    if args.ca and not args.url.startswith("https://"):
        root.error("--ca is for addresses that begin with https://")
    return kind, args


def _version(to: ArgumentParser) -> None:
    version = f"check_buildapi {buildapi.__version__}"
    to.add_argument("-V", "--version", action="version", version=version, help="show the version")


def _common(check: ArgumentParser) -> None:
    _version(check)
    check.add_argument(
        "-u",
        "--url",
        type=service_url,
        default="http://127.0.0.1:8010",
        help="where the service is, with its mount prefix if it has one; default: %(default)s",
    )
    check.add_argument(
        "-t",
        "--timeout",
        type=whole_number(1, 600),
        default=10,
        metavar="SECONDS",
        help="for all there is to ask; default: 10",
    )
    check.add_argument(
        "-v",
        "--verbose",
        action="count",
        default=0,
        help="more lines, with details; performance data come last",
    )
    check.add_argument("--ca", default="", metavar="FILE", help="certificates to trust, for https")
    secret = check.add_mutually_exclusive_group()
    secret.add_argument("--token-file", metavar="FILE", help="one line: a token of the service")
    secret.add_argument(
        "--user-file", metavar="FILE", help="one line, name:password, for a proxy in front"
    )
    check.add_argument(
        "--proxy-from-environment",
        action="store_true",
        help="go through the proxies that http_proxy and the like name; by default none is used",
    )


def _thresholds(check: ArgumentParser, limit: Thresholds) -> None:
    both = (("warning", limit.warning), ("critical", limit.critical))
    for (level, default), key in zip(both, limit.keys, strict=True):
        names = [f"--{limit.name}-{level}"] if limit.name else [f"-{level[0]}", f"--{level}"]
        check.add_argument(
            *names,
            dest=key,
            type=threshold_range,
            metavar="RANGE",
            help=f"{limit.what}; default: {default or 'none'}",
        )
