"""Names that other programs read: they stay, whatever modules, classes and fields are called.

Golden replay pins the keys of the answers that existing clients read; here is what is left.  A new
name is added to its list; none is taken away or changed.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from buildapi.assembly import assemble
from buildapi.buildbot.v08.lowered_plan import Poke, Write
from buildapi.config import Config, sample_config
from buildapi.db.schema import schema_sql
from buildapi.model.messages import LetterEnd, SettledAs
from buildapi.model.ops import Part, ProcessState
from buildapi.model.records import JobState
from buildapi.model.wire import FINISHED, REQUESTS
from buildapi.mq import consumer
from buildapi.mq.topology import dead_letters
from buildapi.ops.metrics import KINDS
from tests.ops.status import document
from tests.ops.test_status_document import WELL

PATHS = """
GET /
GET /builds
GET /builds/{name}
GET /healthz
GET /docs
GET /load
GET /metrics
GET /openapi.json
GET /pending
GET /pending/{branch}
GET /pending/{branch}/{platform}
GET /pushes
GET /pushes/{branch}
GET /pushes/{branch}/{fromtime}
GET /pushes/{branch}/{fromtime}/{totime}
GET /readyz
GET /recent
GET /recent/{slave}
GET /reports
GET /reports/builder/{buildername}
GET /reports/builders
GET /reports/builders/{branch_name}
GET /reports/endtoend
GET /reports/endtoend/{branch_name}
GET /reports/idlejobs
GET /reports/names
GET /reports/pushes
GET /reports/revision
GET /reports/revision/{branch_name}/{revision}
GET /reports/slaves
GET /reports/slaves/{slave_id}
GET /reports/status_builders
GET /reports/status_builders/{builder_name}
GET /reports/testruns
GET /reports/trychooser
GET /reports/trychooser/{branch_name}
GET /reports/waittimes
GET /reports/waittimes/{pool}
GET /revision/{branch}/{revision}
GET /running
GET /running/{branch}
GET /running/{branch}/{platform}
GET /self-serve
POST /self-serve/batch
GET /self-serve/branches
GET /self-serve/events
GET /self-serve/jobs
GET /self-serve/jobs/{job_id}
GET /self-serve/jobs/{job_id}/trace
GET /self-serve/lookup
POST /self-serve/selection
GET /self-serve/tokens
POST /self-serve/tokens
DELETE /self-serve/tokens
DELETE /self-serve/tokens/{token_id}
GET /self-serve/audit
GET /self-serve/authorizations
GET /self-serve/whoami
GET /self-serve/{branch}
POST /self-serve/{branch}/build
DELETE /self-serve/{branch}/build/{build_id}
GET /self-serve/{branch}/build/{build_id}
GET /self-serve/{branch}/build/{build_id}/steps
GET /self-serve/{branch}/builders
POST /self-serve/{branch}/builders/{builder}/{revision}
GET /self-serve/{branch}/new
POST /self-serve/{branch}/new
POST /self-serve/{branch}/request
DELETE /self-serve/{branch}/request/{request_id}
GET /self-serve/{branch}/pushes
GET /self-serve/pushes
GET /self-serve/user/{user}
GET /self-serve/{branch}/request/{request_id}
PUT /self-serve/{branch}/request/{request_id}
DELETE /self-serve/{branch}/rev/{revision}
GET /self-serve/{branch}/rev/{revision}
POST /self-serve/{branch}/rev/{revision}
GET /self-serve/{branch}/rev/{revision}/is_done
POST /self-serve/{branch}/rev/{revision}/nightly
POST /self-serve/{branch}/rev/{revision}/pgo
GET /self-serve/{branch}/user/{user}
GET /static/scripts/{version}/{name}
GET /static/{name}
GET /status
"""

METRICS = """
buildapi_audit_dropped
buildapi_audit_records(outcome)
buildapi_agents_live
buildapi_broker_connected
buildapi_db_call_seconds(database)
buildapi_db_calls(database, result)
buildapi_db_connect_seconds(database)
buildapi_db_in_flight(database)
buildapi_db_up(database)
buildapi_db_waiting(database)
buildapi_dead_letters(queue, end)
buildapi_directory_age_seconds(document)
buildapi_draining
buildapi_dump_age_seconds
buildapi_http_connections
buildapi_http_in_flight
buildapi_http_limited(limit)
buildapi_http_ready_answers
buildapi_http_request_seconds(route)
buildapi_http_requests(method, route, status)
buildapi_info(version, roles)
buildapi_job_events(part, event)
buildapi_job_seconds
buildapi_jobs_in_hand
buildapi_jobs_open
buildapi_log_events(level)
buildapi_masters(state)
buildapi_oldest_open_job_seconds
buildapi_oldest_pending_seconds
buildapi_pending_requests
buildapi_pending_worst_pool
buildapi_queue_consumers(queue)
buildapi_queue_dead(queue)
buildapi_queue_ready(queue)
buildapi_queue_unacked(queue)
buildapi_reactor_lag_seconds
buildapi_ready
buildapi_replica_lag_seconds
buildapi_running_builds
buildapi_start_time_seconds
buildapi_status_errors
"""

TABLES = """
buildapi_audit
buildapi_branches
buildapi_jobs
buildapi_keys
buildapi_load
buildapi_processes
buildapi_progress
buildapi_rebuilds
buildapi_token_scopes
buildapi_token_uses
buildapi_tokens
buildapi_trail
buildapi_user_groups
jobrequests
"""

STATUS = [
    "agents",
    "agents_error",
    "broker",
    "databases",
    "dead_letters",
    "directory",
    "dumps",
    "farm",
    "http",
    "jobs",
    "masters",
    "now",
    "parts",
    "process",
    "processes",
    "ready",
    "reasons",
    "reload",
    "replica",
    "status",
    "versions",
]

TRAIL = """
answered again, asked, begun, decided, failed, late, left, not executed, not sent, not written,
put aside, recorded, refused, reported, sent, sent again, stored, taken, taken up, waits, written
"""

STEPS = [
    "Clobber",
    "DropRequest",
    "DropRequests",
    "NewBuildset",
    "Requeue",
    "SendChange",
    "SetPriority",
    "StopBuild",
    "WatchDropped",
]

PACKAGE = Path(__file__).parent.parent / "buildapi"


def words(text: str) -> list[str]:
    return text.strip().splitlines()


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return sample_config(tmp_path, None)


def test_paths(config: Config) -> None:
    from twisted.internet import reactor

    api = assemble(config, reactor).services.api
    assert api is not None
    routes = api.site.routes
    assert {f"{r.method} {r.path}" for r in routes} == set(words(PATHS))


def test_metrics_and_their_labels() -> None:
    named = {f"{k.name}({', '.join(k.labels)})" if k.labels else k.name for k in KINDS}
    assert named == set(words(METRICS))


def test_tables() -> None:
    sql = schema_sql("sqlite", "jobs")
    assert set(re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", sql)) == set(words(TABLES))


def test_parts_of_the_status() -> None:
    assert sorted(document(WELL)) == STATUS


def test_events_of_a_trail_and_who_notes_them() -> None:
    sources = "".join(p.read_text("utf-8") for p in sorted(PACKAGE.rglob("*.py")))
    noted = set(re.findall(r"(?:_note|\.note|_tell)\(\s*(?:[\w.]+, )*\"([a-z ]{3,20})\"", sources))
    assert noted == {word.strip() for word in TRAIL.replace("\n", " ").split(",")}
    assert [part.value for part in Part] == ["http", "outbox", "agent", "finisher", "other"]


def test_tags_of_steps_in_markers_and_plans() -> None:
    both = [*Write.__args__, *Poke.__args__]
    assert sorted(str(step.__struct_config__.tag) for step in both) == STEPS


def test_states() -> None:
    assert [s.value for s in ProcessState] == ["starting", "running", "draining", "unknown"]
    assert [s.value for s in JobState] == ["queued", "running", "done", "failed"]
    assert [s.value for s in LetterEnd] == ["kept", "dropped", "returned", "retried"]
    assert [s.value for s in SettledAs] == ["returned", "failed", "dropped"]


def test_names_of_amqp(config: Config) -> None:
    broker = config.broker
    queues = (broker.exchange, broker.agent_queue, broker.web_queue, dead_letters("q"))
    assert queues == ("buildapi.control", "buildapi-agent", "buildapi-web", "q.dead")
    assert (REQUESTS, FINISHED) == ("requests", "finished")
    headers = (consumer.ATTEMPT, consumer.REASON, consumer.ROUTING_KEY, consumer.RETURNS)
    named = ("attempt", "reason", "routing-key", "returns")
    assert headers == tuple(f"x-buildapi-{name}" for name in named)
