"""Run a check by nagiosplugin: query the service, apply the thresholds, print, exit."""

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

from buildapi.nagios.check_result import CheckResult, Measurement
from buildapi.nagios.formatting import printable, round_value
from buildapi.nagios.registry import UNKNOWN, CheckSpec, read_arguments
from buildapi.nagios.service_client import ServiceClient

LINE_MAX = 600
GRACE_SECONDS = 5
"""Time the program gets beyond the timeout of all requests."""


class CheckResource(Resource):
    """The service as one check sees it; ``result`` is filled by ``probe``."""

    def __init__(self, spec: CheckSpec, args: Namespace) -> None:
        self.result = CheckResult("")
        self._spec = spec
        self._args = args

    def probe(self) -> list[Metric]:
        """Query the service; :raises CheckError: the check cannot be carried out."""
        self.result = self._spec.run(ServiceClient.from_arguments(self._args), self._args)
        # nagiosplugin knows states only as results of metrics, so that a fault is one without a
        # number.
        faults = [Metric("fault", fault, context="fault") for fault in self.result.faults]
        return [*faults, *map(_metric, self.result.measurements)]


class FaultContext(Context):
    """Faults, which have a state at any threshold."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:  # noqa: ARG002  # nagiosplugin's signature
        """Return the state of a fault."""
        state, text = metric.value
        return Result(state, text, metric)


class StatusSummary(Summary):
    """The text of the status line: the result if it is OK, else its problems, the worst first."""

    def __init__(self, resource: CheckResource) -> None:
        self._resource = resource

    def ok(self, results: Results) -> str:  # noqa: ARG002  # nagiosplugin's signature
        """Return the text of a result that is OK."""
        return printable(self._resource.result.text, LINE_MAX)

    def problem(self, results: Results) -> str:
        """Return the texts of all values and faults that are not OK."""
        texts = [self._text_of(result) for result in results if result.state != Ok]
        return printable("; ".join(dict.fromkeys(texts)), LINE_MAX)

    def verbose(self, results: Results) -> list[str]:
        """List values outside of their thresholds, then the details."""
        outside = [
            f"{result.metric.name} is {result.metric.valueunit}, {result.hint}"
            for result in results
            if result.state != Ok and result.metric and result.metric.context != "fault"
        ]
        return [printable(line, LINE_MAX) for line in (*outside, *self._resource.result.details)]

    def _text_of(self, result: Result) -> str:
        messages = {m.label: m.message for m in self._resource.result.measurements}
        name = result.metric.name if result.metric else ""
        return messages.get(name) or str(result.hint)


def build_check(spec: CheckSpec, args: Namespace) -> Check:
    """Return nagiosplugin's check for a check of the registry."""
    resource = CheckResource(spec, args)
    # A context needs a name; "-" is none of an option.
    contexts = [ScalarContext(limit.name or "-", *limit.ranges(args)) for limit in spec.limits]
    own = (FaultContext("fault"), ScalarContext("plain"), StatusSummary(resource))
    check = Check(resource, *own, *contexts)
    # Otherwise it would be the name of the resource's class.
    check.name = spec.name
    return check


def run(arguments: Sequence[str] | None) -> NoReturn:
    """Run a command line; exit with the code of the state."""
    spec, args = read_arguments(arguments)
    # The client's own deadline ends first, and its message names what did not answer.
    seconds = args.timeout + GRACE_SECONDS
    try:
        build_check(spec, args).main(verbose=args.verbose, timeout=seconds)
    except Timeout:
        message = f"the check did not end within {seconds} s"
    except Exception as e:  # a fault of the plugin is not a state of the service
        message = f"error in the plugin: {type(e).__name__} {printable(str(e))}"
    with contextlib.suppress(OSError):  # if nothing can be written, the exit code still counts
        print(f"{spec.name.upper()} UNKNOWN - {message}", flush=True)
    sys.exit(UNKNOWN)


def _metric(measurement: Measurement) -> Metric:
    limit = measurement.limit
    # "plain" has no ranges: the value is reported and cannot alert.
    context = "plain" if limit is None else limit.name or "-"
    value, unit = round_value(measurement.value), measurement.unit or None
    return Metric(measurement.label, value, unit, min=0, context=context)
