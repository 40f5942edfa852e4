"""Looking which masters answer."""

from __future__ import annotations

from collections.abc import Mapping

import attrs
import pytest
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from buildapi.ops.master_probe import AT_ONCE, FIRST_SECONDS, MasterProbe, Reached


@attrs.define
class Net:
    """Masters by name, and why a URL does not answer."""

    urls: dict[str, str | None] = attrs.field(factory=dict)
    silent: dict[str, str] = attrs.field(factory=dict)
    asked: list[str] = attrs.field(factory=list)
    changes: int = 0
    hung: bool = False

    def known(self) -> Mapping[str, str | None]:
        return self.urls

    async def ask(self, url: str) -> str | None:
        self.asked.append(url)
        if self.hung:
            await Deferred()
        return self.silent.get(url)

    def changed(self) -> None:
        self.changes += 1


@pytest.fixture
def net() -> Net:
    return Net({"a:/m": "http://a/", "b:/m": "http://b/", "no web": None})


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def probe(net: Net, clock: Clock) -> MasterProbe:
    return MasterProbe(clock, net.known, net.ask, 60, net.changed)


def test_masters_with_a_web_interface_are_asked_again_and_again(
    probe: MasterProbe, net: Net, clock: Clock
) -> None:
    probe.startService()
    clock.advance(FIRST_SECONDS)
    assert probe.seen == Reached(2, {})
    clock.advance(60)
    assert net.asked == ["http://a/", "http://b/"] * 2
    probe.stopService()
    clock.advance(600)
    assert len(net.asked) == 4


def test_what_changes_is_logged_and_told_once(
    probe: MasterProbe, net: Net, clock: Clock, log: list[str]
) -> None:
    probe.startService()
    clock.advance(FIRST_SECONDS)
    net.silent["http://b/"] = "refused"
    for _ in range(3):
        clock.advance(60)
    assert probe.seen == Reached(2, {"b:/m": "refused"})
    net.silent.clear()
    clock.advance(60)
    probe.stopService()
    assert [line for line in log if line.startswith("master ")] == [
        "master b:/m is unreachable: refused",
        "master b:/m answers again",
    ]
    assert net.changes == 3, "the first look, silence, and the answer"


def test_a_bounded_number_is_asked_at_a_time_and_stopping_ends_that(
    probe: MasterProbe, net: Net, clock: Clock
) -> None:
    net.urls = {f"m{n}": f"http://m{n}/" for n in range(3 * AT_ONCE)}
    net.hung = True
    probe.startService()
    clock.advance(FIRST_SECONDS)
    assert len(net.asked) == AT_ONCE
    probe.stopService()
    assert not clock.getDelayedCalls()
    assert probe.seen is None


def test_a_directory_without_masters_is_no_error(
    probe: MasterProbe, net: Net, clock: Clock
) -> None:
    net.urls = {}
    probe.startService()
    clock.advance(FIRST_SECONDS)
    probe.stopService()
    assert probe.seen == Reached(0, {})


def test_a_master_that_is_disabled_is_asked_no_more_and_not_said_to_answer(
    probe: MasterProbe, net: Net, clock: Clock, log: list[str]
) -> None:
    net.silent["http://b/"] = "no answer"
    probe.startService()
    clock.advance(FIRST_SECONDS)
    del net.urls["b:/m"]
    clock.advance(60)
    assert probe.seen == Reached(1, {})
    assert [line for line in log if "b:/m" in line] == [
        "master b:/m is unreachable: no answer",
        "master b:/m is no longer probed",
    ]
    probe.stopService()
