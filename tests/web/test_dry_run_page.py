"""What the page of a plan says of its steps."""

from __future__ import annotations

from buildapi.model.steps import WatchDropped
from buildapi.web.selfserve.dry_run_page import PlanRow, rows_of


def test_a_build_that_is_awaited_to_be_stopped_has_its_row() -> None:
    """A request that a master has claimed, and whose build is not there yet, is cancelled too."""
    rows = rows_of(WatchDropped((7, 8)), dropped=set())
    assert rows == [
        PlanRow("stop", "build of request 7, once it has started"),
        PlanRow("stop", "build of request 8, once it has started"),
    ]


def test_to_look_again_at_what_is_dropped_has_none() -> None:
    assert rows_of(WatchDropped((7, 8)), dropped={7, 8}) == []
