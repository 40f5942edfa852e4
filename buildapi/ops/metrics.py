"""Export the metrics of this process to Prometheus [docs/metrics.md].

Prometheus reads ``/metrics`` of each process every few seconds, and computes rates from counters,
which only rise and restart at 0 with the process. Each combination of labels is a series that it
stores for ever, so no label has values that a client can make up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import attrs
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import Metric
from twisted.logger import LogLevel

FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Histogram buckets in seconds of fast operations."""

# Up to the 20 minutes for which an agent holds a message [docs/explanation/failure-model.md,
# Messages that cannot be executed].
SLOW = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 1200.0)
"""Histogram buckets in seconds of operations that may wait for masters."""


@attrs.frozen
class MetricKind:
    """Declare a metric; its ``labels`` take few values each, which docs/metrics.md lists."""

    make: Callable[..., Any]
    name: str
    meaning: str
    labels: Sequence[str] = ()
    buckets: Sequence[float] | None = None

    def declared(self, registry: CollectorRegistry) -> Any:
        """Create the metric in a registry."""
        more = {} if self.buckets is None else {"buckets": self.buckets}
        return self.make(self.name, self.meaning, self.labels, registry=registry, **more)


# prometheus_client exports a counter under its name with "_total" at the end.
KINDS = (
    MetricKind(Gauge, "buildapi_info", "1; version and roles are labels", ["version", "roles"]),
    MetricKind(Gauge, "buildapi_start_time_seconds", "Start of the process in epoch seconds"),
    MetricKind(Gauge, "buildapi_ready", "1 if /readyz answers 200"),
    MetricKind(Gauge, "buildapi_draining", "1 while the process drains"),
    MetricKind(
        Counter, "buildapi_http_requests", "Answers to HTTP requests", ["method", "route", "status"]
    ),
    MetricKind(
        Histogram, "buildapi_http_request_seconds", "Response time in seconds", ["route"], FAST
    ),
    MetricKind(
        Counter, "buildapi_http_ready_answers", "Answers sent before routing, from cached bytes"
    ),
    MetricKind(
        Counter, "buildapi_http_limited", "Requests that a limit of clients refused", ["limit"]
    ),
    MetricKind(Gauge, "buildapi_http_in_flight", "HTTP requests that are not answered yet"),
    MetricKind(Gauge, "buildapi_http_connections", "Open HTTP connections"),
    MetricKind(Counter, "buildapi_job_events", "Events of job requests", ["part", "event"]),
    MetricKind(
        Histogram,
        "buildapi_job_seconds",
        "Time from the beginning of a job to its outcome in seconds",
        (),
        SLOW,
    ),
    MetricKind(Counter, "buildapi_audit_records", "Records of the audit log", ["outcome"]),
    MetricKind(Counter, "buildapi_audit_dropped", "Records of the audit log that were lost"),
    MetricKind(
        Counter, "buildapi_dead_letters", "Dead letters that this process settled", ["queue", "end"]
    ),
    MetricKind(
        Gauge,
        "buildapi_jobs_in_hand",
        "Messages that the agent of this process has not acknowledged",
    ),
    MetricKind(Gauge, "buildapi_jobs_open", "Unfinished job requests of the last week"),
    MetricKind(
        Gauge,
        "buildapi_oldest_open_job_seconds",
        "Age of the oldest unfinished job request in seconds; 0 if there is none",
    ),
    MetricKind(
        Gauge, "buildapi_broker_connected", "1 if connected, and the broker accepts messages"
    ),
    MetricKind(Gauge, "buildapi_queue_ready", "Ready messages of a queue", ["queue"]),
    MetricKind(
        Gauge,
        "buildapi_queue_unacked",
        "Unacknowledged messages of a queue, as the agents report them",
        ["queue"],
    ),
    MetricKind(Gauge, "buildapi_queue_dead", "Dead letters of a queue", ["queue"]),
    MetricKind(Gauge, "buildapi_queue_consumers", "Consumers of a queue", ["queue"]),
    MetricKind(Counter, "buildapi_db_calls", "Database calls of a pool", ["database", "result"]),
    MetricKind(
        Histogram,
        "buildapi_db_call_seconds",
        "Time of a database call in seconds, including the wait for a connection",
        ["database"],
        FAST,
    ),
    MetricKind(Gauge, "buildapi_db_up", "1 if the database accepts connections", ["database"]),
    MetricKind(
        Gauge, "buildapi_db_connect_seconds", "Time to open a connection in seconds", ["database"]
    ),
    MetricKind(Gauge, "buildapi_db_in_flight", "Running queries", ["database"]),
    MetricKind(Gauge, "buildapi_db_waiting", "Queries that wait for a connection", ["database"]),
    MetricKind(
        Gauge,
        "buildapi_replica_lag_seconds",
        "Lag of the scheduler database's replica in seconds; -1 if unknown",
    ),
    MetricKind(
        Gauge,
        "buildapi_directory_age_seconds",
        "Seconds since a directory document was last good; -1 if it never was",
        ["document"],
    ),
    MetricKind(
        Gauge,
        "buildapi_masters",
        "Masters by state: known, disabled, asked (probed by agents), unreachable",
        ["state"],
    ),
    MetricKind(Gauge, "buildapi_agents_live", "Agents on all hosts with a recent heartbeat"),
    MetricKind(Gauge, "buildapi_pending_requests", "Pending build requests"),
    MetricKind(
        Gauge, "buildapi_pending_worst_pool", "Pending build requests of the pool with most of them"
    ),
    MetricKind(
        Gauge,
        "buildapi_oldest_pending_seconds",
        "Age of the oldest pending build request in seconds; 0 if there is none",
    ),
    MetricKind(Gauge, "buildapi_running_builds", "Running builds"),
    MetricKind(
        Gauge,
        "buildapi_dump_age_seconds",
        "Seconds since the oldest dump was written; -1 if one is missing",
    ),
    MetricKind(Gauge, "buildapi_status_errors", "Parts that /status reports as not ok"),
    MetricKind(
        Histogram,
        "buildapi_reactor_lag_seconds",
        "Delay of the reactor's timer in seconds",
        (),
        FAST,
    ),
    MetricKind(Counter, "buildapi_log_events", "Logged events, by level", ["level"]),
)


class Metrics:
    """Hold all metrics, in a registry of their own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # else each has a series more
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self._all = {kind.name: kind.declared(self.registry) for kind in KINDS}
        self._left_out: set[str] = set()
        self._counted: dict[tuple[str, ...], Any] = {}
        for level in LogLevel.iterconstants():  # or nobody could tell the first one from none
            self._one("buildapi_log_events", [level.name])

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Increment a counter; ``labels`` are in the order of their declaration."""
        self._lasting(name, labels).inc(by)

    def observe(self, name: str, seconds: float, *labels: str) -> None:
        """Record a duration."""
        self._lasting(name, labels).observe(seconds)

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        if name in self._left_out:
            self._left_out.discard(name)
            self.registry.register(self._all[name])
        self._one(name, labels).set(value)

    def leave_out(self, *names: str) -> None:
        """Export no value of gauges without labels until they are set again."""
        for name in names:
            if name not in self._left_out:
                self._left_out.add(name)
                # A gauge without labels always has a value: clear() does nothing to it.
                self.registry.unregister(self._all[name])

    def replace(self, name: str, values: Mapping[str, float]) -> None:
        """Set a gauge for these values of its label, and remove all others."""
        gauge = self._all[name]
        # A label that is gone would keep its last value for ever.
        gauge.clear()
        for label, value in values.items():
            gauge.labels(label).set(value)

    def query(self, database: str, seconds: float, result: str) -> None:
        """Record a call of a connection pool."""
        self.count("buildapi_db_calls", database, result)
        self.observe("buildapi_db_call_seconds", seconds, database)

    def text(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(self.registry)

    def families(self) -> Iterable[Metric]:
        """Return all metrics, for use within the program."""
        return self.registry.collect()

    def _lasting(self, name: str, labels: Sequence[str]) -> Any:
        """Return what counts for these labels; it is looked up once, as none is ever removed."""
        key = (name, *labels)
        if key not in self._counted:
            self._counted[key] = self._one(name, labels)
        return self._counted[key]

    def _one(self, name: str, labels: Sequence[str]) -> Any:
        metric = self._all[name]
        return metric.labels(*labels) if labels else metric
