"""What "equal" means: recorded and present answers in a form in which they can be compared."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from buildapi.model.actions import full_name
from buildapi.model.wire import FINISHED, REQUESTS
from tests.golden import clobberer
from tests.golden.cases import load
from tests.golden.client import Answer
from tests.golden.masters import MODES
from tests.golden.replay import Seen
from tests.golden.scheduler import PB_PORT

ADDITIVE = {
    "job": ("id", "state", "items", "warnings", "progress"),
    "error": ("code",),
    "accepted": ("msg", "warnings"),
    "message": ("trace", "identity"),
    "row": ("author", "comments", "rebuilt_as", "rebuild_of", "worker"),
    "report": ("items", "warnings", "agent", "trace", "identity", "revision"),
}
"""Keys that we add: by what they are added to.  Nothing else may be there that was not."""


def read_differences(case: Mapping[str, Any], answer: Answer) -> dict[str, str]:
    """List how the answer to a read differs from the recorded one."""
    found = _head(case["status"], case["content_type"], case.get("location"), answer)
    if case["kind"] == "json" and "type" not in found:
        old = normal(_whole_names(owned(case)))
        new = normal(without_additions(json.loads(answer.body)))
        found |= unequal("body", old, new)
    return found


def response_differences(response: Mapping[str, Any], answer: Answer) -> dict[str, str]:
    """List how the answer to a job request differs from the recorded one."""
    headers = {name.lower(): value for name, value in response["headers"]}
    kind = headers.get("content-type", "").partition(";")[0]
    found = _head(response["status"], kind, headers.get("location"), answer)
    if isinstance(response["body"], dict) and "type" not in found:
        new = without_additions(json.loads(answer.body))
        found |= unequal("body", normal(response["body"]), normal(new))
    return found


def _head(status: int, kind: str, location: str | None, answer: Answer) -> dict[str, str]:
    found = unequal("status", status, answer.status)
    if location is not None:
        found |= unequal("location", _path(location), _path(answer.headers.get("location")))
    else:
        found |= unequal("type", kind, answer.media_type)
    return found


def _path(location: str | None) -> str:
    """Leave host and port, which are others here, away."""
    split = urlsplit(location or "")
    return split.path + (f"?{split.query}" if split.query else "")


def unequal(respect: str, old: Any, new: Any) -> dict[str, str]:
    """Yield a message if two values differ."""
    return {} if old == new else {respect: f"was {_shown(old)}, is {_shown(new)}"}


def _shown(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)[:2000]


# --- additions of ours


def without_additions(value: Any) -> Any:
    """Return an answer without the keys that we add to what is in it."""
    if isinstance(value, list):
        return [without_additions(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "complete_data" in value:
        job = _strip(value, "job")
        return job | {"complete_data": _strip(job["complete_data"], "report")}
    kind = _kind(value)
    if kind is None:
        return {key: without_additions(item) for key, item in value.items()}
    return _strip(value, kind)


def _kind(value: Mapping[str, Any]) -> str | None:
    if "buildername" in value:
        return "row"
    return {"FAILED": "error", "OK": "accepted"}.get(str(value.get("status")))


def _strip(value: Any, kind: str) -> Any:
    if not isinstance(value, dict):
        return value
    return {k: v for k, v in value.items() if k not in ADDITIVE[kind]}


def _whole_names(value: Any) -> Any:
    """Write the names of actions in full, which MySQL cut in the old jobs table."""
    if isinstance(value, list):
        return [_whole_names(item) for item in value]
    if not (isinstance(value, dict) and "action" in value):
        return value
    return value | {"action": full_name(value["action"])}


# --- branches: the old program listed what only begins or ends with a branch's name


def _names() -> dict[str, tuple[str, str]]:
    branches = load("directory/production-branches.json")
    return {b: (b, urlsplit(d["repo"]).path.strip("/")) for b, d in branches.items()}


NAMES = _names()


def belongs(stored: str, branch: str) -> bool:
    """Return whether a stored branch belongs to a branch: it has the longest name that fits."""
    fitting = [
        (len(name), owner)
        for owner, names in NAMES.items()
        for name in names
        if stored == name or stored.startswith(name + "-")
    ]
    return bool(fitting) and max(fitting)[1] == branch


def owned(case: Mapping[str, Any]) -> Any:
    """Leave out what does not belong to the branch, from lists the old program gave."""
    return _owned(case["body"], case["request"]["path"].split("/")[2].partition("?")[0])


def _owned(body: Any, branch: str) -> Any:
    if isinstance(body, list):
        return [item for item in body if not _foreign(item, branch)]
    if isinstance(body, dict) and "pending" in body:
        return {part: _owned(items, branch) for part, items in body.items()}
    return body


def _foreign(item: Any, branch: str) -> bool:
    is_build_or_request = isinstance(item, dict) and "buildername" in item
    return is_build_or_request and not belongs(item["branch"] or "", branch)


# --- order: only that of builds was defined


def normal(body: Any) -> Any:
    """Put what has no order of its own into one."""
    if isinstance(body, list):
        return _normal_list(body)
    if not isinstance(body, dict):
        return body
    ordered = {key: normal(value) for key, value in body.items()}
    if "build_ids" in ordered:
        ordered["build_ids"].sort()
    return ordered


def _normal_list(items: Sequence[Any]) -> Any:
    if all(isinstance(item, str) for item in items):
        return sorted(items)
    ordered = [normal(i) for i in items if not _is_request(i)]
    return ordered + sorted((i for i in items if _is_request(i)), key=_id)


def _is_request(item: Any) -> bool:
    return isinstance(item, dict) and "request_id" in item and "buildername" in item


def _id(request: Mapping[str, Any]) -> int:
    return int(request["request_id"])


# --- job requests


def job_differences(case: Mapping[str, Any], seen: Seen) -> dict[str, str]:
    """List how the result of a job request differs from the recorded one."""
    accepted, final = case.get("jobrequest_at_accept"), case.get("jobrequest_final")
    sent, ended = seen.published(REQUESTS), seen.published(FINISHED)
    return {
        **response_differences(case["response"], seen.answer),
        **unequal("message", _bodies(case, "message"), [_strip(m.body, "message") for m in sent]),
        **unequal("row", _row(accepted), _row(sent[0].row if sent else None)),
        **unequal("report", _reports(case), [_strip(m.body, "report") for m in ended]),
        **unequal("final row", _row(final), _row(seen.row)),
        **unequal("scheduler", made(case.get("scheduler_diff", {})), made(seen.scheduler)),
        **unequal("stops", _recorded_stops(case), _stops(seen)),
        **unequal("clobbers", _recorded_clobbers(case), _clobbers(seen)),
        **unequal("changes", _recorded_changes(case), _changes(seen)),
    }


def _bodies(case: Mapping[str, Any], key: str) -> Sequence[Any]:
    return [json.loads(m["body_raw"]) for m in case.get(key, [])]


def _reports(case: Mapping[str, Any]) -> Sequence[Any]:
    return [_strip(body, "report") for body in _bodies(case, "finished")]


def _row(row: Mapping[str, Any] | None) -> Any:
    if row is None:
        return None
    done = row["complete_data"]
    report = None if done is None else _strip(json.loads(done), "report")
    action = full_name(row["action"])
    return {**row, "action": action, "what": json.loads(row["what"]), "complete_data": report}


def _recorded_stops(case: Mapping[str, Any]) -> Sequence[Any]:
    """List what masters were posted; what else was asked of them was to find the slave."""
    asked = [a for a in case.get("outgoing_http", []) if a["method"] == "POST"]
    return [(a["port"], a["path"], a["body"]) for a in asked if a["port"] in MODES]


def _stops(seen: Seen) -> Sequence[Any]:
    return [(a.port, a.path, a.body) for a in seen.asked if a.method == "POST"]


def _recorded_clobbers(case: Mapping[str, Any]) -> Sequence[Any]:
    asked = [a for a in case.get("outgoing_http", []) if a["port"] == clobberer.PORT]
    return [
        _clobber(a["method"], a["path"], a["headers"]["Authorization"], a["body"]) for a in asked
    ]


def _clobbers(seen: Seen) -> Sequence[Any]:
    return [_clobber(t.method, t.path, t.authorization, t.body) for t in seen.told]


def _clobber(method: str, path: str, authorization: str, body: str) -> Any:
    return method, path, authorization, json.loads(body)


CHANGE = {
    "--branch": "branch",
    "--revision": "revision",
    "--revlink": "revlink",
    "--user": "who",
    "--comments": "comments",
}
"""What the command that sent changes called their fields, in its order."""


def _recorded_changes(case: Mapping[str, Any]) -> Sequence[Any]:
    """List changes as masters read them; all went to the one master whose fake is asked now."""
    return [_change(sent["argv"]) for sent in case.get("sendchange") or ()]


def _change(argv: Sequence[str]) -> Any:
    end = 3 + 2 * len(CHANGE)
    told = dict(zip(argv[3:end:2], argv[4:end:2], strict=True))
    assert list(argv[:3]) == ["sendchange", "--master", f"127.0.0.1:{PB_PORT}"], argv
    return {CHANGE[option]: value for option, value in told.items()} | {"files": list(argv[end:])}


def _changes(seen: Seen) -> Sequence[Any]:
    names = (*CHANGE.values(), "files")
    return [{name: change.get(name) for name in names} for change in seen.sent]


# --- rows that a job request made


def made(changed: Mapping[str, Any]) -> Any:
    """Return changes of tables in a form in which they can be compared.

    In which order the requests of one buildset were inserted was not defined, nor that of rows
    without an id; of the ids of builds that were made up, the form is.
    """
    return {table: parts | _ordered(table, parts) for table, parts in changed.items()}


def _ordered(table: str, parts: Mapping[str, Any]) -> Any:
    rows = parts.get("added")
    if rows is None:
        return {}
    if table == "buildrequests":
        by_id = sorted(rows, key=lambda row: (row["buildsetid"], row["id"]))
        by_name = sorted(rows, key=lambda row: (row["buildsetid"], row["buildername"]))
        both = zip(by_name, by_id, strict=True)
        return {"added": [row | {"id": other["id"]} for row, other in both]}
    rows = [
        row | {"property_value": _formed(row)} if "property_value" in row else row for row in rows
    ]
    return {"added": rows if table in IDENTIFIED else sorted(rows, key=_shown)}


IDENTIFIED = ("buildsets", "changes", "sourcestamps")


def _formed(row: Mapping[str, Any]) -> str:
    is_id = row["property_name"] == "builduid" and re.fullmatch(MADE_UP, row["property_value"])
    return "made up" if is_id else str(row["property_value"])


MADE_UP = r'\["[0-9a-f]{32}", "self-serve"\]'
