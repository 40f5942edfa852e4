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
from buildapi.nagios.fetch import Service
from buildapi.nagios.finding import Finding, Measure
from buildapi.nagios.kinds import Kind
from buildapi.nagios.options import UNKNOWN, read
from buildapi.nagios.values import token_header, user_header
from buildapi.nagios.words import printable

LINE_MAX = 600
GRACE_SECONDS = 5
"""How much longer than all answers the program itself may take."""


class Observed(Resource):
    """The service, as one check sees it; ``finding`` is there once it was asked."""

    def __init__(self, kind: Kind, asked: Namespace) -> None:
        self.finding = Finding("")
        self._kind = kind
        self._asked = asked

    def probe(self) -> list[Metric]:
        """Ask; :raises CheckError: what is asked for cannot be told."""
        self.finding = self._kind.look(connected(self._asked), self._asked)
        faults = [Metric("fault", fault, context="fault") for fault in self.finding.faults]
        return [*faults, *(_metric(measure) for measure in self.finding.measures)]


class Faults(Context):
    """What is bad at any threshold."""

    def evaluate(self, metric: Metric, resource: Resource) -> Result:  # noqa: ARG002
        """Give the state that came with the fault."""
        state, text = metric.value
        return Result(state, text, metric)


class Line(Summary):
    """The words of the status line: all that is well, or all that is not, the worst first."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    def ok(self, results: Results) -> str:  # noqa: ARG002
        """Say what was found."""
        return printable(self._observed.finding.text, LINE_MAX)

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
        lines = [*passed, *self._observed.finding.details]
        return [printable(line, LINE_MAX) for line in lines]

    def _of(self, result: Result) -> str:
        said = {m.label: m.says for m in self._observed.finding.measures}
        name = result.metric.name if result.metric else ""
        return said.get(name) or str(result.hint)


def connected(asked: Namespace) -> Service:
    """Get ready to ask the service; :raises CheckError: a file that was named is of no use."""
    headers = {"Accept": "application/json", "User-Agent": f"check_buildapi/{buildapi.__version__}"}
    if asked.token_file:
        headers["Authorization"] = token_header(asked.token_file)
    if asked.user_file:
        headers["Authorization"] = user_header(asked.user_file)
    return Service.at(
        asked.url, headers, asked.timeout, ca=asked.ca, proxies=asked.proxy_from_environment
    )


def check_of(kind: Kind, asked: Namespace) -> Check:
    """Put a check together."""
    observed = Observed(kind, asked)
    contexts = [ScalarContext(limit.name or "-", *limit.ranges(asked)) for limit in kind.limits]
    check = Check(observed, Faults("fault"), ScalarContext("plain"), Line(observed), *contexts)
    check.name = kind.name
    return check


def run(arguments: Sequence[str] | None) -> NoReturn:
    """Run a command line; leave with the state."""
    kind, asked = read(arguments)
    name = kind.name.upper()
    try:
        check_of(kind, asked).main(verbose=asked.verbose, timeout=asked.timeout + GRACE_SECONDS)
    except Timeout:
        told = f"the check did not end in {asked.timeout + GRACE_SECONDS} s"
    except Exception as e:  # a fault of ours is no state of the service
        told = f"fault in the plugin: {type(e).__name__} {printable(str(e))}"
    with contextlib.suppress(OSError):  # where nothing can be written, the exit code still tells
        print(f"{name} UNKNOWN - {told}", flush=True)
    sys.exit(UNKNOWN)


def _metric(measure: Measure) -> Metric:
    context = "plain" if measure.limit is None else measure.limit.name or "-"
    value, unit = measure.shown, measure.unit or None
    return Metric(measure.label, value, unit, min=0, context=context)
