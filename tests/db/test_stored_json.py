"""JSON in our tables may be anybody's: whatever is there, a row can be read."""

from __future__ import annotations

import json

from hypothesis import given, settings
from hypothesis import strategies as st

from buildapi.db import group_store, process_registry, token_store
from buildapi.db.audit_store import COLUMNS, searching
from buildapi.db.jobstore import progress
from buildapi.model.audit import AuditFilter
from buildapi.model.token_scope import NO_LIMITS, NOT_UNDERSTOOD, scope_from

DEEP = "[" * 20_000
KEYS = st.sampled_from(
    ["in_hand", "jobs", "masters", "unreachable", "actions", "branches", "read_only", "state"]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=6,
)
STORED = JSON.map(json.dumps) | st.text(max_size=20) | st.just(DEEP)


@settings(max_examples=60)
@given(STORED)
def test_any_heartbeat_can_be_read(text: str) -> None:
    beat = process_registry.ALL.row("i", "n", 1, "1.0", "agent", "running", 1, 2, text)
    assert type(beat.in_hand) is int
    assert all(type(job) is int for job in beat.jobs)
    assert beat.masters is None or type(beat.masters) is int
    assert all(isinstance(name, str) for name in beat.unreachable or ())


@settings(max_examples=60)
@given(STORED)
def test_any_progress_can_be_read(text: str) -> None:
    found = progress.noted(3, text)
    assert found is not None
    assert all(isinstance(item, dict) for item in found.items)


@settings(max_examples=60)
@given(STORED)
def test_any_groups_can_be_read(text: str) -> None:
    assert all(isinstance(name, str) for name in group_store.OF_USER.row(text))


@settings(max_examples=60)
@given(STORED)
def test_any_scope_is_one_or_permits_no_change(text: str) -> None:
    token = token_store.FIND.row(1, "zoe", "bot", 1, 2, 3, text, None)
    try:
        known = scope_from(json.loads(text))
    except (ValueError, RecursionError):
        known = NOT_UNDERSTOOD
    assert token.scope == (NOT_UNDERSTOOD if known == NO_LIMITS and text == "null" else known)


@settings(max_examples=60)
@given(STORED)
def test_any_list_of_an_audit_record_can_be_read(text: str) -> None:
    query, _ = searching(AuditFilter(), 1)
    empty = dict.fromkeys(("id", *COLUMNS)) | {"at": 1000, "user_groups": text, "builders": text}
    record = query.row(*empty.values())
    assert all(isinstance(name, str) for name in record.actor.groups)
    assert all(isinstance(name, str) for name in record.subject.builders or ())
