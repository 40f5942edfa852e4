"""What every store of the audit log promises; a test class of an implementation inherits it."""

from __future__ import annotations

import attrs
import pytest

from buildapi.interfaces import AuditStore
from buildapi.model.audit import (
    AuditActor,
    AuditFilter,
    AuditOutcome,
    AuditRecord,
    AuditSubject,
    Client,
)
from tests.audits import AT
from tests.reactor import twisted_test

ODD = "a 'b' \"c\" % :d \\ \u20ac \U0001f600"
HASH = "0123456789abcdef0123456789abcdef01234567"
RECORD = AuditRecord(
    action="cancel_revision",
    outcome=AuditOutcome.REFUSED,
    actor=AuditActor("arla@example.org", "token", ("sheriffs", "a,b"), 7, "nightly bot"),
    client=Client("192.0.2.1", "127.0.0.1", "192.0.2.1", "curl/8.5"),
    subject=AuditSubject("try", 11, 12, HASH[:12], ("Linux try build", "b,c")),
    status=403,
    code="access_denied",
    job_id=4711,
    detail="rule releases",
    trace="4f2a",
    count=3,
    at=AT,
    host="h1",
    identity=f"{1:032x}",
)


def another(number: int, seconds: float = 0, **changes: object) -> AuditRecord:
    return attrs.evolve(RECORD, identity=f"{number:032x}", at=AT + seconds, **changes)


def about(number: int, **subject: object) -> AuditRecord:
    return another(number, subject=AuditSubject(**subject))


async def numbers(store: AuditStore, sought: AuditFilter, limit: int = 1000) -> list[int]:
    """Search; return the numbers that records were made with."""
    return [int(found.identity, 16) for found in await store.search(sought, limit)]


class AuditStoreContract:
    """Inherit, and give a fixture ``store`` with an empty store."""

    @pytest.fixture
    def store(self) -> AuditStore:
        raise LookupError("an implementation's test class gives the store")

    @twisted_test(10)
    async def test_a_record_is_read_as_it_was(self, store: AuditStore) -> None:
        bare = AuditRecord("use_token", AuditOutcome.DONE, at=AT, host="h", identity=f"{2:032x}")
        await store.add([RECORD, bare])
        found = await store.search(AuditFilter(), 10)
        assert [attrs.evolve(record, id=None) for record in found] == [bare, RECORD]
        assert all(record.id is not None for record in found)

    @twisted_test(10)
    async def test_adding_nothing_is_fine(self, store: AuditStore) -> None:
        await store.add([])
        assert await numbers(store, AuditFilter()) == []

    @twisted_test(10)
    async def test_a_record_is_stored_once_however_often_it_is_added(
        self, store: AuditStore
    ) -> None:
        await store.add([another(1), another(2)])
        await store.add([another(1), another(2), another(3)])
        await store.add([another(3)])
        assert await numbers(store, AuditFilter()) == [3, 2, 1]

    @twisted_test(10)
    async def test_any_text_is_kept(self, store: AuditStore) -> None:
        odd = another(
            1,
            detail=ODD,
            actor=AuditActor(ODD, "proxy", (ODD, ""), 7, ODD),
            client=Client(ODD, ODD, ODD, ODD),
            subject=AuditSubject(ODD, None, None, ODD, (ODD,)),
        )
        await store.add([odd])
        (found,) = await store.search(AuditFilter(who=ODD, branch=ODD, revision=ODD), 10)
        assert attrs.evolve(found, id=None) == odd

    @twisted_test(10)
    async def test_what_no_database_takes_is_replaced_cut_or_left_out(
        self, store: AuditStore
    ) -> None:
        await store.add(
            [
                another(
                    1,
                    action="a" * 300,
                    detail="a\ud800\0" + "x" * 9000,
                    actor=AuditActor("w" * 600, "proxy", (), 2**40, "l" * 300),
                    client=Client("1" * 200, "2" * 200, "3" * 900, "4" * 900),
                    subject=AuditSubject("b" * 300, 2**70, -1, "r" * 300),
                )
            ]
        )
        (found,) = await store.search(AuditFilter(), 10)
        assert found.detail == "a??" + "x" * 1997
        actor, client, subject = found.actor, found.client, found.subject
        lengths = [len(found.action), len(actor.who or ""), len(actor.token_label)]
        assert lengths == [200, 512, 200]
        texts = (client.address, client.peer, client.forwarded, client.user_agent)
        assert [len(text) for text in texts] == [100, 100, 500, 200]
        assert (len(subject.branch or ""), len(subject.revision or "")) == (255, 255)
        assert (actor.token_id, subject.build_id, subject.request_id) == (None, None, None)

    @pytest.mark.parametrize(
        ("sought", "other"),
        [
            ({"who": "arla@example.org"}, {"who": "Arla@example.org"}),
            ({"action": "cancel_revision"}, {"action": "cancel_build"}),
            ({"outcome": AuditOutcome.REFUSED}, {"outcome": AuditOutcome.ACCEPTED}),
            ({"branch": "try"}, {"branch": "Try"}),
            ({"build_id": 11}, {"build_id": 12}),
            ({"request_id": 12}, {"request_id": 11}),
            ({"job_id": 4711}, {"job_id": 4712}),
            ({"token_id": 7}, {"token_id": 8}),
            ({"address": "192.0.2.1"}, {"address": "127.0.0.1"}),
        ],
        ids=str,
    )
    @twisted_test(10)
    async def test_a_search_finds_what_is_equal(
        self, store: AuditStore, sought: dict[str, object], other: dict[str, object]
    ) -> None:
        await store.add([RECORD])
        assert await numbers(store, AuditFilter(**sought)) == [1]
        assert await numbers(store, AuditFilter(**other)) == []

    @twisted_test(10)
    async def test_a_search_for_nothing_that_can_be_stored_finds_nothing(
        self, store: AuditStore
    ) -> None:
        await store.add([RECORD])
        assert await numbers(store, AuditFilter(who="\ud800")) == []

    @twisted_test(10)
    async def test_a_revision_is_found_by_its_hash_however_long(self, store: AuditStore) -> None:
        long = about(1, revision=HASH)
        short, number, other = about(2, revision=HASH[:12]), about(3, revision="1234"), about(4)
        await store.add([long, short, number, other, about(5, revision="f" * 40)])
        for text in (HASH, HASH[:12], HASH[:20]):
            assert await numbers(store, AuditFilter(revision=text)) == [2, 1]
        assert await numbers(store, AuditFilter(revision="1234")) == [3]
        assert await numbers(store, AuditFilter(revision="123")) == []

    @twisted_test(10)
    async def test_a_period_has_its_beginning_and_not_its_end(self, store: AuditStore) -> None:
        await store.add([another(n, n) for n in range(4)])
        assert await numbers(store, AuditFilter(since=AT + 1, until=AT + 3)) == [2, 1]

    @twisted_test(10)
    async def test_all_conditions_hold_at_once(self, store: AuditStore) -> None:
        await store.add([another(1, 1), another(2, 2, action="cancel_build"), another(3, 3)])
        sought = AuditFilter(who=RECORD.actor.who, action="cancel_revision", since=AT + 2)
        assert await numbers(store, sought) == [3]

    @twisted_test(20)
    async def test_pages_follow_one_another_without_gap_or_overlap(self, store: AuditStore) -> None:
        await store.add([another(n, job_id=n % 2) for n in range(1, 251)])
        pages, before = [], None
        while True:
            page = await store.search(AuditFilter(job_id=1, before=before), 60)
            if not page:
                break
            pages.append([int(record.identity, 16) for record in page])
            before = page[-1].id
        assert [len(page) for page in pages] == [60, 60, 5]
        assert [n for page in pages for n in page] == list(range(249, 0, -2))

    @twisted_test(10)
    async def test_what_is_old_is_forgotten(self, store: AuditStore) -> None:
        await store.add([another(1, -10), another(2, -1), another(3)])
        await store.forget(AT)
        assert await numbers(store, AuditFilter()) == [3]
