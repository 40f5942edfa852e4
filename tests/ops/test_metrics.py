"""The numbers: as the page tells them, from a status, and on one line each."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from twisted.internet.task import Clock

from buildapi.jobs.farm_summary import FarmSummary, GroupLoad
from buildapi.model.farm_rows import PendingEntry
from buildapi.model.ops import DocumentState, DumpState
from buildapi.ops.gauges import set_gauges
from buildapi.ops.metrics import KINDS, Metrics
from buildapi.ops.reactor_lag import SECONDS, ReactorLag
from buildapi.ops.status_document import UnreadValue
from buildapi.ops.status_parts import ReplicationLag
from tests.ops.status import document
from tests.ops.test_status_document import AGENT, NOW, WELL
from tests.services.policy import program

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "metrics.md"
RULES = ROOT / "deploy" / "prometheus" / "buildapi-rules.yml"
DASHBOARD = ROOT / "deploy" / "grafana" / "buildapi.json"
OTHERS = {"up", "process_resident_memory_bytes"}


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(name, labels)


def exposed() -> dict[str, set[str]]:
    """Return the names as Prometheus sees them, with their labels."""
    suffix = {"Counter": "_total"}
    return {k.name + suffix.get(k.make.__name__, ""): set(k.labels) for k in KINDS}


def test_the_page_lists_every_metric_with_its_kind_and_labels() -> None:
    told: dict[str, tuple[str, set[str]]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if row := re.match(r"\| `(buildapi_\w+)` \| (\w+) \|([^|]*)\|", line):
            labels = re.sub(r": [^;]*", "", row[3])
            told[row[1]] = (row[2], set(re.findall(r"`(\w+)`", labels)))
    suffix = {"Counter": "_total"}
    assert told == {
        k.name + suffix.get(k.make.__name__, ""): (k.make.__name__.lower(), set(k.labels))
        for k in KINDS
    }


def test_what_is_counted_is_told() -> None:
    metrics = Metrics()
    metrics.query("jobs", 0.004, "ok")
    metrics.count("buildapi_job_events", "http", "recorded", by=2)
    text = metrics.text().decode()
    families = {f.name: f for f in text_string_to_metric_families(text)}
    assert families["buildapi_db_calls"].type == "counter"
    assert sample(metrics, "buildapi_db_calls_total", database="jobs", result="ok") == 1
    bucket = {"database": "jobs", "le": "0.005"}
    assert sample(metrics, "buildapi_db_call_seconds_bucket", **bucket) == 1
    assert sample(metrics, "buildapi_job_events_total", part="http", event="recorded") == 2
    assert "_created" not in text


def told(**changes: Any) -> Metrics:
    metrics = Metrics()
    set_gauges(metrics, document(attrs.evolve(WELL, **changes)))
    return metrics


def test_the_status_as_numbers() -> None:
    oldest = PendingEntry(9, "linux", NOW - 600, "try", None)
    farm = FarmSummary(
        4, 3, oldest, [], [GroupLoad("a", 3, 1, NOW - 600), GroupLoad("b", 1, 2, NOW)], []
    )
    one = told(
        farm=farm,
        processes=[attrs.evolve(AGENT, unreachable=["m1"])],
        lag=ReplicationLag(40),
        dumps=[DumpState("a", 3), DumpState("b", 90)],
        documents=[DocumentState("branches", 12.5), DocumentState("masters", None)],
    )
    assert sample(one, "buildapi_ready") == 1
    assert sample(one, "buildapi_agents_live") == 1
    assert sample(one, "buildapi_queue_ready", queue="requests") == 5
    assert sample(one, "buildapi_queue_unacked", queue="requests") == 3
    assert sample(one, "buildapi_queue_unacked", queue="finished") is None
    assert sample(one, "buildapi_queue_dead", queue="finished") == 2
    assert sample(one, "buildapi_db_connect_seconds", database="jobs") == 0.002
    assert sample(one, "buildapi_replica_lag_seconds") == 40
    assert sample(one, "buildapi_pending_requests") == 4
    assert sample(one, "buildapi_pending_worst_pool") == 3
    assert sample(one, "buildapi_oldest_pending_seconds") == 600
    assert sample(one, "buildapi_masters", state="unreachable") == 1
    assert sample(one, "buildapi_dump_age_seconds") == 90
    assert sample(one, "buildapi_directory_age_seconds", document="branches") == 12.5
    assert sample(one, "buildapi_directory_age_seconds", document="masters") == -1


def test_what_is_not_known_is_minus_one_or_not_told() -> None:
    one = told(lag=UnreadValue("away"), dumps=[DumpState("a", 5), DumpState("b", None)])
    assert sample(one, "buildapi_replica_lag_seconds") == -1
    assert sample(one, "buildapi_dump_age_seconds") == -1
    farm = FarmSummary(4, 3, None, [], [], [])
    set_gauges(one, document(attrs.evolve(WELL, farm=farm)))
    set_gauges(
        one, document(attrs.evolve(WELL, farm=UnreadValue("away"), jobs=UnreadValue("away")))
    )
    names = ["buildapi_pending_requests", "buildapi_running_builds", "buildapi_jobs_open"]
    assert [sample(one, name) for name in (*names, "buildapi_dump_age_seconds")] == [None] * 4
    assert sample(one, "buildapi_status_errors") == 2
    set_gauges(one, document(attrs.evolve(WELL, farm=farm)))
    assert [sample(one, name) for name in names] == [4, 3, 0]


def test_where_nobody_can_tell_which_agents_there_are_there_is_no_number() -> None:
    """None would be an alert of another kind than the one that is due."""
    one = told()
    assert sample(one, "buildapi_masters", state="asked") == 4
    set_gauges(one, document(attrs.evolve(WELL, processes=UnreadValue("away"))))
    assert sample(one, "buildapi_agents_live") is None
    assert sample(one, "buildapi_masters", state="asked") is None
    assert sample(one, "buildapi_masters", state="known") == 5


def test_every_level_of_the_log_is_told_from_the_start() -> None:
    for level in ("debug", "info", "warn", "error", "critical"):
        assert sample(Metrics(), "buildapi_log_events_total", level=level) == 0


def test_a_queue_that_cannot_be_asked_has_no_old_number() -> None:
    metrics = told()
    queues = [attrs.evolve(q, depth=UnreadValue("away")) for q in WELL.queues]
    set_gauges(metrics, document(attrs.evolve(WELL, queues=queues)))
    assert sample(metrics, "buildapi_queue_ready", queue="requests") is None


def test_the_reactor_is_as_late_as_it_is() -> None:
    clock, late = Clock(), list[float]()
    looking = ReactorLag(clock, late.append)
    looking.startService()
    clock.advance(SECONDS)
    clock.advance(SECONDS + 0.25)
    looking.stopService()
    clock.advance(10)
    assert late == [0, 0.25]


# --- what is shipped for them


def names_in(expression: str) -> dict[str, set[str]]:
    """Find the metrics of an expression, and the labels it asks of each."""
    found: dict[str, set[str]] = {}
    for name, labels in re.findall(r"\b(buildapi_\w+|process_\w+|up\b)(\{[^}]*\})?", expression):
        found.setdefault(name, set()).update(re.findall(r"(\w+)=~?\"", labels))
    return found


def expressions() -> list[str]:
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    alerts = [r["expr"] for group in rules["groups"] for r in group["rules"]]
    panels = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return alerts + [t["expr"] for p in panels for t in p["targets"]]


@pytest.mark.parametrize("expression", expressions())
def test_alerts_and_dashboard_ask_for_what_there_is(expression: str) -> None:
    there = exposed()
    series = {f"{k.name}_{s}" for k in KINDS for s in ("bucket", "sum", "count")}
    names = names_in(expression)
    assert names
    for name, labels in names.items():
        base = re.sub(r"_(bucket|sum|count)$", "", name) if name in series else name
        assert base in there or name in OTHERS, name
        if base in there:
            assert labels <= there[base] | {"job", "instance"}
    for by in re.findall(r"by \(([^)]*)\)", expression):
        known = {"le", "instance", *(label for n in there.values() for label in n)}
        assert set(by.replace(" ", "").split(",")) <= known


def test_every_alert_says_what_is_wrong_and_where_to_look() -> None:
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    for group in rules["groups"]:
        for rule in group["rules"]:
            assert rule["labels"]["severity"] in ("warning", "critical")
            assert set(rule["annotations"]) == {"summary", "description"}


def test_the_dashboard_is_whole() -> None:
    board: Mapping[str, Any] = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    places: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        assert panel["title"]
        assert panel["description"]
        grid = panel["gridPos"]
        assert grid["x"] + grid["w"] <= 24
        for x in range(grid["x"], grid["x"] + grid["w"]):
            for y in range(grid["y"], grid["y"] + grid["h"]):
                assert (x, y) not in places, f"{panel['title']} lies on another"
                places.add((x, y))
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))


@pytest.mark.promtool
def test_prometheus_takes_the_rules() -> None:
    promtool = program("promtool")
    checked = subprocess.run(
        [promtool, "check", "rules", str(RULES)], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert "rules found" in checked.stdout


@pytest.mark.promtool
def test_prometheus_takes_the_metrics() -> None:
    promtool = program("promtool")
    metrics = told(lag=ReplicationLag(3))
    metrics.query("jobs", 0.004, "ok")
    checked = subprocess.run(
        [promtool, "check", "metrics"],
        input=metrics.text(),
        capture_output=True,
        check=False,
    )
    ours = [line for line in checked.stderr.decode().splitlines() if line.startswith("buildapi")]
    assert ours == []
