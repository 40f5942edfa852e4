"""A thousand stops over ten masters, of which one hangs: it delays only its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import attrs
from twisted.internet import defer, task
from twisted.internet.task import Clock

from buildapi.buildbot.directory import Master
from buildapi.buildbot.http_fetch import FetchedAnswer, FetchError
from buildapi.buildbot.v08.build_poller import BuildPoller
from buildapi.buildbot.v08.build_stopper import BuildStopper
from buildapi.buildbot.v08.master_client import MasterClient
from buildapi.model.outcome import Item
from buildapi.model.steps import StopBuild
from tests.buildbot.doubles import build_json
from tests.buildbot.seed import T0

POKE, WAIT, PER_MASTER, TOTAL, VERIFY = 10.0, 120.0, 20, 200, 10.0
"""What the configuration says where it says nothing."""

STOP, TELL = 1.0, 0.02
"""Seconds in which masters answer a stop, and a question."""

HUNG, EACH = "m0", 100
STEPS = [
    StopBuild(n, 10_000 + n, n, "linux", T0 + 11, "abcdef012345", f"m{n % 10}")
    for n in range(1, 10 * EACH + 1)
]


@attrs.define
class Farm:
    """Ten masters and their database, on a clock."""

    clock: Clock = attrs.field(factory=Clock)
    ended: set[int] = attrs.field(factory=set)
    posts: dict[int, int] = attrs.field(factory=dict)
    queries: int = 0
    in_hand: dict[str, int] = attrs.field(factory=dict)
    most: dict[str, int] = attrs.field(factory=dict)

    def directory(self) -> dict[str, Master]:
        return {f"m{n}": Master(f"m{n}", f"m{n}", 80, None, None) for n in range(10)}

    async def fetch(self, text: str, params: dict[str, int]) -> Sequence[tuple[int]]:
        self.queries += 1
        return [(id_,) for id_ in params.values() if id_ not in self.ended]

    async def request(self, method: str, url: str, *, seconds: float, **_: Any) -> FetchedAnswer:
        host = url.removeprefix("http://").partition(":")[0]
        self.in_hand[host] = self.in_hand.get(host, 0) + 1
        self.most[host] = max(self.most.get(host, 0), self.in_hand[host])
        self.most["all"] = max(self.most.get("all", 0), sum(self.in_hand.values()))
        try:
            return await self.answer(host, method, url, seconds)
        finally:
            self.in_hand[host] -= 1

    async def answer(self, host: str, method: str, url: str, seconds: float) -> FetchedAnswer:
        if host == HUNG:
            await task.deferLater(self.clock, seconds)
            raise FetchError(f"no answer within {seconds:g} s", timed_out=True)
        if method == "GET":
            await task.deferLater(self.clock, TELL)
            return FetchedAnswer(200, build_json(), None)
        build = int(url.split("/builds/")[1].removesuffix("/stop"))
        self.posts[build] = self.posts.get(build, 0) + 1
        self.ended.add(build)
        await task.deferLater(self.clock, STOP)
        return FetchedAnswer(302, b"", "../../../../builders/linux")

    def stopper(self) -> BuildStopper:
        us: Any = self
        masters = MasterClient(self.clock, us, self.directory, POKE, WAIT, PER_MASTER, TOTAL)
        return BuildStopper(self.clock, BuildPoller(self.clock, us), masters, VERIFY)


@attrs.define
class Told:
    """What was told of each stop, and when."""

    farm: Farm
    items: dict[int, tuple[float, Item]] = attrs.field(factory=dict)

    def run(self, seconds: float) -> None:
        stopper = self.farm.stopper()
        for step in STEPS:
            stopping = defer.ensureDeferred(stopper.stop(step, "zoe"))
            stopping.addCallback(self.note, step)
        self.farm.clock.pump([0.02] * int(seconds / 0.02))

    def note(self, item: Item, step: StopBuild) -> None:
        self.items[step.build_id] = (self.farm.clock.seconds(), item)

    def of(self, *, hung: bool) -> list[tuple[float, Item]]:
        return [self.items[s.build_id] for s in STEPS if (s.master == HUNG) == hung]


def test_one_hung_master_among_ten_delays_and_fails_only_its_own_builds() -> None:
    told = Told(farm := Farm())
    told.run(2 * POKE)
    assert len(told.items) == len(STEPS) == 1000
    others, hung = told.of(hung=False), told.of(hung=True)
    assert {(i.state, i.detail) for _, i in others} == {("done", "stopped")}
    assert max(at for at, _ in others) < EACH / PER_MASTER * STOP + 1 < POKE
    assert farm.posts == {s.build_id: 1 for s in STEPS if s.master != HUNG}
    assert {i.state for _, i in hung} == {"failed"}
    assert max(at for at, _ in hung) < POKE + 0.1
    assert sorted({i.detail for _, i in hung}) == [
        "no answer within 10 s",
        "not sent: the master does not respond",
    ]
    assert len([1 for _, i in hung if "no answer" in i.detail]) == PER_MASTER
    assert not [i for _, i in told.items.values() if "busy" in i.detail]
    assert farm.most.pop("all") <= TOTAL
    assert set(farm.most.values()) == {PER_MASTER}
    assert farm.clock.getDelayedCalls() == []


def test_so_many_stops_cost_the_database_few_queries() -> None:
    told = Told(farm := Farm())
    told.run(2 * POKE)
    assert farm.queries < len(STEPS) / 10
