"""The drain of a queue in the table: one agent beside its own statements, two agents beside one."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing

from bench.drain import FINISHED, KINDS, Desk
from bench.rows import Figure, Round, Row, at_least, interleaved
from bench.site import Bench
from bench.statements import Raw, Statement, recorded, transactions
from tests.services.mariadb import MariaDB

SECTION = "drain"
ALONE, TWO = at_least(0.6), at_least(1.8)
NAMES = {"distinct": "rebuilds of different builds", "same": "rebuilds of one build"}
LOOK = FINISHED.partition(" WHERE")[0]


def copied(server: MariaDB, url: str) -> str:
    """Copy a database; return the name of the copy."""
    source, target = (name.rpartition("/")[2] for name in (url, server.database("copy")))
    with closing(server.connect(source)) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW TABLES")
        for (table,) in cursor.fetchall():
            cursor.execute(f"CREATE TABLE {target}.{table} LIKE {source}.{table}")
            cursor.execute(f"INSERT INTO {target}.{table} SELECT * FROM {source}.{table}")  # noqa: S608  # ours
    return target


class SameStatements:
    """The statements of one drain, sent again over copies of what they were sent to."""

    def __init__(self, bench: Bench, desk: Desk, kind: str, jobs: int) -> None:
        self._server, self._jobs, first = bench.server, jobs, desk.accept(kind, jobs)
        self._before = {
            url.rpartition("/")[2]: copied(self._server, url) for url in (desk.scheduler, desk.jobs)
        }
        with recorded(self._server) as found:
            desk.drain_accepted(first, jobs)
        kept = [s for s in found if s.database in self._before and not s.text.startswith(LOOK)]
        self._statements: Sequence[Statement] = [s for one in transactions(kept) for s in one]
        self.note = f"{len(kept) / jobs:.1f} statements per job"

    def round(self) -> tuple[float, float | None]:
        """Send them; return jobs per second."""
        renamed = {
            name: copied(self._server, self._server.url(copy))
            for name, copy in self._before.items()
        }
        with closing(Raw(self._server, renamed)) as raw:
            seconds = raw.send(self._statements)
        self._server.execute(*(f"DROP DATABASE {name}" for name in renamed.values()))
        return self._jobs / seconds, None


def _ours(desk: Desk, kind: str, jobs: int, agents: int = 1) -> Round:
    def measure() -> tuple[float, float | None]:
        figures = desk.drain(kind, jobs, agents)
        return figures.rate, figures.agent

    return measure


def measure(bench: Bench) -> Iterator[Row]:
    """Measure how fast agents drain a queue."""
    if bench.mariadb is None or bench.rabbitmq is None:
        print("drains need MariaDB and RabbitMQ: left out", flush=True)
        return
    jobs, rounds = bench.length.jobs, min(3, bench.length.rounds)
    with ExitStack() as ends:
        folder = bench.folder / "drain"
        folder.mkdir()
        servers = (bench.mariadb, bench.rabbitmq)
        desk = Desk.over(("drain", bench.tree), folder, servers, 2 * jobs)
        desk.fresh = not bench.quick
        ends.callback(desk.end)
        desk.start()
        for kind in KINDS[:1] if bench.quick else KINDS:
            raw = SameStatements(bench, desk, kind, jobs)
            turns: dict[str, Round] = {"ours": _ours(desk, kind, jobs), "raw": raw.round}
            found = interleaved(rounds, turns)
            yield _row(NAMES[kind], found, "raw", "the same statements raw", raw.note)
        turns = {
            "ours": _ours(desk, "distinct", 2 * jobs, 2),
            "one": _ours(desk, "distinct", 2 * jobs),
        }
        found = interleaved(rounds, turns)
        yield _row("two agents, different builds", found, "one", "one agent", "")


def _row(work: str, found: dict[str, Figure], beside: str, name: str, note: str) -> Row:
    goal = TWO if beside == "one" else ALONE
    return Row(SECTION, work, "jobs/s", found["ours"], found[beside], name, goal, note)
