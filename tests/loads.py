"""The role LoadStore in memory."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from buildapi.errors import Unavailable
from buildapi.model.farm_load import MINUTE, LoadSample


@attrs.define
class MemoryLoads:
    """The role LoadStore; ``stored`` is all there is, by its minute; ``failing`` fails reads."""

    stored: dict[int, LoadSample] = attrs.field(factory=dict)
    failing: Unavailable | None = None

    async def known(self, at: int) -> bool:
        return at - at % MINUTE in self.stored

    async def add(self, sample: LoadSample) -> None:
        at = sample.at - sample.at % MINUTE
        self.stored.setdefault(at, attrs.evolve(sample, at=at))

    async def samples(self, since: int, until: int, step: int) -> Sequence[LoadSample]:
        if self.failing:
            raise self.failing
        steps: dict[int, list[LoadSample]] = {}
        for at in sorted(self.stored):
            if since - since % step <= at < until:
                steps.setdefault(at - at % step, []).append(self.stored[at])
        return [
            LoadSample(
                at=at,
                pending=max(s.pending for s in found),
                running=max(s.running for s in found),
                longest_wait=max(
                    (s.longest_wait for s in found if s.longest_wait is not None), default=None
                ),
            )
            for at, found in steps.items()
        ]

    async def forget(self, before: int) -> None:
        self.stored = {at: one for at, one in self.stored.items() if at >= before}
