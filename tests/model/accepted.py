"""Strategies for actions: whatever their constructors accept."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import strategies as st

from buildapi.model.actions import (
    ONLY,
    SELF_SERVE,
    CancelBuild,
    CancelRequest,
    CancelRevision,
    NewBuild,
    NewBuilderBuild,
    NewNightly,
    NewPGOBuild,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
)
from buildapi.model.validators import SOURCE

IDS = st.integers(1, 2**31 - 1)
PRIORITIES = st.integers(-(2**31), 2**31 - 1)
COUNTS = st.integers(1, 1000)
PRINTABLE = st.characters(codec="utf-8").filter(str.isprintable)
ASCII_NAMES = st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=256)


def texts(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text(PRINTABLE, min_size=least, max_size=most)


def _fits(value: Any) -> bool:
    return len(json.dumps([value, SOURCE])) <= 1024


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=50),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=20), inner),
    max_leaves=10,
).filter(_fits)

REQUEST_ACTIONS = st.one_of(
    st.builds(Reprioritize, IDS, PRIORITIES),
    st.builds(CancelRequest, IDS),
    st.builds(CancelBuild, IDS),
    st.builds(RebuildBuild, IDS, PRIORITIES, COUNTS),
    st.builds(RebuildRequest, IDS, PRIORITIES, COUNTS),
)
CANCELS = st.builds(
    CancelRevision,
    texts(1, 256),
    texts(4, 256),
    only=st.none() | st.sampled_from(ONLY),
    builders=st.lists(st.text(min_size=1, max_size=256), max_size=5),
    exclude_builds=st.booleans(),
    reason=texts(0, 200),
)
BRANCH_ACTIONS = st.one_of(
    st.builds(NewBuild, ASCII_NAMES, ASCII_NAMES),
    st.builds(NewPGOBuild, ASCII_NAMES, ASCII_NAMES, PRIORITIES),
    st.builds(NewNightly, ASCII_NAMES, ASCII_NAMES, PRIORITIES),
    st.builds(
        NewBuilderBuild,
        ASCII_NAMES.map(lambda name: name[: 256 - len(SELF_SERVE)] + SELF_SERVE),
        ASCII_NAMES,
        ASCII_NAMES,
        priority=PRIORITIES,
        properties=st.dictionaries(ASCII_NAMES, VALUES, max_size=5),
        files=st.lists(texts(1, 1024), max_size=5),
    ),
)
ACTIONS = REQUEST_ACTIONS | CANCELS | BRANCH_ACTIONS
