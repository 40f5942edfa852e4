"""The store of users' groups: what every one promises, on both engines and in memory."""

from __future__ import annotations

import pytest
from twisted.internet.defer import ensureDeferred, gatherResults

from buildapi.db.group_store import SQLGroupStore
from buildapi.db.pool import PooledDatabase
from buildapi.db.sql import CHUNK, Query, Statement
from buildapi.errors import DatabaseUnavailable
from buildapi.interfaces import GroupStore
from tests.db.conftest import OpenPool
from tests.reactor import twisted_test
from tests.web.memorytokens import MemoryGroups

WHO, NOW = "zo\u00eb@example.org", 1_790_000_000
SHERIFFS = frozenset({"sheriffs", "cn=scm_level_1,ou=groups,dc=example", "\U0001f600 'x' % :a"})
NONE: frozenset[str] = frozenset()


class GroupStoreContract:
    """Inherit, and give a fixture ``store`` with an empty store."""

    @pytest.fixture
    def store(self) -> GroupStore:
        raise LookupError("an implementation's test class gives the store")

    @twisted_test(10)
    async def test_groups_are_kept_as_they_were_seen_last(self, store: GroupStore) -> None:
        assert await store.of_user(WHO, 0) == NONE
        await store.remember(WHO, SHERIFFS, NOW)
        assert await store.of_user(WHO, NOW) == SHERIFFS
        await store.remember(WHO, frozenset({"retired"}), NOW + 5)
        assert await store.of_user(WHO, NOW) == {"retired"}
        await store.remember(WHO, NONE, NOW + 5)
        assert await store.of_user(WHO, NOW) == NONE

    @twisted_test(10)
    async def test_groups_seen_before_a_time_count_no_more(self, store: GroupStore) -> None:
        await store.remember(WHO, SHERIFFS, NOW)
        assert await store.of_user(WHO, NOW + 1) == NONE
        await store.remember(WHO, SHERIFFS, NOW + 1)
        assert await store.of_user(WHO, NOW + 1) == SHERIFFS

    @twisted_test(10)
    async def test_what_a_later_request_showed_is_not_replaced(self, store: GroupStore) -> None:
        await store.remember(WHO, NONE, NOW + 1)
        await store.remember(WHO, SHERIFFS, NOW)
        assert await store.of_user(WHO, 0) == NONE

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("ann", "Ann"),
            ("ann", "ann "),
            ("zo\u00eb", "zoe"),
            ("a%", "ab"),
            ("x" * 512, "x" * 511),
        ],
    )
    @twisted_test(10)
    async def test_nobody_has_the_groups_of_another(
        self, store: GroupStore, one: str, other: str
    ) -> None:
        await store.remember(one, SHERIFFS, NOW)
        assert await store.of_user(other, 0) == NONE
        await store.remember(other, frozenset({"guests"}), NOW)
        assert await store.of_user(one, 0) == SHERIFFS

    @twisted_test(10)
    async def test_a_name_that_no_encoding_knows_has_no_groups(self, store: GroupStore) -> None:
        await store.remember("\udc80", SHERIFFS, NOW)
        assert await store.of_user("\udc80", 0) == NONE

    @twisted_test(10)
    async def test_old_ones_are_forgotten(self, store: GroupStore) -> None:
        for n in range(4):
            await store.remember(str(n), SHERIFFS, NOW + n)
        await store.forget(NOW + 2)
        kept = [bool(await store.of_user(str(n), 0)) for n in range(4)]
        assert kept == [False, False, True, True]

    @twisted_test(20)
    async def test_of_many_at_once_one_is_kept(self, store: GroupStore) -> None:
        both = [SHERIFFS, frozenset({"guests"})] * 4
        await gatherResults([ensureDeferred(store.remember(WHO, one, NOW)) for one in both])
        assert await store.of_user(WHO, NOW) in both


class TestMemoryGroups(GroupStoreContract):
    """The double of other tests keeps the contract, too."""

    @pytest.fixture
    def store(self) -> GroupStore:
        return MemoryGroups()


@pytest.fixture
def db(url: str, open_jobs_database: OpenPool) -> PooledDatabase:
    return open_jobs_database(url)


@pytest.fixture
def store(db: PooledDatabase) -> GroupStore:
    return SQLGroupStore(db)


class TestSQLGroupStore(GroupStoreContract):
    """The contract in SQL."""

    @pytest.fixture
    def store(self, db: PooledDatabase) -> GroupStore:
        return SQLGroupStore(db)


INSERT = """INSERT INTO buildapi_user_groups (name, who, member_of, seen_at)
 VALUES (:name, 'x', '["a"]', 2)"""


@twisted_test(30)
async def test_any_number_of_old_ones_is_forgotten(db: PooledDatabase, store: GroupStore) -> None:
    names = [f"{n:064x}" for n in range(2 * CHUNK + 1)]
    await db.transact([Statement(INSERT, {"name": name}, 1) for name in names])
    await store.forget(3)
    assert await Query("SELECT COUNT(*) FROM buildapi_user_groups", int).many(db) == [0]


@pytest.mark.parametrize("text", ["", "nonsense", "{}", '"sheriffs"', "[1, null]"])
@twisted_test(10)
async def test_of_what_nobody_can_read_nobody_is_a_member(
    db: PooledDatabase, store: GroupStore, text: str
) -> None:
    await store.remember(WHO, SHERIFFS, NOW)
    change = "UPDATE buildapi_user_groups SET member_of = :text"
    await db.transact([Statement(change, {"text": text}, 1)])
    assert await store.of_user(WHO, 0) == NONE


@twisted_test(10)
async def test_without_a_database_nothing_is_told(url: str, open_pool: OpenPool) -> None:
    closed = open_pool(url)
    await closed.stopService()
    away = SQLGroupStore(closed)
    for attempt in (away.remember(WHO, SHERIFFS, NOW), away.of_user(WHO, 0), away.forget(NOW)):
        with pytest.raises(DatabaseUnavailable):
            await attempt
