"""What names mean: the recorded farm's rules give its conformance table, ours fit the sample."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildapi.errors import ConfigError
from buildapi.reports.classification import from_document, unmatched
from buildapi.sample.catalog import BRANCHES, SampleBuilder, builders
from buildapi.web.reports.classification_file import read_classification
from tests.reports.recorded import rules

# Builder name, platform, build type and job type by the recorded farm's rules
# [docs/classification.md, "Rules"].
NAMES = """
Linux mozilla-central build | linux-mock | opt | build
Linux x86-64 mozilla-central leak test build | linux-mock | debug | build
Linux x86-64 mozilla-inbound debug asan build | linux-mock | opt | build
Linux mozilla-central nightly | other | opt | build
Android armv7 API 15+ mozilla-central debug build | linux-mock | opt | build
Android 4.3 armv7 API 15+ mozilla-central opt test mochitest-1 | ubuntu64_vm | opt | unittest
Android 4.3 armv7 API 15+ mozilla-central debug test mochitest-1 |ubuntu64_emulator_vm|debug|\
unittest
Ubuntu VM 12.04 mozilla-central opt test mochitest-1 | ubuntu32_vm | opt | unittest
Ubuntu ASAN VM 12.04 x64 mozilla-central opt test reftest | ubuntu64_vm | opt | unittest
Ubuntu VM large 12.04 x64 mozilla-central opt test gtest | ubuntu64_emulator_vm | opt | unittest
Ubuntu HW 12.04 x64 mozilla-central pgo talos tp5o | ubuntu64_hw | opt | talos
OS X 10.7 64-bit mozilla-central leak test build | lion | debug | build
Rev7 MacOSX Yosemite 10.10.5 mozilla-central opt test mochitest-1 | yosemite | opt | unittest
Windows 7 VM 32-bit mozilla-central opt test crashtest | other | opt | unittest
WINNT 6.1 x86-64 mozilla-central leak test build | win2k8 | debug | build
b2g_mozilla-central_macosx64_gecko build | lion | opt | build
jetpack-mozilla-central-win7-ix-opt | win7-ix | null | null
TB Linux comm-central build | linux-mock | opt | build
Firefox mozilla-central linux l10n nightly | other | opt | repack
Linux mozilla-central l10n dep | other | null | repack
Linux x86-64 mozilla-central valgrind | linux-mock | null | null
"""
STORED = {
    "projects/cedar": "cedar",
    "Projects/Cedar": "cedar",
    "birch": "birch",
    "tryserver": "try",
    "try-comm-central": "try-comm-central",
    "mozilla-central-linux-opt-unittest": "mozilla-central",
    "releases/mozilla-beta": "releases/mozilla-beta",
    "releases/mozilla-1.9.2": "mozilla-1.9.2",
    "l10n-central/de": "l10n-central",
}
# Names that several patterns match: the first pattern of the file decides
# [docs/classification.md, "Rules"].
ORDERED = {
    "Android 4.3 armv7 API 11+ mozilla-central debug test mochitest-2": "ubuntu64_emulator_vm",
    "b2g_mozilla-central_win32_gecko build": "win2k8",
    "Android 4.0 armv7 API 10 mozilla-central build": "panda-android",
}


@pytest.mark.parametrize("line", NAMES.strip().splitlines())
def test_the_conformance_table_holds(line: str) -> None:
    name, *expected = (text.strip() for text in line.split("|"))
    found = rules().platform(name), rules().build_type(name), rules().job_type(name)
    assert [value or "null" for value in found] == expected


@pytest.mark.parametrize(("stored", "name"), STORED.items())
def test_stored_branches_are_shortened(stored: str, name: str) -> None:
    assert rules().branch(stored) == name


@pytest.mark.parametrize(("name", "platform"), ORDERED.items())
def test_the_first_rule_that_matches_wins(name: str, platform: str) -> None:
    assert rules().platform(name) == platform


def test_nothing_is_of_nothing() -> None:
    r = rules()
    assert [r.platform(""), r.build_type(""), r.job_type(""), r.branch(""), r.branch(None)] == [
        None
    ] * 5
    assert [r.silo(""), r.silo("unheard-of"), r.reason(None)] == [None] * 3
    assert [r.test_platform(""), r.test_build_type("")] == ["other", "other"]


def test_test_runs_are_told_apart_by_the_status_database() -> None:
    r = rules()
    assert r.test_platform("mozilla-central_fedora_test-xpcshell") == "xp"
    assert r.test_platform("mozilla-central_w764_test-xpcshell") == "win764"
    assert r.test_build_type("Ubuntu DEBUG opt") == "debug"


def test_the_default_fits_the_sample_farm() -> None:
    default = read_classification(None)
    found = {
        b.name: (default.build_type(b.name), default.job_type(b.name))
        for b in builders(list(BRANCHES))
        if b.branch in BRANCHES  # the rest is what idle slaves do
    }
    expected = {
        b.name: (b.kind.value, _job(b)) for b in builders(list(BRANCHES)) if b.name in found
    }
    assert found == expected
    assert not [name for name in found if default.platform(name) == default.fallback]


def _job(builder: SampleBuilder) -> str:
    if builder.suite is None:
        return "build"
    return "talos" if " talos " in builder.name else "unittest"


SECTIONS = [
    *("platform", "build_type", "symbol", "branch", "pools", "pending_pool", "buildset_reason"),
    *("platform_options", "waittimes_report", "testruns", "trychooser_report"),
]
KEYS = st.sampled_from(
    [
        *("name", "names", "patterns", "pattern", "default", "by_master_role", "buildername_like"),
        *("strip_prefix", "buildername_exclude", "results", "min_seconds", "comment_marker"),
    ]
)
BROKEN = [
    ({"platform": {}}, "[[platform]] must be a list of tables"),
    ({"platform": [{"patterns": []}]}, "[[platform]] needs a string name"),
    ({"platform": [{"name": "a", "patterns": "x"}]}, "[[platform]] a patterns must be a list"),
    (
        {"branch": [{"name": "a", "patterns": ["("]}]},
        "[[branch]] a: '(' is not a regular expression",
    ),
    (
        {"branch": [{"name": "a", "patterns": ["(" * 3000]}]},
        "is not a regular expression: maximum recursion",
    ),
    (
        {"branch": [{"name": "a", "patterns": ["a{99999999999999999999}"]}]},
        "is not a regular expression: the repetition number is too large",
    ),
    ({"pools": []}, "[pools] must be a table"),
    ({"pools": {"names": ["a"], "default": "b"}}, "[pools] has no pool 'b' (allowed: a)"),
    ({"pending_pool": [{"name": "b"}]}, "[pools] has no pool 'b'"),
    ({"buildset_reason": [{"name": "a"}]}, "[[buildset_reason]] a needs a string pattern"),
    ({"waittimes_report": {"reason_not_like": [1]}}, "[waittimes_report] reason_not_like must"),
    ({"waittimes_report": {"buildername_exclude": ["("]}}, "buildername_exclude: '(' is no"),
    ({"testruns": {"min_seconds": -1}}, "[testruns] min_seconds must be a whole number from 0"),
    ({"testruns": {"results": ["a"]}}, "[testruns] results must be a list of whole numbers"),
    ({"symbol": [{"name": ""}]}, "[[symbol]] name '' is not a symbol (expected 1 to 5 printable"),
    ({"symbol": [{"name": "MMMMMM"}]}, "[[symbol]] name 'MMMMMM' is not a symbol"),
    ({"symbol": [{"name": "a\n"}]}, "is not a symbol"),
    ({"platform_options": {"fallback": 1}}, "platform_options needs a string fallback"),
]


@pytest.mark.parametrize(("document", "message"), BROKEN)
def test_what_is_wrong_is_named(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        from_document(document, "rules.toml")
    [line] = str(caught.value).splitlines()
    assert line.startswith("rules.toml: ")
    assert message in line


TEXTS = st.text(max_size=4) | st.sampled_from(["(", "a{99999999999999999999}", "(" * 3000, "%"])
VALUES = st.recursive(
    st.integers() | st.booleans() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)

RULE = {"name": TEXTS, "patterns": st.lists(TEXTS, max_size=2), "pattern": TEXTS}
RULES = st.lists(st.fixed_dictionaries(RULE), max_size=2)


@settings(max_examples=80)
@given(st.dictionaries(st.sampled_from(SECTIONS), VALUES | RULES, max_size=4))
def test_any_document_is_a_classification_or_refused(document: dict[str, Any]) -> None:
    lines: list[str] = []
    try:
        from_document(document, "rules.toml").platform("Linux build")
    except ConfigError as e:
        lines = str(e).split("\n")
    assert [line for line in lines if not line.startswith("rules.toml: ")] == []


@pytest.mark.parametrize("text", [b"a = " + b"[" * 100_000, b"\xff", b"a", b""])
def test_a_file_that_is_no_toml_is_refused_with_its_name(tmp_path: Path, text: bytes) -> None:
    file = tmp_path / "rules.toml"
    file.write_bytes(text)
    if text:
        with pytest.raises(ConfigError, match=r"rules\.toml"):
            read_classification(file)
    else:
        read_classification(file)


def test_all_errors_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        from_document({"platform": 1, "branch": 2}, "rules.toml")
    assert len(str(caught.value).splitlines()) == 2


def test_an_empty_document_classifies_nothing_and_fails_nothing() -> None:
    empty = from_document({}, "rules.toml")
    assert empty.platform("Linux build") == "other"
    assert empty.pools.of_builder("Linux build") is None
    assert empty.branch("Try") == "try"


@pytest.mark.parametrize("name", ["a" * 100_000, "Linux " * 20_000, "\x00\ud800\n" * 1000])
def test_hostile_names_take_no_time(name: str) -> None:
    began = time.process_time()
    for each in (rules(), read_classification(None)):
        each.platform(name)
        each.build_type(name)
        each.job_type(name)
    assert time.process_time() - began < 60, "it takes milliseconds, or hours"


def test_names_without_a_rule_are_listed() -> None:
    found = unmatched(
        rules(), ["TB Linux comm-central build", "b", "a", "a"], ["t-xp32-ix-001", "s"]
    )
    assert found == {
        "platform": ["a", "b"],
        "build_type": ["a", "b"],
        "job_type": ["a", "b"],
        "slave_silo": ["s"],
    }
