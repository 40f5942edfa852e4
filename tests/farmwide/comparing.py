"""What "equal" means for pages about the whole farm."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from tests.farmwide.recorded import stored_branches
from tests.golden.client import Answer
from tests.golden.compare import NAMES, belongs, unequal


def differences(case: Mapping[str, Any], answer: Answer, now: Any) -> dict[str, str]:
    """List how an answer differs from the recorded one."""
    found = unequal("status", case["status"], answer.status)
    if case.get("location") is not None:
        found |= unequal("location", _path(case["location"]), _path(answer.headers["location"]))
    elif "status" not in found:
        found |= unequal("type", case["content_type"], answer.media_type)
    if case["kind"] == "json" and not found:
        found |= unequal("body", in_order(owned(case)), in_order(now))
    return found


def _path(location: str) -> str:
    split = urlsplit(location)
    return split.path + (f"?{split.query}" if split.query else "")


def owned(case: Mapping[str, Any]) -> Any:
    """Leave out what does not belong to the branch that was asked for."""
    url = urlsplit(case["request"]["path"])
    page, *rest = url.path.strip("/").split("/")
    asked = [unquote(rest[0])] if rest else parse_qs(url.query).get("branch", [])
    if page not in ("pending", "running", "revision") or not asked or asked[0] not in NAMES:
        return case["body"]
    body = dict(case["body"])
    for part in body.keys() & {"pending", "running", "all"}:
        body[part] = _chosen(body[part], asked[0])
    return body


def _chosen(branches: Any, asked: str) -> Any:
    kept = {
        branch: {rev: [e for e in entries if _is_chosen(e, asked)] for rev, entries in revs.items()}
        for branch, revs in branches.items()
    }
    full = {b: {rev: entries for rev, entries in r.items() if entries} for b, r in kept.items()}
    return {branch: revs for branch, revs in full.items() if revs}


def _is_chosen(entry: Mapping[str, Any], asked: str) -> bool:
    request = entry["request_ids"][0] if "request_ids" in entry else entry["id"]
    return belongs(stored_branches()[request] or "", asked)


def in_order(value: Any) -> Any:
    """Put lists of nested documents into an order: they had none; that of recent builds stays."""
    if not isinstance(value, dict):
        return value
    return {key: _list_in_order(item) for key, item in value.items()}


def _list_in_order(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _list_in_order(item) for key, item in value.items()}
    if not isinstance(value, list):
        return value
    entries = [
        e | {"request_ids": sorted(e["request_ids"])} if "request_ids" in e else e for e in value
    ]
    return sorted(entries, key=lambda entry: json.dumps(entry, sort_keys=True))
