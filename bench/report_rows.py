"""Reports in the table: each of a day and of 30, beside its own SELECTs sent by PyMySQL alone."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing

from bench.processes import processor_seconds
from bench.reports import REPORTS
from bench.rows import Figure, Row, medians
from bench.site import Bench
from bench.statements import Raw, recorded
from tests.e2e.service import Service

SECTION = "reports"
DAY, MONTH = 24, 24 * 30
ROUNDS = {DAY: 3, MONTH: 1}
"""Reports are kept for a minute: each round asks for an hour more."""


def _once(service: Service, path: str) -> tuple[float, float | None]:
    began, processor = time.perf_counter(), processor_seconds(service.pid)
    answer = service.client.get(path)
    if answer.status != 200:
        raise SystemExit(f"{path} is answered with {answer.status}: {answer.body}")
    seconds = time.perf_counter() - began
    return seconds * 1000, (processor_seconds(service.pid) - processor) * 1000


def measure(bench: Bench, service: Service) -> Iterator[Row]:
    """Measure every report."""
    for hours, rounds in ROUNDS.items():
        if bench.quick and hours != DAY:
            continue
        for report in REPORTS:
            ours: list[tuple[float, float | None]] = []
            raws: list[tuple[float, float | None]] = []
            for number in range(min(rounds, bench.length.rounds)):
                path = f"/reports/{report}?hours={hours + number}"
                if bench.mariadb is None:
                    ours.append(_once(service, path))
                    continue
                with recorded(bench.mariadb) as found:
                    ours.append(_once(service, path))
                with closing(Raw(bench.mariadb)) as raw:
                    raws.append((raw.send([s for s in found if s.reads]) * 1000, None))
            yield _row(report, hours, medians(ours), medians(raws) if raws else None)


def _row(report: str, hours: int, ours: Figure, raw: Figure | None) -> Row:
    days = "a day" if hours == DAY else f"{hours // 24} days"
    beside = "raw PyMySQL, same SELECTs" if raw is not None else ""
    return Row(SECTION, f"{report}, {days}", "ms", ours, raw, beside)
