"""Divide a build of the sample farm into steps, as its master reports them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from buildapi.model.results import EXCEPTION, FAILURE, FAILURES, SUCCESS, WARNINGS

COMPILE_STEPS = (("checkout", 0.15), ("configure", 0.2), ("compile", 0.85), ("package", 1.0))
"""Steps of a build that compiles, each with the part of its time at which it ends."""

DOWNLOAD = ("download", 0.25)
"""The step of a test before its suite; the report of test runs needs one that is no test."""


@attrs.frozen
class SampleStep:
    """Describe a step: ``description`` are the words that a master shows of it."""

    name: str
    description: Sequence[str]
    start: int
    finish: int | None
    status: int | None


def step_name(suite: str) -> str:
    """Return the name of the step that runs a suite: all chunks of a suite share it."""
    if suite.startswith("talos"):
        return "Run performance tests"
    return "mochitest-plain" if suite.removeprefix("mochitest-").isdigit() else suite


def steps_of(
    suite: str | None, number: int, start: int, finish: int | None, result: int | None
) -> Iterator[SampleStep]:
    """Yield the steps of a build; ``suite`` is None for one that compiles.

    One that failed ends with a step that failed, which the ``number`` of the build decides.
    """
    parts = list(COMPILE_STEPS if suite is None else (DOWNLOAD, (step_name(suite), 1.0)))
    if finish is None:
        name, _ = parts[0]
        yield SampleStep(name, [name], start, None, None)
        return
    bad = result in FAILURES
    if bad and suite is None:
        parts = parts[: 1 + number % len(parts)]
    begin, whole = start, parts[-1][1]
    for n, (name, part) in enumerate(parts):
        is_last = n == len(parts) - 1
        status = result if is_last else SUCCESS
        end = finish if is_last else start + int((finish - start) * part / whole)
        words = {FAILURE: ["failed"], EXCEPTION: ["exception"], WARNINGS: ["warnings"]}
        yield SampleStep(name, [name, *words.get(status or 0, ())], begin, end, status)
        begin = end
