"""However a list of pushes is read, in whatever pages and portions, it is the same list."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar, cast

import attrs
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from buildapi.buildbot.v08.push_reads import PushBounds, SQLPushes
from buildapi.db.sql import Database, Read
from buildapi.db.sqlite import SQLiteDriver
from buildapi.interfaces import Pushes
from buildapi.model.pushes import COMMENTS_MAX, Change, Push, PushFilter, PushPlace
from buildapi.sample.farm_schema import scheduler_schema
from tests.contracts.reads import ANN, BEA, CEDAR, T0, TRY
from tests.web.farm import MemoryBuilds, MemoryPushes

T = TypeVar("T")

HASHES = ["abcdef012345", "abcdef012345" + "6" * 28, "fedcba543210"]
SECONDS = st.integers(T0, T0 + 5)
CHANGES = st.lists(
    st.tuples(
        st.sampled_from(["try", "try-linux", "try-comm-central", "cedar", "elsewhere"]),
        st.sampled_from(["a", "A", "b", *HASHES, "", " "]),
        st.sampled_from([ANN, BEA]),
        SECONDS,
    ),
    max_size=30,
)
FILTERS = st.builds(
    PushFilter,
    st.sampled_from([(TRY,), (CEDAR,), (TRY, CEDAR)]),
    st.none() | st.sampled_from([ANN, BEA]),
    st.none() | st.sampled_from(["a", "A", "b", *HASHES]),
    st.none() | SECONDS,
    st.none() | SECONDS,
    st.none() | st.builds(PushPlace, SECONDS, st.sampled_from(["", "a", "b"])),
)
BOUNDS = st.builds(
    PushBounds,
    *(st.integers(1, 40) for _ in range(4)),
    of_revisions=st.just(100),
)


@attrs.define
class Snapshots:
    """A database in memory, as far as pushes are read from it."""

    driver: SQLiteDriver = attrs.field(factory=lambda: SQLiteDriver(":memory:", 60))
    connection: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.connection = self.driver.connect()
        for statement in scheduler_schema("sqlite"):
            self.connection.execute(statement)

    def fill(self, changes: Sequence[Change]) -> None:
        self.connection.execute("DELETE FROM changes")
        self.connection.executemany(
            "INSERT INTO changes (changeid, branch, revision, author, comments, when_timestamp,"
            " is_dir, repository, project) VALUES (?, ?, ?, ?, ?, ?, 0, '', '')",
            [(c.id, c.branch, c.revision, c.author, c.comments, c.when) for c in changes],
        )

    async def fetch(self, text: str, params: dict[str, Any]) -> Any:
        return self.driver.select(self.connection, text, params, 999)

    async def snapshot(self, reading: Callable[[Read], T]) -> T:
        return reading(lambda text, params: self.driver.select(self.connection, text, params, 999))


@pytest.fixture(scope="module")
def farm() -> Snapshots:
    return Snapshots()


def answer(call: Any) -> Any:
    """Return the result of a call that waits for nothing."""
    results: list[Any] = []
    cast("Deferred[Any]", ensureDeferred(call)).addBoth(results.append)
    (found,) = results
    if not isinstance(found, (list, tuple, dict)) and hasattr(found, "raiseException"):
        found.raiseException()
    return found


def whole(pushes: Pushes, wanted: PushFilter, limit: int) -> list[Push]:
    """Return the pushes of all pages."""
    found: list[Push] = []
    for _ in range(200):
        page = answer(pushes.pushes(wanted, limit))
        found += page.pushes
        if page.next is None:
            return found
        wanted = attrs.evolve(wanted, after=page.next)
    raise AssertionError("the list does not end")


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(rows=CHANGES, wanted=FILTERS, bounds=BOUNDS, limit=st.integers(1, 9))
def test_pages_of_any_size_read_in_any_portions_are_the_whole_list(
    farm: Snapshots, rows: Any, wanted: PushFilter, bounds: PushBounds, limit: int
) -> None:
    changes = [
        Change(id_, branch, revision, author, "fix", when)
        for id_, (branch, revision, author, when) in enumerate(rows, 1)
    ]
    farm.fill(changes)
    stored = SQLPushes(cast("Database", farm), Clock(), bounds)
    expected = whole(MemoryPushes(MemoryBuilds({}, {}), changes), wanted, 99)
    found = whole(stored, wanted, limit)
    assert [(p.key, [c.id for c in p.changes]) for p in found] == [
        (p.key, [c.id for c in p.changes]) for p in expected
    ]


def test_a_revision_with_very_many_changes_keeps_no_others_from_being_listed(
    farm: Snapshots,
) -> None:
    """Of a tag that is sent again and again the first changes are read, of others all."""
    rows = [("tip", T0 + n) for n in range(30)] + [("a", T0 + 1), ("b", T0 + 2), ("b", T0 + 40)]
    farm.fill([Change(i, "try", r, ANN, "fix", when) for i, (r, when) in enumerate(rows, 1)])
    stored = SQLPushes(cast("Database", farm), Clock(), PushBounds(newest=4, of_revisions=5))
    for limit in (1, 2, 9):
        found = whole(stored, PushFilter((TRY,)), limit)
        assert [(p.revision, p.when, len(p.changes)) for p in found] == [
            ("b", T0 + 2, 2),
            ("a", T0 + 1, 1),
            ("tip", T0, 5),
        ]


@pytest.mark.parametrize("before", ["", "\n\n \n"])
def test_of_a_very_long_comment_the_beginning_is_read(farm: Snapshots, before: str) -> None:
    farm.fill([Change(1, "try", "a", ANN, f"{before}fix it\n{'x' * 1_000_000}", T0)])
    stored = SQLPushes(cast("Database", farm), Clock())
    (push,) = answer(stored.pushes(PushFilter((TRY,)), 9)).pushes
    assert push.first.subject == "fix it"
    assert len(push.first.comments) == COMMENTS_MAX
    assert answer(stored.changes(["a"])) == {"a": push.changes}
