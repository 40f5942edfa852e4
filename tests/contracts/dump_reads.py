"""What every reader of ended builds and of their requests must do, whatever it reads them from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from buildapi.interfaces.dialect import EndedBuilds, StartedRequests
from buildapi.model.ended_builds import DumpWindow
from tests.reactor import twisted_test

T0 = 1_700_000_000


class EndedBuildsUnderTest(Protocol):
    """A reader of a farm, and the builds that masters note there."""

    @property
    def reader(self) -> EndedBuilds:
        """Return what is tested."""

    def build(self, start: int | None, end: int | None, properties: Mapping[str, str] = ...) -> int:
        """Note a build; ``properties`` are stored texts."""


class EndedBuildsContract:
    """Tests of EndedBuilds; a subclass has the fixture ``seen``."""

    @twisted_test()
    async def test_builds_that_ended_in_a_window_come_by_their_start(
        self, seen: EndedBuildsUnderTest
    ) -> None:
        last, first = seen.build(T0 + 9, T0 + 20), seen.build(T0 + 1, T0 + 10)
        unknown = seen.build(None, T0 + 15)
        for end in (None, T0 + 9, T0 + 21):
            seen.build(T0, end)
        found = await seen.reader.ids(DumpWindow(T0 + 10, T0 + 20))
        assert list(found) == [unknown, first, last]

    @twisted_test()
    async def test_builds_are_read_in_the_order_asked_for_and_those_gone_are_skipped(
        self, seen: EndedBuildsUnderTest
    ) -> None:
        one = seen.build(T0, T0 + 1, {"b": '"x"', "a": "1"})
        two = seen.build(None, T0 + 5)
        found = await seen.reader.builds([two, 10**6, one])
        assert [build.id for build in found] == [two, one]
        assert [(build.starttime, build.endtime) for build in found] == [
            (None, T0 + 5),
            (T0, T0 + 1),
        ]
        assert [list(build.properties) for build in found] == [[], [("b", '"x"'), ("a", "1")]]
        assert list(await seen.reader.builds([])) == []


class StartedRequestsUnderTest(Protocol):
    """A reader of a farm, and the builds that masters start there."""

    @property
    def reader(self) -> StartedRequests:
        """Return what is tested."""

    def start(self, number: int, at: int) -> int:
        """Start a build of a request of its own; return the id of the request."""


class StartedRequestsContract:
    """Tests of StartedRequests; a subclass has the fixture ``seen``."""

    @twisted_test()
    async def test_requests_are_found_by_the_number_and_the_start_of_their_build(
        self, seen: StartedRequestsUnderTest
    ) -> None:
        meant = [seen.start(number, at) for number, at in ((7, T0), (7, T0 + 20), (8, T0 + 20))]
        for number, at in ((7, T0 - 2), (7, T0 + 22), (9, T0 + 5)):
            seen.start(number, at)
        found = await seen.reader.started([8, 7, 7], T0, T0 + 21)
        assert sorted(request.request_id for request in found) == meant
