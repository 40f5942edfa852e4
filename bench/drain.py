"""Let one agent drain a queue of rebuilds; print jobs per second and processor time per job.

    python -m bench.drain [--jobs 300] [--rounds 5] [--against FOLDER]

An API process accepts the jobs in batches while no agent runs; then one agent starts and drains
them, with MariaDB and RabbitMQ of their own beside.  The jobs rebuild one build each (``distinct``)
or all of them one build (``same``).  The rate is that between the first and the last finished
reports, so that starting does not count; the processor time is that of the agent and, apart, of
the API process, which stores the reports.  ``--against`` is the top of another checkout, which
takes turns with this one in every round: on a busy machine only the ratio of such rounds means
anything.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs

from bench.processes import processor_seconds
from buildapi.sample.farm_schema import scheduler_schema
from tests.buildbot.seed import Seed
from tests.e2e.service import Service, environment, toml, twistd
from tests.services.mariadb import MariaDB, free_port, start_mariadb
from tests.services.rabbitmq import RabbitMQ, start_rabbitmq

ROOT = Path(__file__).parent.parent
BATCH = 50
SECONDS = 300
KINDS = ("distinct", "same")
FINISHED = "SELECT COUNT(*) AS n FROM jobrequests WHERE id >= %s AND completed_at IS NOT NULL"


def broker_section(node: RabbitMQ, name: str) -> dict[str, str]:
    """Return a configuration's section of a broker, with an exchange and queues of this name."""
    return {
        "url": f"amqp://{node.user}:{node.password}@127.0.0.1:{node.port}/",
        "exchange": name,
        "agent_queue": f"{name}-agent",
        "web_queue": f"{name}-web",
    }


def own_environment(tree: Path, *, fresh: bool) -> dict[str, str]:
    """Return the environment of a process that runs a checkout.

    It is forked from one that has loaded this checkout only without a PYTHONPATH of its own, which
    a ``fresh`` process has.
    """
    path = {"PYTHONPATH": str(tree)} if fresh or tree != ROOT else {}
    return {**environment(), **path}


@attrs.frozen
class Figures:
    """Jobs per second, and milliseconds of processor time per job."""

    rate: float
    agent: float
    api: float


@attrs.define
class Desk:
    """A checkout with databases and a queue of its own, and its API process.

    Processes that are not ``fresh`` are forked from one that has loaded the program.
    """

    name: str
    tree: Path
    folder: Path
    scheduler: str
    jobs: str
    broker: Mapping[str, str]
    builds: Sequence[int] = ()
    fresh: bool = True
    _api: Service = attrs.field(init=False)

    @classmethod
    def over(
        cls,
        checkout: tuple[str, Path],
        folder: Path,
        servers: tuple[MariaDB, RabbitMQ],
        builds: int,
    ) -> Desk:
        """Create the databases, with builds to rebuild, and a virtual host."""
        (name, tree), (server, broker) = checkout, servers
        (folder / name).mkdir()
        scheduler = server.database("scheduler", "utf8mb3")
        server.execute(*scheduler_schema("mysql"), database=scheduler.rpartition("/")[2])
        jobs, section = server.database("jobs"), broker_section(broker, name)
        desk = cls(name, tree, folder / name, scheduler, jobs, section)
        (desk.folder / "branches.json").write_text('{"try": {"repo": "https://hg.example.org"}}')
        (desk.folder / "masters.json").write_text("[]")
        seed = Seed(scheduler)
        found = []
        for number in range(builds):
            request = seed.request(
                revision=f"{number % 50:012x}",
                builder=f"linux-{number % 30}",
                properties={"product": "firefox", "buildid": str(number), "who": "a@example.org"},
            )
            found.append(seed.run(request))
            seed.end(found[-1])
            seed.complete(request)
        seed.close()
        desk.builds = found
        return desk

    def process(self, role: str, name: str = "") -> Service:
        """Return a process of this checkout; it does not run yet.

        Two at a time need names.
        """
        folder, port = self.folder / (name or role), free_port()
        folder.mkdir(exist_ok=True)
        document = {
            "service": {"data": "data", "roles": [role], "name": folder.name},
            "web": {"listen": [f"tcp:{port}:interface=127.0.0.1"]},
            "databases": {"scheduler": {"url": self.scheduler}, "jobs": {"url": self.jobs}},
            "broker": self.broker,
            "limits": {"builds_per_user_hour": 1_000_000, "builds_per_request": 100_000},
            "directory": {
                "branches": str(self.folder / "branches.json"),
                "masters": str(self.folder / "masters.json"),
            },
        }
        (folder / "buildapi.toml").write_text(toml(document))
        return Service(
            folder=folder,
            command=twistd("buildapi", "--config", "buildapi.toml"),
            environment=own_environment(self.tree, fresh=self.fresh),
            port=port,
        )

    def __attrs_post_init__(self) -> None:
        self._api = self.process("api")

    def start(self) -> None:
        """Start the API process."""
        self._api.up()

    def end(self) -> None:
        """End the API process."""
        self._api.kill()

    def drain(self, kind: str, jobs: int, agents: int = 1) -> Figures:
        """Accept jobs, let agents drain them, and measure that."""
        return self.drain_accepted(self.accept(kind, jobs), jobs, agents)

    def drain_accepted(self, accepted: int, jobs: int, agents: int = 1) -> Figures:
        """Let agents drain the jobs that were accepted, from this id on, and measure that."""
        table = Seed(self.jobs)
        running = [self.process("agent", f"agent-{number}") for number in range(agents)]
        try:
            for agent in running:
                agent.begin()
            before, first = self._until(table, accepted, 1, running)
            _, ended = self._until(table, accepted, jobs, running)
        finally:
            for agent in running:
                if agent.running:
                    agent.stop()
            table.close()
        # Of a group that is finished at once, the work was before: it counts on neither side,
        # unless hardly anything would be left.
        began = first if first.finished <= jobs / 2 else before
        done = ended.finished - began.finished
        return Figures(
            done / (ended.at - began.at),
            (ended.agent - began.agent) / done * 1000,
            (ended.api - began.api) / done * 1000,
        )

    def accept(self, kind: str, jobs: int) -> int:
        """Accept jobs in batches; return the id of the first."""
        client = self._api.client
        left = [self.builds[n if kind == "distinct" else 0] for n in range(jobs)]
        ids: list[int] = []
        end = time.monotonic() + SECONDS
        while left:
            some, left = left[:BATCH], left[BATCH:]
            entries = [
                {"path": "/self-serve/try/build", "body": {"build_id": build}} for build in some
            ]
            answer = client.ask("POST", "/self-serve/batch", document=entries)
            if answer.status != 200 or time.monotonic() > end:
                raise SystemExit(f"{self.name}: not accepted: {answer}")
            for build, one in zip(some, answer.body, strict=True):
                if one["status"] == 503:  # a busy machine: it is never executed
                    left.append(build)
                elif one["status"] != 202:
                    raise SystemExit(f"{self.name}: not accepted: {one}")
                else:
                    ids.append(one["body"]["request_id"])
        return min(ids)

    def _until(
        self, table: Seed, first: int, wanted: int, agents: Sequence[Service]
    ) -> tuple[_Moment, _Moment]:
        """Wait until so many jobs are finished; return the last moment before it, and that one.

        Groups are committed together, so that all may be finished at the first look.
        """
        before = now = self._look(table, first, agents)
        end = time.monotonic() + SECONDS
        while now.finished < wanted:
            if time.monotonic() > end or not all(agent.running for agent in agents):
                said = "".join(agent.output() for agent in agents)
                raise SystemExit(f"{self.name}: {now.finished} of {wanted} jobs: {said}")
            time.sleep(0.02)
            before, now = now, self._look(table, first, agents)
        return before, now

    def _look(self, table: Seed, first: int, agents: Sequence[Service]) -> _Moment:
        return _Moment(
            int(table.rows(FINISHED, first)[0]["n"]),
            time.monotonic(),
            sum(processor_seconds(agent.pid) for agent in agents),
            processor_seconds(self._api.pid),
        )

    def check(self, jobs: int) -> None:
        """Raise SystemExit unless every job was executed once and finished well."""
        farm, table = Seed(self.scheduler), Seed(self.jobs)
        (done,) = farm.rows("SELECT COUNT(*) AS n FROM buildsets WHERE reason LIKE 'Self-serve%%'")
        (failed,) = table.rows(
            "SELECT COUNT(*) AS n FROM jobrequests WHERE complete_data NOT LIKE %s",
            '%"errors": false%',
        )
        farm.close()
        table.close()
        if done["n"] != jobs or failed["n"]:
            raise SystemExit(f"{self.name}: {done['n']} of {jobs} done, {failed['n']} failed")


@attrs.frozen
class _Moment:
    finished: int
    at: float
    agent: float
    api: float


def show(kind: str, found: Mapping[str, Sequence[Figures]]) -> None:
    """Print the medians of a kind, and the ratios of the rounds if there are two checkouts."""
    for name, rounds in found.items():
        rates = [one.rate for one in rounds]
        agent = statistics.median(one.agent for one in rounds)
        api = statistics.median(one.api for one in rounds)
        print(
            f"{kind}, {name}: {statistics.median(rates):.0f} jobs/s"
            f" ({min(rates):.0f}-{max(rates):.0f}), per job {agent:.2f} ms of the agent,"
            f" {api:.2f} ms of the API process"
        )
    if len(found) > 1:
        after, before = found.values()
        ratios = [a.rate / b.rate for a, b in zip(after, before, strict=True)]
        work = [b.agent / a.agent for a, b in zip(after, before, strict=True)]
        print(
            f"{kind}, ratio of rounds: rate {statistics.median(ratios):.2f}"
            f" ({min(ratios):.2f}-{max(ratios):.2f}),"
            f" processor time of the agent {statistics.median(work):.2f}"
        )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=KINDS)
    given = parser.parse_args()
    trees: dict[str, Any] = {"this": ROOT}
    trees |= {} if given.against is None else {"other": given.against.resolve()}
    with ExitStack() as ends:
        server = start_mariadb()
        ends.callback(server.remove)
        # Erlang wants short paths
        folder, other = (Path(ends.enter_context(tempfile.TemporaryDirectory())) for _ in "12")
        broker = start_rabbitmq(other)
        ends.callback(broker.close)
        desks = []
        for name, tree in trees.items():
            desks.append(Desk.over((name, tree), folder, (server, broker), given.jobs))
            ends.callback(desks[-1].end)
            desks[-1].start()
        for kind in given.kinds:
            found: dict[str, list[Figures]] = {desk.name: [] for desk in desks}
            for _ in range(given.rounds):
                for desk in desks:
                    found[desk.name].append(desk.drain(kind, given.jobs))
            show(kind, found)
        for desk in desks:
            desk.check(given.jobs * given.rounds * len(given.kinds))
        print(f"{given.jobs} jobs a round, {given.rounds} rounds, every job executed once")


if __name__ == "__main__":
    main()
