"""What is said to be away, of what is known without asking."""

from __future__ import annotations

import pytest

from buildapi.model.health import PoolStatus
from buildapi.model.messages import BrokerStatus
from buildapi.ops.outages import away

UP = BrokerStatus(connected=True)
NOW = 1000.0


@pytest.mark.parametrize(
    ("broker", "pool", "found"),
    [
        (UP, PoolStatus(1, 0, None, None), []),
        (UP, PoolStatus(1, 0, None, None, 0.2), []),
        (UP, PoolStatus(1, 0, None, None, 7.4), ["jobs does not answer (for 7 s)"]),
        (UP, PoolStatus(0, 0, "refused", NOW - 5, 0.1), ["jobs does not answer (for 0 s)"]),
        (UP, PoolStatus(0, 0, "refused", NOW - 5, None), []),
        (
            BrokerStatus(connected=False),
            PoolStatus(0, 0, None, None),
            ["the broker is not connected"],
        ),
        (
            BrokerStatus(connected=False, last_error="x", last_error_at=NOW - 30),
            PoolStatus(0, 0, None, None),
            ["the broker is not connected (for 30 s)"],
        ),
        (
            BrokerStatus(connected=True, blocked="low on memory"),
            PoolStatus(0, 0, None, None),
            ["the broker accepts no messages: low on memory"],
        ),
    ],
)
def test_what_is_away_is_named_with_for_how_long(
    broker: BrokerStatus, pool: PoolStatus, found: list[str]
) -> None:
    assert away(broker, {"jobs": pool}, NOW) == found
