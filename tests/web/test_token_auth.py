"""Tokens of requests: how they are read, looked up, remembered and forgotten."""

from __future__ import annotations

import re
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher

from buildapi.errors import BadToken, DatabaseUnavailable, TooManyRequests, Unavailable
from buildapi.model.ops import Token
from buildapi.model.token_scope import TokenScope
from buildapi.web.http import token_auth as module
from buildapi.web.http.deadline import Deadline
from buildapi.web.http.remembered_groups import RememberedGroups
from buildapi.web.http.token_auth import TokenAuthenticator, bearer, digest_of, new_token
from tests.web.asking import failed, result
from tests.web.farm import NOW
from tests.web.memorytokens import MemoryGroups, MemoryTokens, Time

HERE = "192.0.2.7"
TOKEN = "bapi_" + "aZ09_-" * 7 + "x"


@attrs.define
class Around:
    """What remembers tokens, the store behind it, and clocks."""

    store: MemoryTokens = attrs.field(factory=MemoryTokens)
    groups: MemoryGroups = attrs.field(factory=MemoryGroups)
    clock: Clock = attrs.field(factory=Clock)
    time: Time = attrs.field(factory=lambda: Time(NOW))
    bearers: TokenAuthenticator = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        looking = Deadline(self.clock, 2)
        seconds = self.clock.seconds
        groups = RememberedGroups(self.groups, seconds, self.time, looking, 7)
        self.bearers = TokenAuthenticator(self.store, seconds, self.time, looking, groups)

    def ask(self, text: str = TOKEN, address: str = HERE) -> Deferred[Token]:
        return ensureDeferred(self.bearers.token(text, address))

    def made(self, text: str = TOKEN, seconds: int = 1000) -> Token:
        adding = self.store.add("zoë", "a bot", digest_of(text), NOW, NOW + seconds)
        token: Token = result(ensureDeferred(adding))
        return token

    @property
    def lookups(self) -> int:
        return len(self.store.finding.calls)

    def pass_(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.time.now += seconds


@pytest.fixture
def around() -> Around:
    return Around()


def other(n: int) -> str:
    return f"bapi_{n:043d}"


# --- reading


def test_a_new_token_is_what_is_read() -> None:
    tokens = {new_token() for _ in range(50)}
    assert len(tokens) == 50
    for token in tokens:
        assert re.fullmatch("bapi_[A-Za-z0-9_-]{43}", token)
        assert bearer([f"Bearer {token}".encode()]) == token
        assert re.fullmatch("[0-9a-f]{64}", digest_of(token))


def test_a_token_with_limits_is_none_for_programs_that_know_no_limits() -> None:
    """They take 43 characters alone."""
    token = new_token(TokenScope(read_only=True))
    assert re.fullmatch("bapi_[A-Za-z0-9_-]{44}", token)
    assert bearer([f"Bearer {token}".encode()]) == token


@pytest.mark.parametrize("value", ["Bearer {}", "bearer {}", "BEARER   {}", "\tBearer {} "])
def test_a_token_is_read(value: str) -> None:
    assert bearer([value.format(TOKEN).encode()]) == TOKEN


@pytest.mark.parametrize(
    "value",
    [b"", b"Basic em9lOmJlYXJlcg==", b"Negotiate YII=", b"Digest username=x", b"\xff"],
)
def test_other_ways_to_log_in_are_left_to_the_proxy(value: bytes) -> None:
    assert bearer([value]) is None
    assert bearer([value, b"Basic x"]) is None
    assert bearer([]) is None


@pytest.mark.parametrize(
    "values",
    [
        [b"Bearer"],
        [b"Bearer "],
        [b"Bearerbapi"],
        [b"BearerX " + TOKEN.encode()],
        [b"Bearer x"],
        [b"Bearer " + TOKEN.encode() + b"xx"],
        [b"Bearer " + TOKEN.encode()[:-1]],
        [b"Bearer " + TOKEN.upper().encode()],
        [b"Bearer " + TOKEN.encode() + b" x"],
        [b"Bearer \xff" + TOKEN.encode()],
        [b"Basic eA==, Bearer " + TOKEN.encode()],
        [b"Basic eA==,bearer " + TOKEN.encode()],
        [b"Bearer " + TOKEN.encode(), b"Bearer " + TOKEN.encode()],
        [b"Basic eA==", b"Bearer " + TOKEN.encode()],
    ],
)
def test_whatever_may_pass_a_proxy_as_a_token_is_one_or_refused(values: list[bytes]) -> None:
    """One that is let through unasked must not go on with what the proxy's header says."""
    with pytest.raises(BadToken):
        bearer(values)


@given(st.lists(st.binary(max_size=30) | st.just(b"Bearer x"), max_size=3))
def test_anything_is_a_token_nothing_or_refused(values: list[bytes]) -> None:
    try:
        found = bearer(values)
    except BadToken:
        return
    assert found is None
    assert not any(v.lower().startswith(b"bearer") for v in values)


# --- looking up


def test_a_token_is_known_for_some_seconds(around: Around) -> None:
    made = around.made()
    for _ in range(5):
        assert result(around.ask()).who == made.who
    assert around.lookups == 1
    around.pass_(module.FRESH_SECONDS)
    assert result(around.ask()).id == made.id
    assert around.lookups == 2


def test_a_token_that_another_process_revoked_ends_with_the_time(around: Around) -> None:
    made = around.made()
    result(around.ask())
    result(ensureDeferred(around.store.revoke(made.id, "zoë")))
    assert result(around.ask()).id == made.id
    around.pass_(module.FRESH_SECONDS)
    assert isinstance(failed(around.ask()), BadToken)


def test_a_token_revoked_here_ends_at_once(around: Around) -> None:
    made = around.made()
    result(around.ask())
    result(ensureDeferred(around.store.revoke(made.id, "zoë")))
    around.bearers.forget(lambda token: token.id == made.id)
    assert isinstance(failed(around.ask()), BadToken)


def test_what_was_read_before_a_token_was_revoked_is_not_believed(around: Around) -> None:
    made = around.made()
    around.store.finding.held = held = Deferred[None]()
    early = around.ask()
    around.store.finding.held = None
    around.bearers.forget(lambda token: token.id == made.id)
    around.store.tokens.clear()
    held.callback(None)
    failed(early)
    assert isinstance(failed(around.ask()), BadToken)
    assert around.lookups == 2


def test_an_expired_token_is_refused_although_it_is_known(around: Around) -> None:
    around.made(seconds=3)
    result(around.ask())
    around.pass_(3)
    error = failed(around.ask())
    assert isinstance(error, BadToken)
    assert "expired" in error.msg
    assert around.lookups == 1


def test_many_with_one_token_share_one_lookup(around: Around) -> None:
    around.made()
    around.store.finding.held = held = Deferred[None]()
    asking = [around.ask() for _ in range(20)]
    gone = around.ask()
    gone.cancel()
    failed(gone)
    held.callback(None)
    assert {result(d).who for d in asking} == {"zoë"}
    assert around.lookups == 1
    assert used(around) == [NOW]


def test_a_wrong_token_is_remembered_too(around: Around) -> None:
    for _ in range(5):
        assert isinstance(failed(around.ask()), BadToken)
    assert around.lookups == 1
    around.pass_(module.FRESH_SECONDS)
    failed(around.ask())
    assert around.lookups == 2


def test_a_flood_of_wrong_tokens_is_bounded(around: Around) -> None:
    """Those that are known go on, fresh or not."""
    around.made()
    result(around.ask())
    around.pass_(module.FRESH_SECONDS)
    around.store.finding.held = held = Deferred[None]()
    flood = [around.ask(other(n)) for n in range(100)]
    mine = around.ask()
    assert around.lookups == 1 + module.LOOKUPS_MAX + 1
    refused = [failed(d) for d in flood[module.LOOKUPS_MAX :]]
    assert {type(e) for e in refused} == {Unavailable}
    held.callback(None)
    assert result(mine).who == "zoë"
    assert {type(failed(d)) for d in flood[: module.LOOKUPS_MAX]} == {BadToken}


def test_what_is_remembered_is_bounded(around: Around) -> None:
    around.made()
    result(around.ask())
    for n in range(module.STRANGERS_MAX + 10):
        failed(around.ask(other(n), f"192.0.{n // 256}.{n % 256}"))
    assert len(around.bearers._strangers) == module.STRANGERS_MAX
    before = around.lookups
    result(around.ask())
    assert around.lookups == before, "strangers take no room from those that are known"


def guess(around: Around, times: int, address: str = HERE) -> list[type[Exception]]:
    before = around.lookups
    return [type(failed(around.ask(other(before + n), address))) for n in range(times)]


def test_who_guesses_is_refused_without_a_lookup(around: Around) -> None:
    """A minute's number of guesses at once, and then as many as are refilled."""
    most = module.GUESSES_PER_MINUTE
    assert guess(around, most + 5) == [BadToken] * most + [TooManyRequests] * 5
    assert around.lookups == most
    error = failed(around.ask(other(999)))
    assert isinstance(error, TooManyRequests)
    assert error.retry_after == 60 / most
    assert HERE in error.msg
    around.pass_(60 / most)
    assert guess(around, 2) == [BadToken, TooManyRequests]
    around.pass_(60)
    assert guess(around, most + 1) == [BadToken] * most + [TooManyRequests]


def test_guesses_count_for_their_address_and_for_the_network_of_an_ipv6_host(
    around: Around,
) -> None:
    guess(around, module.GUESSES_PER_MINUTE, "2001:db8::1")
    assert guess(around, 1, "2001:db8::2:3") == [TooManyRequests]
    assert guess(around, 1, "2001:db8:0:1::1") == [BadToken]
    assert guess(around, 1) == [BadToken]


def test_tokens_that_were_valid_go_on_beside_guesses_of_their_address(around: Around) -> None:
    around.made()
    result(around.ask())
    around.made(other(7777))
    guess(around, module.GUESSES_PER_MINUTE)
    assert result(around.ask()).who == "zoë"
    around.pass_(module.FRESH_SECONDS)
    guess(around, module.GUESSES_PER_MINUTE)
    assert result(around.ask()).who == "zoë", "also when its row is read again"
    assert isinstance(failed(around.ask(other(7777))), TooManyRequests), "nobody knows that one"
    assert result(around.ask(other(7777), "192.0.2.8")).who == "zoë"


def test_a_program_with_one_revoked_token_is_no_guesser(around: Around) -> None:
    for _ in range(600):
        assert isinstance(failed(around.ask()), BadToken)
        around.pass_(0.5)
    around.store.finding.held = held = Deferred[None]()
    around.pass_(60)
    asking = [around.ask() for _ in range(100)]
    around.store.finding.held = None
    held.callback(None)
    assert {type(failed(d)) for d in asking} == {BadToken}
    assert guess(around, 1) == [BadToken]


def test_a_store_that_fails_counts_no_guess(around: Around) -> None:
    around.store.finding.error = DatabaseUnavailable("gone")
    assert guess(around, 50) == [DatabaseUnavailable] * 50


def test_a_store_that_fails_is_no_wrong_token(around: Around) -> None:
    around.made()
    around.store.finding.error = DatabaseUnavailable("gone")
    both = [around.ask(), around.ask()]
    assert {type(failed(d)) for d in both} == {DatabaseUnavailable}
    around.store.finding.error = None
    assert result(around.ask()).who == "zoë"


def test_a_store_that_hangs_is_not_waited_for(around: Around) -> None:
    around.made()
    around.store.finding.held = Deferred[None]()
    asking = around.ask()
    around.pass_(2)
    assert isinstance(failed(asking), Unavailable)
    around.store.finding.held = None
    assert result(around.ask()).who == "zoë"


# --- noting uses


def used(around: Around) -> list[Any]:
    return [at for _, at, _ in around.store.using.calls]


def test_a_use_is_noted_at_most_once_a_minute(around: Around) -> None:
    around.made()
    for _ in range(25):
        result(around.ask())
        around.pass_(6)
    assert used(around) == [NOW, NOW + 60, NOW + 120]


def test_a_use_that_cannot_be_noted_does_no_harm(around: Around) -> None:
    around.made()
    around.store.using.error = DatabaseUnavailable("gone")
    for _ in range(9):
        assert result(around.ask()).who == "zoë"
        around.pass_(6)
    assert used(around) == [NOW], "nor is it tried all the time"
    around.store.using.error = None
    around.pass_(10)
    result(around.ask())
    assert used(around) == [NOW, NOW + 64]


def test_a_request_does_not_wait_for_its_note(around: Around) -> None:
    around.store.using.held = held = Deferred[None]()
    for n in range(9):
        around.made(other(n))
        assert result(around.ask(other(n))).who == "zoë"
    assert len(used(around)) == module.NOTES_MAX
    held.callback(None)
    result(around.ask(other(8)))
    assert len(used(around)) == module.NOTES_MAX + 1


def test_a_use_from_another_address_is_noted_at_once(around: Around) -> None:
    around.made()
    for address in (HERE, "unix", HERE, "unix"):
        result(around.ask(address=address))
    assert [a for _, _, a in around.store.using.calls] == [HERE, "unix"]


def test_what_another_process_noted_is_not_written_again(around: Around) -> None:
    made = around.made()
    result(ensureDeferred(around.store.used(made.id, NOW, HERE)))
    for _ in range(25):
        result(around.ask())
        around.pass_(6)
    assert used(around) == [NOW, NOW + 60, NOW + 120]


def test_what_is_kept_of_uses_is_bounded(around: Around) -> None:
    around.made()
    for n in range(module.USES_MAX + 10):
        result(around.ask(address=f"2001:db8::{n}"))
    assert len(around.bearers._noted) == module.USES_MAX


def test_the_log_names_an_address_that_uses_a_token_first(around: Around) -> None:
    around.made()
    events: list[dict[str, Any]] = []
    globalLogPublisher.addObserver(events.append)
    try:
        for address in (HERE, "unix", HERE):
            result(around.ask(address=address))
            around.pass_(60)
    finally:
        globalLogPublisher.removeObserver(events.append)
    ours = [e for e in events if "used first from" in (e.get("log_format") or "")]
    assert [(e["who"], e["address"]) for e in ours] == [("zoë", HERE), ("zoë", "unix")]
    assert TOKEN not in repr(events)
