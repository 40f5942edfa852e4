"""The store of tokens: what every one promises, on both engines and in memory."""

from __future__ import annotations

from typing import TypeVar

import pytest
from twisted.internet.defer import ensureDeferred, gatherResults

from buildapi.db.pool import PooledDatabase
from buildapi.db.sql import Database, Query, Statement
from buildapi.db.token_store import SQLTokenStore
from buildapi.errors import BadRequest, DatabaseUnavailable
from buildapi.interfaces import TokenStore
from buildapi.model.ops import ADDRESS_MAX, ADDRESSES_KEPT, Token
from buildapi.model.token_scope import NO_LIMITS, NOT_UNDERSTOOD, TokenScope
from tests.db.conftest import OpenPool
from tests.db.scripted import ScriptedDatabase
from tests.reactor import twisted_test
from tests.web.memorytokens import MemoryTokens

T = TypeVar("T")
WHO, NOW, END = "zoë@example.org", 1_790_000_000, 1_790_000_000 + 86_400
DIGEST, OTHER = "ab" * 32, "cd" * 32
HERE = "192.0.2.7"
SCOPES = (
    TokenScope(("rebuild_*", "cancel_build"), ("try*", "b\u00e9ta"), read_only=False),
    TokenScope(read_only=True),
    TokenScope(branches=("\U0001f600 'x' \\ %s :now ?",)),
)


async def added(store: TokenStore, who: str = WHO, digest: str = DIGEST, end: int = END) -> Token:
    return await store.add(who, "a bot", digest, NOW, end)


async def found(store: TokenStore, digest: str = DIGEST) -> Token:
    token = await store.find(digest)
    assert token is not None
    return token


class TokenStoreContract:
    """Inherit, and give a fixture ``store`` with an empty store."""

    @pytest.fixture
    def store(self) -> TokenStore:
        raise LookupError("an implementation's test class gives the store")

    @twisted_test(10)
    async def test_a_token_is_found_by_its_digest_alone(self, store: TokenStore) -> None:
        token = await added(store)
        assert token == Token(token.id, WHO, "a bot", NOW, END, None, NO_LIMITS, None)
        assert await store.find(DIGEST) == token
        for wrong in (OTHER, DIGEST.upper(), DIGEST[:-1], ""):
            assert await store.find(wrong) is None

    @twisted_test(10)
    async def test_one_that_has_expired_is_found_all_the_same(self, store: TokenStore) -> None:
        token = await added(store, end=1)
        assert await store.find(DIGEST) == token

    @twisted_test(10)
    async def test_those_of_a_user_are_listed_newest_first(self, store: TokenStore) -> None:
        first, _, last = [
            await added(store, who, f"{n:064x}") for n, who in enumerate((WHO, "ann", WHO))
        ]
        assert list(await store.of_user(WHO)) == [last, first]
        assert list(await store.of_user("nobody")) == []

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            ("ann", "Ann"),
            ("ann", "ann "),
            ("zoë", "zoe"),
            ("zoë", "zoe\u0308"),
            ("\U0001f600", "\U0001f601"),
            ("stra\u00dfe", "strasse"),
            ("a_b", "axb"),
            ("a%", "ab"),
            ("a\\", "a"),
            ("x'--", "x"),
        ],
    )
    @twisted_test(10)
    async def test_names_are_equal_only_where_they_are_the_same(
        self, store: TokenStore, one: str, other: str
    ) -> None:
        token = await added(store, one)
        theirs = await added(store, other, OTHER)
        assert list(await store.of_user(one)) == [token]
        assert list(await store.of_user(other)) == [theirs]
        assert not await store.revoke(token.id, other)
        assert not await store.revoke(theirs.id, one)
        assert (await found(store)).who == one
        assert await store.revoke(theirs.id, other)

    @twisted_test(10)
    async def test_labels_are_kept_as_they_are(self, store: TokenStore) -> None:
        label = "\U0001f600 <b>'x'\\ %s :now ?" + "ë" * 70
        token = await store.add("x" * 512, label, DIGEST, NOW, END)
        assert await store.find(DIGEST) == token
        assert (token.who, token.label) == ("x" * 512, label)

    @twisted_test(10)
    async def test_what_no_encoding_knows_is_a_bad_request(self, store: TokenStore) -> None:
        for who, label in (("\udc80", "a bot"), (WHO, "\ud800")):
            with pytest.raises(BadRequest):
                await store.add(who, label, DIGEST, NOW, END)
        assert list(await store.of_user(WHO)) == []
        assert list(await store.of_user("\udc80")) == []
        assert not await store.revoke(1, "\udc80")

    @pytest.mark.parametrize("scope", SCOPES, ids=range(len(SCOPES)))
    @twisted_test(10)
    async def test_a_scope_is_kept_as_it_is(self, store: TokenStore, scope: TokenScope) -> None:
        token = await store.add(WHO, "a bot", DIGEST, NOW, END, scope=scope)
        other = await added(store, digest=OTHER)
        assert (token.scope, other.scope) == (scope, NO_LIMITS)
        assert await store.find(DIGEST) == token
        assert list(await store.of_user(WHO)) == [other, token]

    @twisted_test(10)
    async def test_a_use_is_noted_once_a_minute(self, store: TokenStore) -> None:
        token, other = await added(store), await added(store, digest=OTHER)
        seen = []
        for at in (NOW + 5, NOW + 64, NOW + 65, NOW + 60):
            await store.used(token.id, at, HERE)
            seen.append((await found(store)).used_at)
        assert seen == [NOW + 5, NOW + 5, NOW + 65, NOW + 65]
        assert await store.find(OTHER) == other
        assert not await store.used(999, NOW, HERE)

    @twisted_test(10)
    async def test_the_addresses_that_used_a_token_are_known(self, store: TokenStore) -> None:
        token, other = await added(store), await added(store, digest=OTHER)
        assert (await found(store)).used_from is None
        told = []
        for at, address in enumerate((HERE, HERE, "2001:db8::1", HERE, "unix")):
            told.append(await store.used(token.id, NOW + 60 * at, address))
            assert (await found(store)).used_from == address
        assert told == [True, False, True, False, True]
        assert await store.find(OTHER) == other
        assert [t.used_from for t in await store.of_user(WHO)] == [None, "unix"]
        assert await store.used(other.id, NOW, HERE), "each token has its own"

    @twisted_test(10)
    async def test_a_new_address_is_noted_within_the_minute(self, store: TokenStore) -> None:
        token = await added(store)
        assert await store.used(token.id, NOW, HERE)
        assert await store.used(token.id, NOW + 1, "unix")
        assert (await found(store)).used_at == NOW
        assert (await found(store)).used_from == "unix"

    @twisted_test(20)
    async def test_addresses_are_bounded_in_number_and_length(self, store: TokenStore) -> None:
        token = await added(store)
        for n in range(ADDRESSES_KEPT + 2):
            assert await store.used(token.id, NOW + 60 * n, f"192.0.2.{n}")
        later = NOW + 60 * (ADDRESSES_KEPT + 2)
        assert not await store.used(token.id, later, "192.0.2.2")
        assert await store.used(token.id, later, "192.0.2.1")
        assert await store.used(token.id, later + 60, "x" * 500)
        assert (await found(store)).used_from == "x" * ADDRESS_MAX
        assert not await store.used(token.id, later + 120, "x" * 500)

    @twisted_test(10)
    async def test_all_of_a_user_are_revoked_at_once(self, store: TokenStore) -> None:
        scoped = await store.add(WHO, "a bot", DIGEST, NOW, END, scope=SCOPES[0])
        await store.used(scoped.id, NOW, HERE)
        plain = await added(store, digest=OTHER)
        theirs = await added(store, "ann", "ef" * 32)
        assert sorted(await store.revoke_all(WHO)) == [scoped.id, plain.id]
        assert list(await store.of_user(WHO)) == []
        assert list(await store.of_user("ann")) == [theirs]
        assert list(await store.revoke_all(WHO)) == []
        assert list(await store.revoke_all("\udc80")) == []

    @twisted_test(10)
    async def test_a_revoked_token_is_gone(self, store: TokenStore) -> None:
        token, other = await added(store), await added(store, digest=OTHER)
        assert await store.revoke(token.id, WHO)
        assert await store.find(DIGEST) is None
        assert list(await store.of_user(WHO)) == [other]
        assert not await store.revoke(token.id, WHO)
        assert not await store.revoke(999, WHO)

    @twisted_test(20)
    async def test_of_many_who_revoke_at_once_one_does(self, store: TokenStore) -> None:
        token = await added(store)
        revoking = [ensureDeferred(store.revoke(token.id, WHO)) for _ in range(8)]
        assert sorted(await gatherResults(revoking)) == [False] * 7 + [True]

    @twisted_test(20)
    async def test_those_that_expired_before_a_time_are_forgotten(self, store: TokenStore) -> None:
        for n in range(5):
            await added(store, digest=f"{n:064x}", end=END + n)
        await store.forget(END + 3)
        assert [t.expires_at for t in await store.of_user(WHO)] == [END + 4, END + 3]


class TestMemoryTokens(TokenStoreContract):
    """The double of other tests keeps the contract, too."""

    @pytest.fixture
    def store(self) -> TokenStore:
        return MemoryTokens()


@pytest.fixture
def db(url: str, open_jobs_database: OpenPool) -> PooledDatabase:
    return open_jobs_database(url)


@pytest.fixture
def store(db: PooledDatabase) -> TokenStore:
    return SQLTokenStore(db)


class TestSQLTokenStore(TokenStoreContract):
    """The contract in SQL."""

    @pytest.fixture
    def store(self, db: PooledDatabase) -> TokenStore:
        return SQLTokenStore(db)


@twisted_test(20)
async def test_of_two_hosts_that_revoke_at_once_one_does(
    url: str, open_pool: OpenPool, store: TokenStore
) -> None:
    stores = [store, SQLTokenStore(open_pool(url))]
    for n in range(10):
        token = await added(store, digest=f"{n:064x}")
        revoking = [ensureDeferred(s.revoke(token.id, WHO)) for s in stores]
        assert sorted(await gatherResults(revoking)) == [False, True]
        assert await stores[1].find(f"{n:064x}") is None


@pytest.mark.mariadb
@pytest.mark.parametrize("engine", ["mysql"], indirect=True)
@pytest.mark.parametrize(("who", "label"), [("x" * 513, "a bot"), (WHO, "x" * 201)])
@twisted_test(10)
async def test_what_is_too_long_is_a_bad_request(store: TokenStore, who: str, label: str) -> None:
    with pytest.raises(BadRequest):
        await store.add(who, label, DIGEST, NOW, END)
    assert await store.find(DIGEST) is None


@twisted_test(30)
async def test_any_number_of_expired_tokens_is_forgotten(
    db: PooledDatabase, store: TokenStore
) -> None:
    insert = """INSERT INTO buildapi_tokens (digest, who, label, created_at, expires_at)
 VALUES (:digest, 'x', 'y', 1, 2)"""
    await db.transact([Statement(insert, {"digest": f"{n:064x}"}, 1) for n in range(1100)])
    await store.forget(3)
    assert await Query("SELECT COUNT(*) FROM buildapi_tokens", int).many(db) == [0]


COUNTED = """SELECT (SELECT COUNT(*) FROM buildapi_token_scopes),
 (SELECT COUNT(*) FROM buildapi_token_uses)"""


@pytest.mark.parametrize("how", ["revoke", "revoke_all", "forget"])
@twisted_test(10)
async def test_nothing_is_left_of_a_token_that_is_gone(
    db: PooledDatabase, store: TokenStore, how: str
) -> None:
    for n, end in enumerate((END, END * 2)):
        who = WHO if end == END else "ann"
        token = await store.add(who, "a bot", f"{n:064x}", NOW, end, scope=SCOPES[0])
        await store.used(token.id, NOW, HERE)
    assert list(await db.fetch(COUNTED, {})) == [(2, 2)]
    match how:
        case "revoke":
            assert await store.revoke(1, WHO)
        case "revoke_all":
            assert await store.revoke_all(WHO)
        case _:
            await store.forget(END + 1)
    assert list(await db.fetch(COUNTED, {})) == [(1, 1)]
    await store.used(1, NOW + 60, "unix")
    assert list(await db.fetch(COUNTED, {})) == [(1, 1)]


@pytest.mark.parametrize(
    "text", ["", "[]", "nonsense", '{"read_only": true, "until": 5}', '{"actions": 5}']
)
@twisted_test(10)
async def test_a_scope_that_nobody_can_read_permits_to_read_alone(
    db: PooledDatabase, store: TokenStore, text: str
) -> None:
    token = await store.add(WHO, "a bot", DIGEST, NOW, END, scope=SCOPES[0])
    change = "UPDATE buildapi_token_scopes SET scope = :text WHERE token_id = :id"
    await db.transact([Statement(change, {"id": token.id, "text": text}, 1)])
    assert (await found(store)).scope == NOT_UNDERSTOOD


@twisted_test(10)
async def test_a_token_is_kept_once_though_the_answer_was_lost(
    db: PooledDatabase, store: TokenStore
) -> None:
    forgetful: Database = ScriptedDatabase(db, forgets=True)
    token = await SQLTokenStore(forgetful).add(WHO, "a bot", DIGEST, NOW, END, scope=SCOPES[0])
    assert token.scope == SCOPES[0]
    assert list(await store.of_user(WHO)) == [token]


@twisted_test(10)
async def test_without_a_database_nothing_is_told(
    url: str, open_pool: OpenPool, store: TokenStore
) -> None:
    token = await added(store)
    closed = open_pool(url)
    await closed.stopService()
    away = SQLTokenStore(closed)
    for attempt in (
        added(away, digest=OTHER),
        away.find(DIGEST),
        away.of_user(WHO),
        away.used(token.id, NOW, HERE),
        away.revoke_all(WHO),
        away.revoke(token.id, WHO),
        away.forget(END * 2),
    ):
        with pytest.raises(DatabaseUnavailable):
            await attempt
    assert await store.find(DIGEST) == token
