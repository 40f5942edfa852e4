"""Groups that the proxy named of users: when they are written, and for whom they count."""

from __future__ import annotations

import attrs
import pytest
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock

from buildapi.errors import DatabaseUnavailable, Unavailable
from buildapi.model.access import AccessPolicy
from buildapi.web.http import remembered_groups as module
from buildapi.web.http.call import Call
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.remembered_groups import DAY_SECONDS, RememberedGroups
from buildapi.web.http.rendering import Reply
from buildapi.web.http.routes import FORMAT, Route
from tests.reactor import twisted_test, until
from tests.web.asking import failed, result
from tests.web.client import JSON
from tests.web.conftest import TOKENS, Serve, Served
from tests.web.farm import NOW
from tests.web.memorytokens import MemoryGroups, Time

SHERIFFS, GUESTS = frozenset({"sheriffs", "staff"}), frozenset({"guests"})
NONE: frozenset[str] = frozenset()
DAYS = 7


@attrs.define
class Around:
    """What remembers groups, the store behind it, and clocks."""

    store: MemoryGroups = attrs.field(factory=MemoryGroups)
    clock: Clock = attrs.field(factory=Clock)
    time: Time = attrs.field(factory=lambda: Time(NOW))
    days: int = DAYS
    groups: RememberedGroups = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        looking = Deadline(self.clock, 2)
        seconds = self.clock.seconds
        self.groups = RememberedGroups(self.store, seconds, self.time, looking, self.days)

    def ask(self, who: str = "zoë") -> Deferred[frozenset[str]]:
        return ensureDeferred(self.groups.of_user(who))

    def pass_(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.time.now += seconds

    @property
    def written(self) -> list[tuple[str, frozenset[str], int]]:
        return [(who, groups, at) for who, groups, at in self.store.remembering.calls]


@pytest.fixture
def around() -> Around:
    return Around()


def test_groups_are_written_once_a_minute(around: Around) -> None:
    for _ in range(25):
        around.groups.note("zoë", SHERIFFS)
        around.pass_(6)
    assert [at - NOW for _, _, at in around.written] == [0, 60, 120]
    assert result(around.ask()) == SHERIFFS


def test_groups_that_change_are_written_at_once(around: Around) -> None:
    for groups in (SHERIFFS, SHERIFFS, NONE, GUESTS, GUESTS):
        around.groups.note("zoë", groups)
        assert result(around.ask()) == groups
    assert [groups for _, groups, _ in around.written] == [SHERIFFS, NONE, GUESTS]
    around.groups.note("ann", GUESTS)
    assert len(around.written) == 4


def test_nobody_waits_for_a_write_and_few_run_at_a_time(around: Around) -> None:
    around.store.remembering.held = held = Deferred[None]()
    for n in range(module.WRITES_MAX + 3):
        around.groups.note(str(n), SHERIFFS)
    around.groups.note("0", GUESTS)
    assert len(around.written) == module.WRITES_MAX
    around.store.remembering.held = None
    held.callback(None)
    around.groups.note("0", GUESTS)
    around.groups.note(str(module.WRITES_MAX + 2), SHERIFFS)
    assert result(around.ask("0")) == GUESTS
    assert result(around.ask(str(module.WRITES_MAX + 2))) == SHERIFFS


def test_a_write_that_fails_does_no_harm_and_is_tried_again(around: Around) -> None:
    around.store.remembering.error = DatabaseUnavailable("gone")
    for _ in range(9):
        around.groups.note("zoë", SHERIFFS)
        around.pass_(6)
    assert len(around.written) == 1
    around.store.remembering.error = None
    around.pass_(6)
    around.groups.note("zoë", SHERIFFS)
    assert result(around.ask()) == SHERIFFS


def test_groups_lapse_after_some_days(around: Around) -> None:
    around.groups.note("zoë", SHERIFFS)
    around.pass_(DAYS * DAY_SECONDS)
    assert result(around.ask()) == SHERIFFS
    around.pass_(module.FRESH_SECONDS)
    assert result(around.ask()) == NONE
    around.groups.note("zoë", SHERIFFS)
    assert result(around.ask()) == SHERIFFS


def test_groups_are_read_once_for_a_while(around: Around) -> None:
    around.store.groups["zoë"] = (SHERIFFS, NOW)
    around.store.reading.held = held = Deferred[None]()
    asking = [around.ask() for _ in range(5)]
    around.store.reading.held = None
    held.callback(None)
    assert {result(d) for d in asking} == {SHERIFFS}
    assert result(around.ask()) == SHERIFFS
    assert len(around.store.reading.calls) == 1
    around.store.groups["zoë"] = (GUESTS, NOW)  # by another process
    around.pass_(module.FRESH_SECONDS)
    assert result(around.ask()) == GUESTS


def test_groups_that_cannot_be_read_are_not_taken_for_none(around: Around) -> None:
    """A rule that denies something might name one of them."""
    around.groups.note("zoë", SHERIFFS)
    around.store.reading.error = DatabaseUnavailable("gone")
    assert isinstance(failed(around.ask()), DatabaseUnavailable)
    around.store.reading.error = None
    around.store.reading.held = Deferred[None]()
    asking = around.ask()
    around.pass_(2)
    assert isinstance(failed(asking), Unavailable)


def test_no_days_keep_nothing() -> None:
    around = Around(days=0)
    around.groups.note("zoë", SHERIFFS)
    assert result(around.ask()) == NONE
    assert around.written == around.store.reading.calls == []


def test_the_days_can_be_changed(around: Around) -> None:
    around.groups.note("zoë", SHERIFFS)
    around.pass_(3 * DAY_SECONDS)
    assert result(around.ask()) == SHERIFFS
    around.groups.bound(2)
    assert result(around.ask()) == NONE


def test_old_groups_are_deleted_now_and_then(around: Around) -> None:
    for n in range(150):
        around.groups.note(str(n), SHERIFFS)
        around.pass_(60)
    started = [n * module.FORGET_SECONDS for n in range(3)]
    assert [at - NOW + DAYS * DAY_SECONDS for (at,) in around.store.forgetting.calls] == started


def test_what_is_kept_is_bounded(around: Around) -> None:
    for n in range(module.USERS_MAX + 10):
        around.groups.note(str(n), SHERIFFS)
        result(around.ask(str(n)))
    assert len(around.groups._noted) == len(around.groups._read) == module.USERS_MAX


# --- over HTTP

HEADER = "X-Remote-Groups"
SUE = {**JSON, "X-Remote-User": "sue"}


async def groups_of_caller(call: Call) -> Reply:
    """Answer with the groups that rules see of who asks."""
    told = JSONBody.of(sorted(call.identity.groups))
    return attrs.evolve(Reply.data("Groups", told), fresh=True)


ROUTES = (Route("GET", "/groups", groups_of_caller, "", (FORMAT,)),)


@pytest.fixture
def served(serve: Serve) -> Served:
    return serve(groups_header=HEADER, more_routes=ROUTES)


async def token_of(served: Served) -> dict[str, str]:
    """Make a token, on a visit of a user without groups."""
    form = {"label": "a bot", "csrf_token": TOKENS.of("sue")}
    made = await served.ask("POST", "/self-serve/tokens", SUE, form)
    assert made.status == 201
    return {**JSON, "Authorization": f"Bearer {made.json['token']}"}


async def visit(served: Served, groups: str) -> None:
    seen = await served.ask("GET", "/groups", {**SUE, HEADER: groups})
    assert seen.json == sorted(filter(None, groups.split(",")))
    await until(lambda: served.groups.groups["sue"][0] == frozenset(seen.json))


async def seen_of(served: Served, headers: dict[str, str]) -> list[str]:
    found: list[str] = (await served.ask("GET", "/groups", headers)).json
    return found


@twisted_test()
async def test_a_token_has_the_groups_of_the_last_visit_of_its_user(served: Served) -> None:
    token = await token_of(served)
    assert await seen_of(served, token) == []
    await visit(served, "sheriffs,staff")
    assert await seen_of(served, token) == ["sheriffs", "staff"]
    await visit(served, "staff")
    assert await seen_of(served, token) == ["staff"]
    await visit(served, "")
    assert await seen_of(served, token) == []


@twisted_test()
async def test_groups_lapse_and_those_of_the_file_do_not(served: Served) -> None:
    token = await token_of(served)
    await visit(served, "sheriffs")
    access = served.listeners.sites[0].app.policy.auth.members
    assert access("sue") == NONE
    served.access.adopt(AccessPolicy(), {"sue": frozenset({"of the file"})})
    assert await seen_of(served, token) == ["of the file", "sheriffs"]
    served.time.now += DAYS * DAY_SECONDS + 1
    assert served.bearers is not None
    served.bearers.groups.bound(DAYS)  # as after the seconds for which they are cached
    assert await seen_of(served, token) == ["of the file"]


@twisted_test()
async def test_a_header_beside_a_token_names_no_groups_and_is_not_remembered(
    served: Served,
) -> None:
    token = await token_of(served)
    assert await seen_of(served, {**token, "X-Remote-User": "sue", HEADER: "sheriffs"}) == []
    assert await seen_of(served, token) == []


@twisted_test()
async def test_a_peer_that_nobody_trusts_is_not_remembered(serve: Serve) -> None:
    served = serve(groups_header=HEADER, more_routes=ROUTES, trusted=["unix"])
    assert await seen_of(served, {**SUE, HEADER: "sheriffs"}) == []
    assert served.groups.groups == {}


@twisted_test()
async def test_without_a_header_nothing_is_remembered_nor_counts(serve: Serve) -> None:
    served = serve(more_routes=ROUTES)
    token = await token_of(served)
    assert await seen_of(served, {**SUE, HEADER: "sheriffs"}) == []
    served.groups.groups["sue"] = (SHERIFFS, NOW)
    assert await seen_of(served, token) == []


@twisted_test()
async def test_no_answer_waits_for_a_write_or_fails_with_it(served: Served) -> None:
    served.groups.remembering.held = held = Deferred[None]()
    assert await seen_of(served, {**SUE, HEADER: "staff"}) == ["staff"]
    served.groups.remembering.held = None
    held.callback(None)
    served.groups.remembering.error = DatabaseUnavailable("gone")
    assert await seen_of(served, {**SUE, HEADER: "sheriffs"}) == ["sheriffs"]


@twisted_test()
async def test_while_groups_cannot_be_read_nothing_is_done_with_a_token(served: Served) -> None:
    token = await token_of(served)
    served.groups.reading.error = DatabaseUnavailable("the jobs database is away")
    answer = await served.ask("DELETE", "/self-serve/try/build/12", token)
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert not served.jobs.jobs
