"""One run of the plugin: ask, hold against the thresholds, print, leave."""

from __future__ import annotations

import contextlib
import sys
from argparse import Namespace
from collections.abc import Sequence
from typing import NoReturn

from nagiosplugin import (
    Check,
    Context,
    Metric,
    Ok,
    Resource,
    Result,
    Results,
    ScalarContext,
    Summary,
    Timeout,
)

import buildapi
from buildapi.nagios.check_result import CheckResult, Measurement
from buildapi.nagios.formatting import printable
from buildapi.nagios.option_types import token_header, user_header
from buildapi.nagios.options import UNKNOWN, read
from buildapi.nagios.registry import CheckSpec
from buildapi.nagios.service_client import ServiceClient

LINE_MAX = 600
GRACE_SECONDS = 5
"""How much longer than all answers the program itself may take."""


class CheckResource(Resource):
    """The service, as one check sees it; ``result`` is there once it was asked."""

    def __init__(self, spec: CheckSpec, args: Namespace) -> None:
        self.result = CheckResult("")
        self._spec = spec
        self._args = args

    def probe(self) -> list[Metric]:
        """Ask; :raises CheckError: what is asked for cannot be told."""
        self.result = self._spec.run(open_client(self._args), self._args)
        faults = [Metric("fault", fault, context="fault") for fault in self.result.faults]
        return [*faults, *(_metric(measurement) for measurement in self.result.measures)]


class FaultContext(Context):
    """What is bad at any threshold."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:  # noqa: ARG002
        """Give the state that came with the fault."""
        state, text = metric.value
        return Result(state, text, metric)


class StatusSummary(Summary):
    """The words of the status line: all that is well, or all that is not, the worst first."""

    def __init__(self, resource: CheckResource) -> None:
        self._resource = resource

    def ok(self, results: Results) -> str:  # noqa: ARG002
        """Say what was found."""
        return printable(self._resource.result.text, LINE_MAX)

    def problem(self, results: Results) -> str:
        """Say what is not well."""
        texts = [self._of(result) for result in results if result.state != Ok]
        return printable("; ".join(dict.fromkeys(texts)), LINE_MAX)

    def verbose(self, results: Results) -> list[str]:
        """List thresholds that are passed, and details."""
        passed = [
            f"{result.metric.name} is {result.metric.valueunit}, {result.hint}"
            for result in results
            if result.state != Ok and result.metric and result.metric.context != "fault"
        ]
        lines = [*passed, *self._resource.result.details]
        return [printable(line, LINE_MAX) for line in lines]

    def _of(self, result: Result) -> str:
        said = {m.label: m.message for m in self._resource.result.measures}
        name = result.metric.name if result.metric else ""
        return said.get(name) or str(result.hint)


def open_client(args: Namespace) -> ServiceClient:
    """Get ready to ask the service; :raises CheckError: a file that was named is of no use."""
    headers = {"Accept": "application/json", "User-Agent": f"check_buildapi/{buildapi.__version__}"}
    if args.token_file:
        headers["Authorization"] = token_header(args.token_file)
    if args.user_file:
        headers["Authorization"] = user_header(args.user_file)
    return ServiceClient.open(
        args.url, headers, args.timeout, ca=args.ca, proxies=args.proxy_from_environment
    )


def build_check(spec: CheckSpec, args: Namespace) -> Check:
    """Put a check together."""
    resource = CheckResource(spec, args)
    contexts = [ScalarContext(limit.name or "-", *limit.ranges(args)) for limit in spec.limits]
    check = Check(
        resource, FaultContext("fault"), ScalarContext("plain"), StatusSummary(resource), *contexts
    )
    check.name = spec.name
    return check


def run(arguments: Sequence[str] | None) -> NoReturn:
    """Run a command line; leave with the state."""
    spec, args = read(arguments)
    name = spec.name.upper()
    try:
        build_check(spec, args).main(verbose=args.verbose, timeout=args.timeout + GRACE_SECONDS)
    except Timeout:
        told = f"the check did not end in {args.timeout + GRACE_SECONDS} s"
    except Exception as e:  # a fault of ours is no state of the service
        told = f"fault in the plugin: {type(e).__name__} {printable(str(e))}"
    with contextlib.suppress(OSError):  # where nothing can be written, the exit code still tells
        print(f"{name} UNKNOWN - {told}", flush=True)
    sys.exit(UNKNOWN)


def _metric(measurement: Measurement) -> Metric:
    context = "plain" if measurement.limit is None else measurement.limit.name or "-"
    value, unit = measurement.rounded, measurement.unit or None
    return Metric(measurement.label, value, unit, min=0, context=context)
