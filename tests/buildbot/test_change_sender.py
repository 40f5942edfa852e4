"""Changes that jobs ask for reach a master once each, and are seen in its database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import attrs
import pytest
import pytest_twisted
from twisted.internet import defer

from buildapi.buildbot.directory import Master
from buildapi.buildbot.v08.change_sender import (
    BEGUN,
    IDENTITY_PROPERTY,
    JOB_PROPERTY,
    ChangeLogin,
    ChangeSender,
)
from buildapi.buildbot.v08.lowered_plan import LoweredPlan
from buildapi.buildbot.v08.markers import Markers, MarkerSendRecord
from buildapi.errors import DatabaseUnavailable, Unavailable, Unconfirmed
from buildapi.model.ops import CLOCKS_APART
from buildapi.model.outcome import Item, Outcome
from buildapi.model.steps import SendChange
from tests.buildbot.acting import NOW, Changes
from tests.buildbot.changes_contract import ChangeStepsContract, SendRecordContract
from tests.buildbot.conftest import MARKERS, OpenScheduler, Scheduler, create
from tests.buildbot.pbmaster import PBMaster, Python2Error, stores
from tests.buildbot.seed import MASTER_A
from tests.db.scripted import ScriptedDatabase
from tests.model.values import job
from tests.reactor import twisted_test
from tests.services.mariadb import MariaDB

STEP = SendChange(MASTER_A, "try", "abcdef012345", "https://hg.example.org/try/rev/abcdef012345")
WHO = "zoë@example.org"
LOGIN = ChangeLogin("change", "changepw")


@attrs.define
class Case:
    """A master that stores changes in a scheduler database, and a sender for it."""

    master: PBMaster
    scheduler: Scheduler
    directory: dict[str, Master]
    sent: Any
    db: Any = None

    def sender(self, login: ChangeLogin = LOGIN, **limits: float) -> ChangeSender:
        from twisted.internet import reactor

        seconds, verify = limits.get("seconds", 2.0), limits.get("verify", 2.0)
        return ChangeSender(
            *(reactor, self.db or self.scheduler.db, self.sent),
            *(lambda: self.directory, login, seconds, verify),
        )

    async def send(
        self, request: int = 7, step: SendChange = STEP, login: ChangeLogin = LOGIN, **limits: float
    ) -> Item:
        return await self.sender(login, **limits).send(job(request), step, WHO)

    def mark(self, request: int) -> None:
        """Insert the marker of a job, as the write of its plan does."""
        plan = LoweredPlan(Outcome(False, ""), pokes=(STEP,))
        mark = Markers(MARKERS).mark(job(request), plan, "written", int(NOW))
        pytest_twisted.blockon(defer.ensureDeferred(self.scheduler.db.transact([mark])))

    def ids(self) -> list[int]:
        rows = self.scheduler.seed.rows("SELECT changeid FROM changes ORDER BY changeid")
        return [row["changeid"] for row in rows]

    def store(self, revision: str = STEP.revision, **properties: Any) -> None:
        """Put a change of somebody into the database."""
        change = {"who": "z", "comments": "c", "branch": "try", "revision": revision}
        stores(self.scheduler.seed)({**change, "files": ["f"], "properties": properties})


@pytest_twisted.async_yield_fixture
async def master() -> AsyncIterator[PBMaster]:
    master = PBMaster().start()
    yield master
    await master.close()


@pytest.fixture
def case(master: PBMaster, scheduler: Scheduler) -> Case:
    master.hook = stores(scheduler.seed)
    sent = MarkerSendRecord(scheduler.db, Markers(MARKERS))
    case = Case(master, scheduler, {MASTER_A: master.entry(MASTER_A)}, sent)
    case.mark(7)
    return case


class TestMarkerSendRecord(SendRecordContract):
    """The contract, on each engine."""

    @pytest.fixture
    def record(self, case: Case) -> MarkerSendRecord:
        case.mark(8)
        return MarkerSendRecord(case.scheduler.db, Markers(MARKERS))


@attrs.define
class Sending:
    """A sender to a master, and what is stored of its changes."""

    case: Case

    @property
    def changes(self) -> ChangeSender:
        return self.case.sender()

    def stored(self) -> int:
        return len(self.case.ids())


class TestChangeSender(ChangeStepsContract):
    """The contract, with a master in memory and a database on each engine."""

    @pytest.fixture
    def sending(self, case: Case) -> Sending:
        case.mark(8)
        return Sending(case)


@attrs.define
class Remembered:
    """The double of other tests."""

    changes: Changes

    def stored(self) -> int:
        return len(self.changes.taken)


class TestChanges(ChangeStepsContract):
    """The double keeps the contract."""

    @pytest.fixture
    def sending(self) -> Remembered:
        return Remembered(Changes())


@twisted_test()
async def test_a_change_is_sent_and_seen(case: Case) -> None:
    item = await case.send()
    (id_,) = case.ids()
    assert item == Item("done", f"change {id_} sent to {MASTER_A}", master=MASTER_A)
    assert case.master.changes == [
        {
            "who": WHO,
            "branch": STEP.branch,
            "revision": STEP.revision,
            "revlink": STEP.revlink,
            "comments": "Submitted via self-serve",
            "files": ["dummy"],
            "properties": {JOB_PROPERTY: 7, IDENTITY_PROPERTY: job(7).identity},
        }
    ]


@twisted_test()
async def test_a_change_is_sent_once_for_a_job(case: Case) -> None:
    await case.send()
    item = await case.send()
    (id_,) = case.ids()
    assert item == Item("done", f"change {id_} had already been sent", master=MASTER_A)
    assert case.master.connected == 1


@twisted_test()
async def test_what_was_sent_before_needs_no_master(case: Case) -> None:
    await case.send()
    case.directory.clear()
    assert (await case.send()).state == "done"


@pytest.mark.parametrize(
    ("revision", "properties"),
    [
        (STEP.revision, {}),
        (STEP.revision, {JOB_PROPERTY: 70}),
        (STEP.revision, {JOB_PROPERTY: 17}),
        (STEP.revision, {JOB_PROPERTY: "7"}),
        (STEP.revision, {"other": 7}),
        ("fedcba543210", {JOB_PROPERTY: 7}),
    ],
)
@twisted_test()
async def test_changes_of_others_are_not_taken_for_it(
    case: Case, revision: str, properties: dict[str, Any]
) -> None:
    case.store(revision, **properties)
    item = await case.send()
    assert item.detail == f"change {case.ids()[-1]} sent to {MASTER_A}"
    assert len(case.master.changes) == 1


@twisted_test()
async def test_a_master_that_is_not_in_the_directory_is_told(case: Case) -> None:
    case.directory.clear()
    item = await case.send()
    assert item == Item(
        "failed", f"not sent: no master {MASTER_A} in the directory", master=MASTER_A
    )


@twisted_test()
async def test_a_master_that_takes_no_changes_is_told(case: Case) -> None:
    case.directory[MASTER_A] = attrs.evolve(case.directory[MASTER_A], pb_port=None)
    item = await case.send()
    assert (item.state, item.master) == ("failed", MASTER_A)
    assert (
        item.detail
        == f"not sent: master {MASTER_A} accepts no changes: it has no pb_port in the masters file"
    )


@twisted_test()
async def test_a_master_that_was_disabled_meanwhile_is_sent_nothing(case: Case) -> None:
    case.directory[MASTER_A] = attrs.evolve(case.directory[MASTER_A], enabled=False)
    item = await case.send()
    assert item.state == "failed"
    assert item.detail == f"not sent: master {MASTER_A} is disabled in the masters file"
    assert case.ids() == []


@twisted_test()
async def test_a_refusal_is_told_at_once(case: Case) -> None:
    item = await case.send(login=ChangeLogin("change", "wrong"), verify=30)
    assert (item.state, item.master) == ("failed", MASTER_A)
    assert item.detail == "not sent: the master refused our user name or password"


@twisted_test()
async def test_an_error_before_the_change_is_stored_is_told(case: Case) -> None:
    case.master.hook = lambda change: None
    case.master.error = Python2Error(b"exceptions.KeyError", b"'who'")
    item = await case.send(verify=30)
    assert (item.state, item.detail) == ("failed", "not sent: the master refused: KeyError: 'who'")


@twisted_test()
async def test_an_error_after_the_change_is_stored_does_not_matter(case: Case) -> None:
    """A master removes old changes when it has stored a new one, which may fail."""
    case.master.error = Python2Error(b"MySQLdb.OperationalError", b"(1205, 'Lock wait timeout')")
    item = await case.send()
    assert (item.state, item.detail) == ("done", f"change {case.ids()[0]} sent to {MASTER_A}")


@pytest.mark.parametrize("how", ["silent", "drops"])
@twisted_test()
async def test_an_answer_that_is_lost_does_not_matter(case: Case, how: str) -> None:
    setattr(case.master, how, True)
    item = await case.send(seconds=0.3)
    assert (item.state, item.detail) == ("done", f"change {case.ids()[0]} sent to {MASTER_A}")


@twisted_test()
async def test_silence_without_effect_stays_open(case: Case) -> None:
    case.master.silent = True
    case.master.hook = lambda change: None
    item = await case.send(seconds=0.2, verify=0.1)
    assert item == Item(
        "unconfirmed",
        "no answer within 0.2 s; the master may still store the change",
        master=MASTER_A,
    )


@twisted_test()
async def test_silence_before_the_change_is_sent_is_told(case: Case) -> None:
    case.master.mute = True
    item = await case.send(seconds=0.2, verify=30)
    assert (item.state, item.detail) == ("failed", "not sent: no answer within 0.2 s")


@twisted_test()
async def test_a_change_that_is_taken_and_not_stored_stays_open(case: Case) -> None:
    case.master.hook = lambda change: None
    item = await case.send(verify=0.1)
    assert (item.state, item.master) == ("unconfirmed", MASTER_A)
    assert item.detail == "the master accepted the change, but did not store it within 0.1 s"


@pytest.mark.parametrize("silent", [False, True], ids=["answered", "silent"])
@twisted_test()
async def test_a_change_is_waited_for(case: Case, silent: bool) -> None:
    from twisted.internet import reactor

    clock: Any = reactor
    store = case.master.hook
    case.master.silent = silent
    case.master.hook = lambda change: clock.callLater(0.5, store, change) and None
    assert (await case.send(seconds=0.2)).state == "done"


@twisted_test()
async def test_what_would_poison_masters_is_not_sent(case: Case) -> None:
    item = await case.send(step=SendChange(MASTER_A, "trÿ", STEP.revision, None))
    assert (item.state, item.detail) == (
        "failed",
        "not sent: the branch has non-ASCII characters",
    )
    assert case.master.connected == 0


@pytest.mark.mariadb
@pytest.mark.parametrize(
    "named",
    [
        ("latin1", "zo\u00eb@example.org", "zo\u00eb@example.org"),
        ("latin1", "\u0141uk@example.org", "\\u0141uk@example.org"),
        ("utf8mb3", "\u0141uk@example.org", "\u0141uk@example.org"),
        ("utf8mb3", "z\U0001f680@example.org", "z\\U0001f680@example.org"),
    ],
)
@twisted_test()
async def test_a_name_that_the_database_cannot_hold_is_sent_escaped(
    case: Case, mariadb: MariaDB, open_scheduler: OpenScheduler, named: tuple[str, str, str]
) -> None:
    """The master stores it, and would refuse the change for ever."""
    charset, who, stored = named
    url = mariadb.database("changes", charset)
    create(url, "mysql", charset)
    case.scheduler = open_scheduler(url)
    case.master.hook = stores(case.scheduler.seed)
    case.sent = MarkerSendRecord(case.scheduler.db, Markers(MARKERS))
    plan = LoweredPlan(Outcome(False, ""), pokes=(STEP,))
    mark = Markers(MARKERS).mark(job(7), plan, "written", int(NOW))
    await case.scheduler.db.transact([mark])
    item = await case.sender().send(job(7), STEP, who)
    assert item.state == "done"
    assert [row["author"] for row in case.scheduler.seed.rows("SELECT author FROM changes")] == [
        stored
    ]


def test_the_password_is_not_shown(case: Case) -> None:
    assert "s3cret" not in repr(case.sender(ChangeLogin("change", "s3cret")))


# --- sent once ------------------------------------------------------------------------------


@attrs.define
class Flaky:
    """A database that is away for some looks for changes, counted from 0."""

    inner: Any
    away: range
    reads: int = 0

    async def fetch(self, text: str, params: Any) -> Any:
        if "FROM changes" not in text:
            return await self.inner.fetch(text, params)
        self.reads += 1
        if self.reads - 1 in self.away:
            raise DatabaseUnavailable("the scheduler database is away")
        return await self.inner.fetch(text, params)


@pytest.mark.parametrize("silent", [False, True], ids=["answered", "hung"])
@twisted_test()
async def test_a_change_that_left_is_not_sent_again_when_the_database_could_not_tell(
    case: Case, silent: bool
) -> None:
    """A master hangs, the database is away, no process dies: one change, and no wrong word."""
    case.master.silent = silent
    held: list[dict[str, Any]] = []
    store = case.master.hook
    case.master.hook = held.append
    case.db = Flaky(case.scheduler.db, range(1, 2))
    with pytest.raises(Unconfirmed) as caught:
        await case.send(seconds=0.2, verify=0.1)
    assert (caught.value.item.state, caught.value.item.master) == ("unconfirmed", MASTER_A)
    item = await case.send(seconds=0.2, verify=0.1)
    assert (item.state, item.detail) == ("unconfirmed", BEGUN)
    (change,) = held
    assert store is not None
    store(change)
    (id_,) = case.ids()
    assert (await case.send()).detail == f"change {id_} had already been sent"
    assert len(case.master.changes) == 1


@twisted_test()
async def test_what_left_is_not_called_unsent_because_the_master_is_gone_meanwhile(
    case: Case,
) -> None:
    case.master.silent, case.master.hook = True, lambda change: None
    await case.send(seconds=0.2, verify=0.1)
    case.directory.clear()
    item = await case.send(verify=0.1)
    assert (item.state, item.detail) == ("unconfirmed", BEGUN)


@twisted_test()
async def test_a_change_does_not_leave_before_that_is_noted(case: Case) -> None:
    refusal = DatabaseUnavailable("the scheduler database is away")
    away = ScriptedDatabase(case.scheduler.db, refusal=refusal)
    noted, case.sent = case.sent, MarkerSendRecord(away, Markers(MARKERS))
    with pytest.raises(Unavailable) as caught:
        await case.send()
    assert not isinstance(caught.value, Unconfirmed)
    assert case.master.changes == []
    case.sent = noted
    assert (await case.send()).state == "done"


@twisted_test()
async def test_what_did_not_leave_may_be_sent_later(case: Case) -> None:
    entry = case.directory.pop(MASTER_A)
    assert (await case.send()).state == "failed"
    case.directory[MASTER_A] = entry
    assert (await case.send()).state == "done"


@twisted_test()
async def test_the_change_of_an_earlier_job_of_the_same_id_is_not_taken_for_it(case: Case) -> None:
    """After a restore of the jobs database the same id asks for the same revision."""
    case.store(**{JOB_PROPERTY: 7, IDENTITY_PROPERTY: job(7, life=1).identity})
    item = await case.send()
    assert item.detail == f"change {case.ids()[-1]} sent to {MASTER_A}"


@pytest.mark.parametrize(("later", "is_own"), [(-CLOCKS_APART - 1, False), (0, True)])
@twisted_test()
async def test_a_change_that_an_older_version_sent_counts_from_when_the_job_was_accepted(
    case: Case, later: int, is_own: bool
) -> None:
    case.store(**{JOB_PROPERTY: 7})
    when = job(7).when + later
    case.scheduler.seed.execute("UPDATE changes SET when_timestamp = %s", when)
    item = await case.send()
    assert (item.detail == f"change {case.ids()[0]} had already been sent") is is_own
