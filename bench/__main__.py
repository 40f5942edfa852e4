"""Measure everything beside its references; print a table, and write JSON.

    python -m bench [--size 100000] [--quick] [--only hot cold ...] [--tree FOLDER]
                    [--json FILE] [--document]

MariaDB and RabbitMQ are private ones (``make services`` installs them).  ``--quick`` measures
hardly anything: it shows that everything runs.  ``--tree`` is the top of another checkout, which
is measured instead of this one.  ``--document`` writes the figures into docs/performance.md as
well, as ``python -m bench.document FILE`` does with those of a file.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import attrs

from bench import (
    cold,
    document,
    drain_rows,
    growth,
    hot,
    html,
    mix,
    push_rows,
    report_rows,
    start,
    table,
    writes,
)
from bench.load import Elsewhere
from bench.memory import Memory
from bench.rows import Row
from bench.site import FULL, QUICK, ROOT, Bench, commit_of, prepared, running
from bench.subjects import Subjects, find_subjects

SECTIONS = (
    *("hot", "html", "cold", "growth", "writes", "drain", "mix", "start", "memory", "reports"),
    "pushes",
)
READS = {"hot", "html", "memory", "reports"}
"""Sections that one process answers, whose memory is read in the end."""


@attrs.define
class Run:
    """One run: what is measured, and the rows until now."""

    bench: Bench
    elsewhere: Elsewhere
    only: Sequence[str]
    rows: list[Row] = attrs.field(factory=list)
    seconds: dict[str, float] = attrs.field(factory=dict)

    def section(self, name: str, measure: Callable[[], Iterable[Row]]) -> None:
        """Measure a section, unless it is left out; print its rows as they come."""
        if name not in self.only:
            return
        began = time.monotonic()
        for row in measure():
            self.rows.append(row)
            print(table.line(row), flush=True)
        self.seconds[name] = round(time.monotonic() - began, 1)

    def everything(self) -> None:
        """Measure all sections, each with as few processes around it as it needs."""
        bench, send = self.bench, self.elsewhere.send
        with running(bench.service(bench.large, ["api"], bench.broker())) as service:
            memory = Memory(service)
            memory.rest()
            subjects = find_subjects(service.client, bench.large.scheduler)
            self.section("hot", lambda: hot.measure(bench, send, service, subjects))
            self.section("html", lambda: html.measure(bench, send, service, subjects))
            memory.note("after reads, the most")
            self.section("reports", lambda: report_rows.measure(bench, service))
            memory.note("after reports, the most")
            self.section("memory", memory.rows)
        with running(bench.service(bench.large, ["api"], bench.broker(), cold.UNCACHED)) as large:
            self.section("cold", lambda: cold.measure(bench, send, large, subjects))
            if "growth" in self.only and bench.small is not bench.large:
                with running(
                    bench.service(bench.small, ["api"], bench.broker(), cold.UNCACHED)
                ) as small:
                    self.section("growth", lambda: growth.measure(bench, send, large, small))
        self._with_writes(subjects)

    def _with_writes(self, subjects: Subjects) -> None:
        bench, elsewhere = self.bench, self.elsewhere
        self.section("writes", lambda: writes.measure(bench, elsewhere, subjects))
        self.section("drain", lambda: drain_rows.measure(bench))
        self.section("mix", lambda: mix.measure(bench, elsewhere, subjects))
        self.section("start", lambda: start.measure(bench))
        # It adds builds to the farm: the others are measured without them.
        self.section("pushes", lambda: push_rows.measure(bench, elsewhere.send))


def _document(run: Run, began: float) -> dict[str, Any]:
    return {
        "commit": commit_of(run.bench.tree),
        "builds": run.bench.large.builds,
        "builds_of_the_small_farm": run.bench.small.builds,
        "databases": "MariaDB" if run.bench.mariadb else "SQLite",
        "broker": "RabbitMQ" if run.bench.rabbitmq else "embedded",
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "rounds": run.bench.length.rounds,
        "seconds": round(time.monotonic() - began),
        "seconds_of_sections": run.seconds,
        "load": [round(one, 1) for one in os.getloadavg()],
        "rows": [row.document() for row in run.rows],
    }


def measured(options: argparse.Namespace) -> dict[str, Any]:
    """Run the benchmark; return what is stored of it."""
    began = time.monotonic()
    length = QUICK if options.quick else FULL
    tenth = "growth" in options.only
    with ExitStack() as ends:
        bench = ends.enter_context(
            prepared(options.tree.resolve(), options.size, length, tenth=tenth)
        )
        elsewhere = ends.enter_context(closing(Elsewhere()))
        run = Run(bench, elsewhere, options.only)
        run.everything()
        return _document(run, began)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--size", type=int, default=100_000, help="builds of the farm")
    parser.add_argument("--quick", action="store_true", help="measure hardly anything")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=SECTIONS)
    parser.add_argument("--tree", type=Path, default=ROOT, help="another checkout")
    parser.add_argument("--json", type=Path, help="file for the figures")
    parser.add_argument("--document", action="store_true", help="write docs/performance.md")
    options = parser.parse_args(arguments)
    if options.size < 1000:
        parser.error("--size: at least 1000")
    found = measured(options)
    print(table.text(found))
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(json.dumps(found, indent=1) + "\n")
        print(f"written to {options.json}")
    if options.document:
        document.write(found)
        print(f"written to {document.PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
