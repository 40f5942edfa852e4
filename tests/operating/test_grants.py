"""``buildapi db grants``: the accounts it makes can do what each process does, and no more."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pymysql
import pytest

from buildapi.buildbot.v08 import table_grants
from buildapi.db.grants import JOBS as JOBS_RIGHTS
from buildapi.db.schema import JOBS
from buildapi.sample.farm_schema import scheduler_schema, status_schema
from tests.e2e.service import Service, configured
from tests.operating.conftest import Place, place_on
from tests.services.mariadb import MariaDB
from tests.services.rabbitmq import RabbitMQ

V08 = Path(table_grants.__file__).parent
DENIED = 1142
COLUMN_DENIED = 1143

GRANT = re.compile(r"(CREATE USER IF NOT EXISTS '(\w+)'@'[^']*' IDENTIFIED BY '([^']+)'|GRANT .*);")


def accounts(text: str) -> dict[str, str]:
    """Read the passwords of the accounts off the printed statements."""
    made = (GRANT.fullmatch(line) for line in text.splitlines())
    return {m[2]: m[3] for m in made if m is not None and m[2]}


def sql(text: str) -> list[str]:
    """Return the printed statements."""
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    assert all(GRANT.fullmatch(line) for line in lines), lines
    return lines


def test_every_table_of_the_jobs_database_is_granted() -> None:
    for role in ("upgrade", "api", "agent"):
        assert set(JOBS_RIGHTS[role]) == set(JOBS)


def test_the_tables_named_are_those_of_the_queries() -> None:
    """Both databases have tables of the same names, so a query's file tells which it reads."""
    known = {
        word
        for statement in (*scheduler_schema("sqlite"), *status_schema("sqlite"))
        for word in re.findall(r"CREATE TABLE .?(\w+)", statement)
    }
    status_files = {"recent_builds.py", "status_reports.py", "step_reads.py"}
    both = {"ended_build_reads.py"}
    asked: dict[bool, set[str]] = {True: set(), False: set()}
    for file in V08.glob("*.py"):
        if file.name in both:
            continue
        names = re.findall(r"\b(?:FROM|JOIN)\s+(\w+)", file.read_text())
        asked[file.name in status_files] |= set(names) & known
    assert asked[False] <= set(table_grants.SCHEDULER_READ)
    assert asked[True] <= set(table_grants.STATUS_READ)


@pytest.mark.mariadb
class TestPrinted:
    @pytest.fixture
    def engine(self) -> str:
        return "mysql"

    def test_accounts_can_be_chosen(self, place: Place) -> None:
        one = place.run("db", "grants", "--role", "agent", "--host", "10.0.0.%")
        assert one.code == 0
        assert set(accounts(one.out.decode())) == {"buildapi_agent"}
        assert b"'buildapi_agent'@'10.0.0.%'" in one.out
        both = place.run("db", "grants", "--role", "agent", "--role", "api", "--user", "desk")
        assert set(accounts(both.out.decode())) == {"desk"}

    def test_a_name_that_is_none_is_refused(self, place: Place) -> None:
        refused = place.run("db", "grants", "--host", "x' OR '1")
        assert (refused.code, refused.out) == (2, b"")
        assert "is not the host of an account" in refused.err
        assert place.run("db", "grants", "--user", "a'b").code == 2
        assert place.run("db", "grants", "--role", "root").code == 2

    def test_passwords_are_new_and_long_each_time(self, place: Place) -> None:
        first, second = (accounts(place.run("db", "grants").out.decode()) for _ in range(2))
        assert set(first) == {f"buildapi_{r}" for r in ("upgrade", "api", "agent", "read")}
        passwords = {*first.values(), *second.values()}
        assert len(passwords) == 8
        assert min(map(len, passwords)) >= 32


class Farm:
    """A filled farm on MariaDB, its accounts, and services that use them."""

    def __init__(self, place: Place, server: MariaDB, broker: RabbitMQ) -> None:
        self.place, self.server, self.broker = place, server, broker
        self.passwords: dict[str, str] = {}
        self.names = {n: u.rpartition("/")[2] for n, u in place.urls.items()}

    def fill(self) -> None:
        urls = [f"--{name}={self.place.urls[name]}" for name in ("scheduler", "status")]
        size = ["--builds=150", "--pending=60", "--running=4", "--days=1", "--quiet"]
        subprocess.run([sys.executable, "-m", "buildapi.sample", *urls, *size], check=True)
        master = {"db_name": "nobody:/there", "hostname": "127.0.0.1", "http_port": 9}
        (self.place.folder / "masters.json").write_text(json.dumps([master]))

    def grant(self, *roles: str) -> None:
        """Run what is printed for some roles."""
        chosen = [word for role in roles for word in ("--role", role)]
        printed = self.place.run("db", "grants", "--host", "127.0.0.1", *chosen)
        assert printed.code == 0, printed
        text = printed.out.decode()
        for account in accounts(text):
            self.server.execute(f"DROP USER IF EXISTS '{account}'@'127.0.0.1'")
        self.passwords |= accounts(text)
        self.server.execute(*sql(text))

    def databases(self, role: str) -> dict[str, Any]:
        account = f"buildapi_{role}"
        login = f"{account}:{self.passwords[account]}@"
        return {n: {"url": u.replace("root@", login)} for n, u in self.place.urls.items()}

    def sections(self, role: str) -> dict[str, Any]:
        folder = self.place.folder
        files = {n: str(folder / f"{n}.json") for n in ("branches", "masters")}
        broker = f"amqp://{self.broker.user}:{self.broker.password}@127.0.0.1:{self.broker.port}/"
        roles = {"service": {"roles": [role], "data": "data"}} if role in ("api", "agent") else {}
        return {
            **roles,
            "databases": self.databases(role),
            "broker": {
                "url": broker,
                "exchange": "grants",
                "agent_queue": "grants-agent",
                "web_queue": "grants-web",
            },
            "directory": files,
            "dumps": {"folder": "dumps", "seconds": 1},
            "agent": {"recheck_seconds": 1, "verify_seconds": 1},
        }

    def connect(self, role: str) -> pymysql.connections.Connection[pymysql.cursors.Cursor]:
        account = f"buildapi_{role}"
        return pymysql.connect(
            host="127.0.0.1",
            port=self.server.port,
            user=account,
            password=self.passwords[account],
            autocommit=True,
            ssl_disabled=True,
        )


@pytest.fixture(scope="module")
def farm(mariadb: MariaDB, rabbitmq: RabbitMQ, tmp_path_factory: pytest.TempPathFactory) -> Farm:
    place = place_on(
        tmp_path_factory.mktemp("grants"),
        {name: mariadb.database(name) for name in ("jobs", "scheduler", "status")},
    )
    farm = Farm(place, mariadb, rabbitmq)
    farm.fill()
    farm.grant("upgrade")
    upgrader = Place(place.folder, {n: d["url"] for n, d in farm.databases("upgrade").items()})
    upgrader.configure()
    done = upgrader.run("db", "upgrade")
    assert (done.code, done.err) == (0, ""), done
    place.configure()
    farm.grant("api", "agent", "read")
    return farm


@pytest.fixture
def services(farm: Farm, tmp_path: Path) -> Iterator[tuple[Service, Service]]:
    """Run an API process and an agent, each with the account of its role."""
    with ExitStack() as stack:

        def make(role: str) -> Service:
            service = configured(tmp_path / role, farm.sections(role))
            stack.callback(service.kill)
            service.up()
            return service

        yield make("api"), make("agent")


def ids(server: MariaDB, name: str, query: str) -> list[Any]:
    connection = server.connect(name)
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            return [row[0] for row in cursor.fetchall()]
    finally:
        connection.close()


READS = (
    "/self-serve",
    "/self-serve/branches",
    "/self-serve/mozilla-central",
    "/self-serve/mozilla-central/builders",
    "/self-serve/mozilla-central/pushes",
    "/self-serve/pushes?author=nobody",
    "/self-serve/jobs",
    "/self-serve/jobs?state=failed",
    "/pending",
    "/running",
    "/recent",
    "/pushes",
    "/builds",
    "/reports/waittimes",
    "/reports/pushes",
    "/reports/builders",
    "/reports/endtoend",
    "/reports/slaves",
    "/reports/status_builders",
    "/reports/idlejobs",
    "/reports/testruns",
    "/reports/trychooser",
)


@pytest.mark.mariadb
@pytest.mark.rabbitmq
def test_each_process_can_do_all_it_does(
    farm: Farm, services: tuple[Service, Service], mariadb: MariaDB
) -> None:
    api, _ = services
    client, scheduler = api.client, farm.names["scheduler"]
    answers = {path: client.get(path) for path in READS}
    assert {path: a.body for path, a in answers.items() if a.status != 200} == {}
    joined = (
        "buildrequests r JOIN buildsets s ON s.id = r.buildsetid"
        " JOIN sourcestamps b ON b.id = s.sourcestampid"
    )
    of_branch = "b.branch = 'mozilla-central'"
    waits = f"{of_branch} AND r.claimed_at = 0 AND r.complete = 0 ORDER BY r.id"
    pending = ids(mariadb, scheduler, f"SELECT r.id FROM {joined} WHERE {waits}")
    built = f"{joined} JOIN builds d ON d.brid = r.id WHERE {of_branch} ORDER BY d.id DESC"
    builds = ids(mariadb, scheduler, f"SELECT d.id FROM {built}")
    revision = ids(mariadb, scheduler, f"SELECT b.revision FROM {built}")[0]
    base = "/self-serve/mozilla-central"
    for path in (
        "/",
        "/load",
        "/recent/no-worker",
        "/self-serve/user/nobody",
        f"{base}/pushes",
        f"{base}/build/{builds[0]}",
        f"{base}/build/{builds[0]}/steps",
        f"{base}/request/{pending[0]}",
        f"{base}/rev/{revision}",
    ):
        answer = client.get(path)
        assert answer.status == 200, (path, answer.body)
        with urllib.request.urlopen(f"{client.url}{path}?format=html") as page:
            texts = str(answer.body), page.read().decode()
        for text in texts:
            assert "Cannot read" not in text, path
            assert "does not respond" not in text, path
    jobs = [
        client.post(f"{base}/build", build_id=builds[0], count=2),
        client.post(f"{base}/request", request_id=pending[0]),
        client.put(f"{base}/request/{pending[0]}", priority=5),
        client.delete(f"{base}/request/{pending[-1]}"),
        client.delete(f"{base}/build/{builds[0]}"),
        client.delete(f"{base}/rev/{revision[:12]}"),
        client.post(f"{base}/rev/{revision[:12]}"),
        client.post(f"{base}/rev/{revision[:12]}/pgo"),
        client.ask("POST", f"{base}/build", {"build_id": builds[1]}, key="only-once"),
        client.ask("POST", f"{base}/build", {"build_id": builds[1]}, key="only-once"),
    ]
    done = [client.done(job) for job in jobs]
    assert done[0]["state"] == "done"
    assert done[8]["id"] == done[9]["id"]
    dumped = api.folder / "dumps" / "builds-4hr.js.gz"
    end = time.monotonic() + 180
    while not dumped.exists():
        assert time.monotonic() < end, api.output()
        time.sleep(0.1)
    for service in services:
        assert "refuses the account" not in service.output()
        assert "denied" not in service.output()
        assert "left out" not in service.output()
        assert "shown without" not in service.output()
        assert "no sample of" not in service.output()
        assert "Traceback" not in service.output()


@pytest.mark.mariadb
@pytest.mark.rabbitmq
def test_dumps_by_hand_need_only_the_account_that_reads(farm: Farm) -> None:
    reader = Place(farm.place.folder, {n: d["url"] for n, d in farm.databases("read").items()})
    reader.configure()
    for command in (["builds", "--days", "2"], ["pending"], ["running"]):
        done = reader.run("dump", *command)
        assert done.code == 0, done
        assert json.loads(done.out)


MAY_NOT: Mapping[str, Sequence[tuple[str, str]]] = {
    "api": (
        ("scheduler", "UPDATE buildrequests SET priority = 1"),
        ("scheduler", "INSERT INTO buildsets (sourcestampid, submitted_at) VALUES (1, 1)"),
        ("scheduler", "DELETE FROM buildapi_markers"),
        ("status", "UPDATE builds SET result = 0"),
        ("jobs", "DELETE FROM jobrequests"),
        ("jobs", "UPDATE buildapi_audit SET who = 'x'"),
        ("jobs", "UPDATE buildapi_load SET pending = 0"),
        ("jobs", "DROP TABLE buildapi_jobs"),
        ("jobs", "CREATE TABLE more (id INTEGER)"),
    ),
    "agent": (
        ("jobs", "INSERT INTO jobrequests (action, who, `when`, what) VALUES ('a', 'b', 1, '')"),
        ("jobs", "DELETE FROM jobrequests"),
        ("jobs", "SELECT who FROM buildapi_audit"),
        ("jobs", "DELETE FROM buildapi_audit"),
        ("jobs", "SELECT pending FROM buildapi_load"),
        ("jobs", "SELECT digest FROM buildapi_tokens"),
        ("jobs", "UPDATE buildapi_tokens SET expires_at = 5000000000"),
        ("jobs", "DELETE FROM buildapi_token_scopes"),
        ("jobs", "INSERT INTO buildapi_user_groups VALUES ('a', 'b', '[]', 1)"),
        ("scheduler", "DELETE FROM buildrequests"),
        ("scheduler", "UPDATE builds SET finish_time = 1"),
        ("scheduler", "DROP TABLE buildapi_markers"),
        ("status", "SELECT id FROM builds"),
    ),
    "read": (
        ("jobs", "SELECT digest FROM buildapi_tokens"),
        ("jobs", "SELECT id FROM jobrequests"),
        ("scheduler", "UPDATE buildrequests SET priority = 1"),
        ("status", "DELETE FROM builds"),
    ),
    "upgrade": (
        ("jobs", "DELETE FROM jobrequests"),
        ("jobs", "UPDATE jobrequests SET who = 'x'"),
        ("jobs", "DROP TABLE jobrequests"),
        ("scheduler", "SELECT id FROM buildrequests"),
        ("scheduler", "ALTER TABLE buildrequests ADD COLUMN x INTEGER"),
    ),
}


@pytest.mark.mariadb
@pytest.mark.rabbitmq
def test_no_account_can_do_more_than_its_part(farm: Farm) -> None:
    for role, statements in MAY_NOT.items():
        connection = farm.connect(role)
        with connection, connection.cursor() as cursor:
            for name, statement in statements:
                connected = f"`{farm.names[name]}`."
                text = re.sub(r"\b(UPDATE|INTO|FROM|TABLE) (\w+)", rf"\1 {connected}\2", statement)
                with pytest.raises(pymysql.err.OperationalError) as refused:
                    cursor.execute(text)
                assert refused.value.args[0] in (DENIED, COLUMN_DENIED), (role, text)
