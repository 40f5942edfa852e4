"""What every ReplicaLag must do, however a dialect measures it."""

from __future__ import annotations

from typing import Protocol

import pytest

from buildapi.errors import Unavailable
from buildapi.interfaces.dialect import ReplicaLag
from tests.reactor import twisted_test

NOW = 1_700_000_000


class LagUnderTest(Protocol):
    """A primary and its replica, neither of which an agent has prepared yet."""

    @property
    def lag(self) -> ReplicaLag:
        """Return what is tested."""

    async def prepare(self, *, replica: bool) -> None:
        """Prepare the primary or the replica as an agent does at its start."""

    async def arrive(self, now: int) -> None:
        """Have a heartbeat of this time arrive at the replica."""


class ReplicaLagContract:
    """Tests of a ReplicaLag; a subclass has the fixture ``seen``."""

    @twisted_test(10)
    async def test_the_lag_is_between_what_was_written_and_what_arrived(
        self, seen: LagUnderTest
    ) -> None:
        lag = seen.lag
        for replica in (False, True):
            with pytest.raises(Unavailable):
                await lag.seconds()
            await seen.prepare(replica=replica)
        assert await lag.seconds() is None, "nothing was written yet"
        await lag.renew(NOW)
        assert await lag.seconds() is None, "nothing has arrived yet"
        await seen.arrive(NOW)
        assert await lag.seconds() == 0
        await lag.renew(NOW + 40)
        assert await lag.seconds() == 40
        await seen.arrive(NOW + 50)
        assert await lag.seconds() == 0, "the two are not read at the same time"
