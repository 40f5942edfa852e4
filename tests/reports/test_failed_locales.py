"""Which localised builds a report names, and how."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.reports.failed_locales import LocaleEntry, MissingLocale, report, result_word

PROPERTIES = {
    "buildername": "Firefox mozilla-central linux l10n nightly",
    "branch": "mozilla-central",
    "platform": "linux",
    "locale": "de",
    "log_url": "https://logs.example.org/1",
    "packageUrl": "https://files.example.org/1",
}


def build(result: Any = 2, **changes: Any) -> dict[str, Any]:
    properties = {k: v for k, v in {**PROPERTIES, **changes}.items() if v is not None}
    return {"id": 81, "result": result, "properties": properties}


def said(*builds: Any) -> list[Any]:
    return list(report(builds))


def test_an_entry_has_four_lines() -> None:
    assert said(build()) == [
        LocaleEntry(
            "mozilla-central linux de\n    FAILURE\n    https://logs.example.org/1\n"
            "    https://files.example.org/1\n"
        )
    ]


def test_a_build_without_package_says_so() -> None:
    (entry,) = said(build(packageUrl=None))
    assert entry.text.endswith("\n    no package\n")


@pytest.mark.parametrize(
    "other",
    [
        build(0),
        build(5),
        build(buildername=None),
        build(buildername="Linux build"),
        build(platform=None),
        build(platform="android"),
    ],
)
def test_what_the_report_is_not_about(other: Any) -> None:
    assert said(other) == []


@pytest.mark.parametrize("name", ["branch", "locale", "log_url"])
def test_a_build_that_lacks_something_has_no_entry_and_the_next_has(name: str) -> None:
    lack, entry = said(build(**{name: None}), build())
    assert lack == MissingLocale(f"build 81 ({PROPERTIES['buildername']}) has no {name}")
    assert isinstance(entry, LocaleEntry)


@pytest.mark.parametrize(
    ("code", "word"),
    [
        (1, "WARNINGS"),
        (4, "EXCEPTION"),
        (6, "CANCELLED"),
        (7, "UNKNOWN (7)"),
        (None, "UNKNOWN (None)"),
        (True, "UNKNOWN (True)"),
        ("2", "UNKNOWN (2)"),
    ],
)
def test_every_result_has_a_word(code: Any, word: str) -> None:
    assert result_word(code) == word
    (entry,) = said(build(code))
    assert entry.text.split("\n")[1].strip() == word


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(
    st.lists(
        ANYTHING
        | st.fixed_dictionaries(
            {"result": ANYTHING},
            optional={
                "properties": st.fixed_dictionaries(
                    {}, optional={name: ANYTHING | st.just("l10n") for name in PROPERTIES}
                )
            },
        )
    )
)
def test_whatever_a_dump_holds_entries_have_four_lines(builds: list[Any]) -> None:
    for found in report(builds):
        if isinstance(found, LocaleEntry):
            assert found.text.count("\n") == 4
            assert len(found.text.splitlines()) >= 4
