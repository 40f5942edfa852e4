"""The page on security names a test for each of its claims."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.docs.test_reference import DOCS

LINK = re.compile(r"`(?:tests/[\w/]+\.py|test_\w+)`")
NO_CLAIMS = {"Assets", "Not defended"}
"""Sections that say what there is, and what is not defended."""


def sections() -> Iterator[tuple[str, str]]:
    """List the headings of the page, each with the text up to the next one."""
    page = (DOCS / "security.md").read_text(encoding="utf-8")
    found = re.split(r"^##+ (.+)\n", page, flags=re.M)[1:]
    for heading, text in zip(found[::2], found[1::2], strict=True):
        if text.strip() and heading not in NO_CLAIMS:
            yield heading, text


@pytest.mark.parametrize(("heading", "text"), list(sections()), ids=lambda value: value[:40])
def test_every_claim_names_a_test(heading: str, text: str) -> None:
    assert LINK.search(text), heading
    for claim in re.findall(r"^\* .*(?:\n  .*)*", text, re.M):
        assert LINK.search(claim), claim
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        rows = table.splitlines()
        if "tested by" in rows[0]:
            assert [row for row in rows[2:] if not LINK.search(row)] == []


def test_the_sections_are_found() -> None:
    headings = [heading for heading, _ in sections()]
    assert {"Trust boundaries", "Nobody", "A limited token", "A directory server"} <= set(headings)
    assert len(headings) > 12
