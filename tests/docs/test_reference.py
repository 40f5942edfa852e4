"""What the pages name is there: options, sections, tests, files, links."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from buildapi.cli.main import root
from buildapi.config.reader import keys_of
from buildapi.config.sections import SECTIONS, DatabaseSection
from tests.docs.blocks import PAGES, ROOT
from tests.docs.stage import Stage

DOCS = ROOT / "docs"
SITE = [page for page in PAGES if DOCS in page.parents]
OURS = pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))


def prose(page: Path) -> str:
    """Return a page without its fenced blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def slug(heading: str) -> str:
    """Make the anchor of a heading, as code hosts do."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.lower().strip()).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {slug(h) for h in re.findall(r"^#{1,6} +(.+)$", prose(page), re.M)}


def links(page: Path) -> Iterator[str]:
    for token in MarkdownIt("commonmark").enable("table").parse(page.read_text(encoding="utf-8")):
        for child in token.children or []:
            target = child.attrs.get("href" if child.type == "link_open" else "src")
            if target is not None:
                yield str(target)


@OURS
def test_links_and_anchors_lead_somewhere(page: Path) -> None:
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def pointers() -> Iterator[tuple[str, str]]:
    """List what code points to in ``docs/PAGE.md`` and ``[docs/PAGE.md, "Heading"]``."""
    for folder in ("buildapi", "tests", "bench", "plugins"):
        for file in (ROOT / folder).rglob("*.py"):
            text = re.sub(r"\s*\n\s*#?\s*", " ", file.read_text(encoding="utf-8"))
            yield from re.findall(r'(?<![\w/])docs/([a-z/-]+\.md)(?:, "([^"]+)")?', text)


def test_pages_and_headings_that_code_points_to_are_there() -> None:
    found = set(pointers())
    assert ("compatibility.md", "Branches") in found
    missing = [
        (page, heading)
        for page, heading in found
        if not (DOCS / page).exists() or (heading and slug(heading) not in anchors(DOCS / page))
    ]
    assert not missing


@OURS
def test_nothing_is_left_to_do(page: Path) -> None:
    assert not re.search(r"\b(TODO|FIXME|XXX|TBD)\b", page.read_text(encoding="utf-8"))


def test_the_front_page_lists_every_page_once() -> None:
    listed = re.findall(
        r"^\* \[[^\]]*\]\(([\w/-]+\.md)\)", (DOCS / "index.md").read_text(encoding="utf-8"), re.M
    )
    assert sorted(listed) == sorted(
        str(page.relative_to(DOCS)) for page in SITE if page.name != "index.md"
    )


@OURS
def test_tests_and_files_that_are_named_are_there(page: Path) -> None:
    everything = "\n".join(p.read_text(encoding="utf-8") for p in (ROOT / "tests").rglob("*.py"))
    for name in re.findall(r"`(test_\w+)`", prose(page)):
        assert f"def {name}(" in everything, name
    for path in re.findall(r"`((?:tests|buildapi|deploy|plugins|bench)/[\w./-]+)`", prose(page)):
        assert (ROOT / path).exists(), path


@OURS
def test_sections_and_keys_that_are_named_are_there(page: Path) -> None:
    if page.name in ("classification.md", "CONTRIBUTING.md"):
        return
    sections = SECTIONS | {"databases": DatabaseSection}
    for section, key in re.findall(r"`\[(\w+)(?:\.\w+)*\](?: (\w+))?`", prose(page)):
        if section in OTHERS:
            continue
        assert section in sections, f"[{section}]"
        if key:
            keys = {n for at, k in keys_of(sections[section]).items() for n in k.names(at)}
            assert key in keys, f"[{section}] {key}"


OTHERS = {"pending_pool", "platform", "pools", "testruns", "groups"}
"""Tables of the classification, and that of the groups file."""


# --- commands


def commands(group: Any = root, name: str = "buildapi") -> dict[str, Any]:
    """List a command and all below it, by their names."""
    found = {name: group}
    for key, command in getattr(group, "commands", {}).items():
        found |= commands(command, f"{name} {key}")
    return found


def test_every_command_has_its_place_in_the_reference() -> None:
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    names = [name.removeprefix("buildapi ") for name in commands() if name != "buildapi"]
    missing = [n for n in names if not re.search(rf"(buildapi |[`|] *){n}\b", page)]
    assert not missing


def test_options_in_the_reference_are_options_of_commands() -> None:
    known = {option for c in commands().values() for p in c.params for option in p.opts}
    known |= {"--help", "-h", "--version", "-l"}  # the last one is man's
    known |= {o for c in commands().values() for p in c.params for o in p.secondary_opts}
    page = prose(DOCS / "commands.md")
    code = " ".join(re.findall(r"`([^`]*)`", page))
    named = set(re.findall(r"(?<![^\s/])-{1,2}[a-zA-Z][\w-]*", code))
    assert named <= known


# --- metrics


@pytest.mark.parametrize("page", [p for p in SITE if p.name == "metrics.md"] or [DOCS / "api.md"])
def test_metrics_that_are_named_are_served(page: Path, stage: Stage) -> None:
    if page.name != "metrics.md":
        return
    with urllib.request.urlopen(f"{stage.url}/metrics") as answer:
        served = set(re.findall(r"^# TYPE (\w+)", answer.read().decode(), re.M))
    named = set(re.findall(r"^\| `(buildapi_\w+)`", page.read_text(encoding="utf-8"), re.M))
    away = {"buildapi_replica_lag_seconds"}
    assert named - away <= served | {n.removesuffix("_total") for n in served}
    assert away <= named - served, "here is no replica"


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "docs/design.md"])
def test_files_that_contributors_are_sent_to_are_there(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    named = re.findall(r"`((?:buildapi|tests|docs|bench)/[\w./-]+)`", text)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []
