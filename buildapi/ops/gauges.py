"""Export the numbers of the /status document as gauges."""

from __future__ import annotations

from buildapi.model.json_types import JSONObject
from buildapi.ops.metrics import Metrics

UNKNOWN = -1.0


def set_gauges(metrics: Metrics, found: JSONObject) -> None:
    """Set the gauges from the /status document; leave out those whose value is unknown.

    An unknown lag or age is -1, so that an alert can tell it from a missing one.
    """
    _process(metrics, found)
    _broker(metrics, found["broker"])
    _databases(metrics, found)
    _masters(metrics, found)
    _farm(metrics, found["farm"])
    _jobs(metrics, found["jobs"])
    ages = {d["name"]: _or_unknown(d["age"]) for d in found["directory"]}
    metrics.replace("buildapi_directory_age_seconds", ages)
    _dumps(metrics, found["dumps"])
    metrics.set("buildapi_status_errors", sum(not part["ok"] for part in found["parts"]))


def _dumps(metrics: Metrics, dumps: JSONObject | None) -> None:
    if dumps is None:
        metrics.leave_out("buildapi_dump_age_seconds")
        return
    written = [_or_unknown(f["age"]) for f in dumps["files"]]
    oldest = UNKNOWN if UNKNOWN in written else max(written, default=UNKNOWN)
    metrics.set("buildapi_dump_age_seconds", oldest)


def _or_unknown(value: float | None) -> float:
    return UNKNOWN if value is None else value


def _process(metrics: Metrics, found: JSONObject) -> None:
    metrics.set("buildapi_ready", found["ready"])
    metrics.set("buildapi_draining", found["process"]["state"] == "draining")
    metrics.set("buildapi_http_in_flight", found["http"]["requests"])
    metrics.set("buildapi_http_connections", found["http"]["connections"])
    if found["agents_error"] is None:
        metrics.set("buildapi_agents_live", sum(a["live"] for a in found["agents"]))
    else:
        metrics.leave_out("buildapi_agents_live")


def _broker(metrics: Metrics, broker: JSONObject) -> None:
    metrics.set("buildapi_broker_connected", broker["connected"] and not broker["blocked"])
    for key in ("ready", "unacked", "dead", "consumers"):
        known = {q["role"]: q[key] for q in broker["queues"] if q[key] is not None}
        metrics.replace(f"buildapi_queue_{key}", known)


def _databases(metrics: Metrics, found: JSONObject) -> None:
    databases = found["databases"]
    took = {d["name"]: d["connect_seconds"] for d in databases if d["connect_seconds"] is not None}
    metrics.replace("buildapi_db_up", {d["name"]: float(d["error"] is None) for d in databases})
    metrics.replace("buildapi_db_connect_seconds", took)
    metrics.replace("buildapi_db_in_flight", {d["name"]: d["in_flight"] for d in databases})
    metrics.replace("buildapi_db_waiting", {d["name"]: d["waiting"] for d in databases})
    if found["replica"]["apart"]:
        lag = found["replica"]["lag_seconds"]
        metrics.set("buildapi_replica_lag_seconds", _or_unknown(lag))
    else:
        metrics.leave_out("buildapi_replica_lag_seconds")


def _masters(metrics: Metrics, found: JSONObject) -> None:
    masters = found["masters"]
    states = {"known": masters["known"], "disabled": len(masters["disabled"])}
    if found["agents_error"] is None:
        states |= {"asked": masters["asked"], "unreachable": len(masters["unreachable"])}
    metrics.replace("buildapi_masters", states)


FARM = (
    "buildapi_pending_requests",
    "buildapi_running_builds",
    "buildapi_oldest_pending_seconds",
    "buildapi_pending_worst_pool",
)


def _farm(metrics: Metrics, farm: JSONObject) -> None:
    if farm["pending"] is None:
        # A 0 would say that nothing is pending or running.
        metrics.leave_out(*FARM)
        return
    oldest = farm["oldest_pending"]
    metrics.set("buildapi_pending_requests", farm["pending"])
    metrics.set("buildapi_running_builds", farm["running"])
    metrics.set("buildapi_oldest_pending_seconds", oldest["age"] if oldest else 0)
    worst = max((pool["pending"] for pool in farm["pools"]), default=0)
    metrics.set("buildapi_pending_worst_pool", worst)


def _jobs(metrics: Metrics, jobs: JSONObject) -> None:
    if jobs["error"] is not None:
        metrics.leave_out("buildapi_jobs_open", "buildapi_oldest_open_job_seconds")
        return
    oldest = jobs["oldest_open"]
    metrics.set("buildapi_jobs_open", jobs["open"])
    metrics.set("buildapi_oldest_open_job_seconds", oldest["age"] if oldest else 0)
