"""Names of builders are parted where nothing that tells them apart is lost."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.web.selfserve.builder_name import END, parted

CASES = Path(__file__).parent.parent / "scripts" / "builder_names.json"


@pytest.mark.parametrize(("start", "end"), json.loads(CASES.read_text()))
def test_a_name_is_parted_before_a_word(start: str, end: str) -> None:
    assert parted(start + end) == (start, end)


@given(st.text())
def test_the_parts_are_the_name_and_its_end_is_short(name: str) -> None:
    start, end = parted(name)
    assert start + end == name
    assert len(end) <= END
    assert bool(end) == bool(name)
