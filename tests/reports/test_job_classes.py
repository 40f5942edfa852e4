"""Classes of jobs by the names of their builders, and the symbols that stand for them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.model.job_class import JobClass
from buildapi.reports.classification import KEPT, SYMBOL_MAX, Classification, from_document
from buildapi.reports.job_classes import JobClasses, job_class
from buildapi.sample.catalog import BRANCHES, builders
from buildapi.web.reports.classification_file import read_classification
from tests.reports.recorded import rules

DEFAULT = read_classification(None)
SYMBOLS = """
Linux x86-64 try build | B
Linux try leak test build | B
Linux mozilla-central nightly | N
Firefox mozilla-central linux l10n nightly | L
Linux mozilla-central l10n dep | L
Ubuntu VM 12.04 x64 try opt test mochitest-3 | M3
Ubuntu VM 12.04 x64 try opt test mochitest-e10s-12 | Me12
Ubuntu VM 12.04 try debug test mochitest-browser-chrome | bc
Ubuntu VM 12.04 try debug test mochitest-browser-chrome-7 | bc7
Windows XP 32-bit try opt test reftest | R
Windows XP 32-bit try opt test jsreftest | J
Windows XP 32-bit try opt test crashtest | C
Windows XP 32-bit try opt test xpcshell | X
Rev7 MacOSX Yosemite 10.10.5 try opt talos tp5o | Tp
Rev7 MacOSX Yosemite 10.10.5 try opt talos g1 | Tg1
Rev7 MacOSX Yosemite 10.10.5 try opt talos novel | T
Ubuntu VM 12.04 try opt test smoke-003 | smoke3
Linux try Static Analysis Build | SA
runtests | runte
docs 12 | docs12
linux-gcc-release-tests | gcc
try build-12 | tb12
Linux | Linux
OS X 10.7 | OX
12 | ?
"""


@pytest.mark.parametrize("line", SYMBOLS.strip().splitlines())
def test_a_symbol_is_that_of_a_rule_or_short(line: str) -> None:
    name, symbol = (text.strip() for text in line.split("|"))
    assert job_class(DEFAULT, "try", name).symbol == symbol


def test_a_class_has_platform_and_kind() -> None:
    name = "Ubuntu VM 12.04 x64 try opt test mochitest-3"
    assert job_class(DEFAULT, "try", name) == JobClass("linux64", "opt unittest", "M3")
    assert job_class(DEFAULT, "try", "Linux try valgrind") == JobClass("linux32", "other", "V")
    assert job_class(DEFAULT, "try", "") == JobClass("other", "other", "?")


NAMES = st.text() | st.text(alphabet="ab -_1209<é̈\u202e\n\0", max_size=40)


@given(NAMES, NAMES)
def test_any_name_has_a_short_symbol_that_can_be_printed(branch: str, name: str) -> None:
    for known in (DEFAULT, rules()):
        found = job_class(known, branch, name)
        assert 1 <= len(found.symbol) <= SYMBOL_MAX
        assert found.symbol.isprintable()
        assert not found.symbol.isspace()
        assert found.platform
        assert found.kind


def test_every_test_of_the_sample_farm_on_one_system_has_a_symbol_of_its_own() -> None:
    names = [b.name for b in builders(list(BRANCHES)) if b.branch in BRANCHES]
    assert [name for name in names if DEFAULT.symbol(name) is None] == []
    tests = [name for name in names if " test " in name and "leak test" not in name]
    # Without the last word the name says system, branch and build type.
    places = [(name.rpartition(" ")[0], job_class(DEFAULT, "", name).symbol) for name in tests]
    assert len(set(places)) == len(places)


def test_a_farms_own_rules_have_the_symbols_of_the_default_unless_they_name_some(
    tmp_path: Path,
) -> None:
    def symbol(text: str) -> str | None:
        file = tmp_path / "rules.toml"
        file.write_text(text)
        return read_classification(file).symbol("linux try test mochitest-1")

    assert symbol("") == "M"
    assert symbol("symbol = []") is None
    assert symbol("[[symbol]]\nname = 'm'\npatterns = ['.*mochi']") == "m"


def test_classes_are_kept_until_there_are_other_rules() -> None:
    classes = JobClasses(DEFAULT)
    of = classes.on("try")
    assert of("Linux try build") is of("Linux try build")
    assert of("try smoke").symbol == "smoke"
    assert classes.on("cedar")("try smoke").symbol == "ts"
    document = {"symbol": [{"name": "!", "patterns": [".*build"]}]}
    classes.adopt(from_document(document, "rules.toml"))
    assert of("Linux try build").symbol == "!"


def test_a_bounded_number_of_classes_is_kept() -> None:
    classes = JobClasses(from_document({}, "rules.toml"))
    for n in range(KEPT + 1):
        classes.of("try", f"builder{n}")
    assert classes.of("try", "builder0") is classes.of("try", "builder0")
    last = f"builder{KEPT}"
    assert classes.of("try", last) == classes.of("try", last)
    assert classes.of("try", last) is not classes.of("try", last)


def test_no_rules_give_names_short() -> None:
    none: Classification = from_document({}, "rules.toml")
    assert job_class(none, "try", "linux try smoke-2") == JobClass("other", "other", "smoke2")
