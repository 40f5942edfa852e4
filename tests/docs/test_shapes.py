"""What counts as the answer or the output that a page shows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.docs.blocks import ROOT, blocks_of
from tests.docs.shapes import differences, output_differs


@pytest.mark.parametrize(
    ("shown", "real"),
    [
        ({"a": 1}, {"a": 2, "new": 3}),
        ({"a": None}, {"a": "x"}),
        ({"a": "x"}, {"a": None}),
        ([{"a": 1}], [{"a": 2}, {"a": 3}]),
        ([{"a": 1}, {"b": "x"}], [{"b": "y"}]),
        ([{"a": 1}], []),
    ],
)
def test_an_answer_of_the_same_shape_is_right(shown: Any, real: Any) -> None:
    assert not differences(shown, real)


@pytest.mark.parametrize(
    ("shown", "real", "where"),
    [
        ({"a": 1, "b": 2}, {"a": 1}, "$.b: is shown"),
        ({"a": 1}, {"a": "1"}, "$.a: a number is shown, a text comes"),
        ({"a": True}, {"a": 1}, "$.a: a truth value is shown"),
        ({"a": [{"b": 1}]}, {"a": [{"b": 1}, {"c": 1}]}, "$.a[1].b: is shown"),
        ({"status": "OK"}, {"status": "FAILED"}, "$.status: 'OK' is shown"),
    ],
)
def test_an_answer_of_another_shape_is_told(shown: Any, real: Any, where: str) -> None:
    (found,) = differences(shown, real)
    assert found.startswith(where)


def test_output_is_compared_line_by_line_but_for_dots() -> None:
    assert output_differs("a\n... b\n", "a\nanything b") is None
    assert output_differs("a\n", "a\nb") is not None
    assert output_differs("a... b", "c b") is not None


def test_a_comment_belongs_to_the_block_after_it_alone() -> None:
    page = (
        "<!-- answer -->\n```json\n1\n```\n\n```json\n2\n```\n\n"
        "<!-- output -->\ntext\n\n```text\n3\n```\n"
    )
    assert [b.marks for b in blocks_of(ROOT / "p.md", page)] == [{"answer": ""}, {}, {}]


def test_indented_code_and_blocks_in_lists_are_found() -> None:
    page = "    x\n\n1. a\n\n   ```toml\n   b = 1\n   ```\n"
    found = [(b.indented, b.language, b.text) for b in blocks_of(ROOT / "p.md", page)]
    assert found == [(True, "", "x\n"), (False, "toml", "b = 1\n")]
