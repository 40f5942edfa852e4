"""What the page of a plan says of its steps."""

from __future__ import annotations

from buildapi.model.steps import DropRequests, StopClaimed
from buildapi.web.selfserve.dry_run_page import PlanRow, rows_of


def test_a_build_that_is_awaited_to_be_stopped_has_its_row() -> None:
    """A request that a master has claimed, and whose build is not there yet, is cancelled too."""
    rows = rows_of(StopClaimed((7, 8)))
    assert rows == [
        PlanRow("stop", "build of request 7, once it has started"),
        PlanRow("stop", "build of request 8, once it has started"),
    ]


def test_a_request_that_is_dropped_has_one_row() -> None:
    """That the farm checks it again afterwards is no action of its own."""
    assert rows_of(DropRequests((7,), (70,))) == [PlanRow("cancel", "request 7")]
