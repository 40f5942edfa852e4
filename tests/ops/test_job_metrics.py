"""Numbers of jobs: every event counts, and the time in the agent's hand is noted once."""

from __future__ import annotations

from typing import Any

import pytest
from twisted.internet.task import Clock

from buildapi.model.ops import Part
from buildapi.ops import job_metrics as module
from buildapi.ops.job_metrics import JobMetrics
from buildapi.ops.metrics import Metrics


class Around:
    def __init__(self) -> None:
        self.clock, self.metrics = Clock(), Metrics()
        m = self.metrics
        self.numbers = JobMetrics(m.count, m.observe, self.clock.seconds)

    def value(self, name: str, **labels: str) -> Any:
        return self.metrics.registry.get_sample_value(name, labels)


def test_every_event_is_counted_by_its_part() -> None:
    around = Around()
    for _ in range(2):
        around.numbers(7, Part.HTTP, "recorded")
    around.numbers(7, Part.AGENT, "taken")
    name = "buildapi_job_events_total"
    assert around.value(name, part="http", event="recorded") == 2
    assert around.value(name, part="agent", event="taken") == 1


def test_the_time_of_a_job_goes_from_its_first_begin_to_its_report() -> None:
    around = Around()
    around.numbers(7, Part.AGENT, "begun")
    around.clock.advance(2)
    around.numbers(7, Part.AGENT, "begun")
    around.clock.advance(3)
    for _ in range(2):
        around.numbers(7, Part.AGENT, "reported")
    assert around.value("buildapi_job_seconds_count") == 1
    assert around.value("buildapi_job_seconds_sum") == 5


def test_begins_without_a_report_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BEGUN", 2)
    around = Around()
    for job_id in (1, 2, 3):
        around.numbers(job_id, Part.AGENT, "begun")
    for job_id in (1, 2, 3):
        around.numbers(job_id, Part.AGENT, "reported")
    assert around.value("buildapi_job_seconds_count") == 2
