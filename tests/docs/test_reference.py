"""What the pages name is there: routes, options, sections, tests, files, links."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator, Mapping
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


# --- HTTP


@pytest.fixture(scope="module")
def routes(stage: Stage) -> Mapping[str, set[str]]:
    """Ask the service which paths it has, each with its methods."""
    with urllib.request.urlopen(f"{stage.url}/self-serve?format=json") as answer:
        document = json.load(answer)
    found: dict[str, set[str]] = {}
    for route in next(v for v in document.values() if isinstance(v, list)):
        found.setdefault(form(route["path"]), set()).add(route["method"])
    return found


def form(path: str) -> str:
    return re.sub(r"\{\w+\}", "{}", path.partition("?")[0]) or "/"


def documented(*, named: bool = False) -> Iterator[tuple[str | None, str]]:
    """List the paths of the tables of api.md and reports.md, with optional parts and without."""
    for page in (DOCS / "api.md", DOCS / "reports.md"):
        section = ""
        for line in page.read_text(encoding="utf-8").splitlines():
            if row := re.match(r"\| (`(?:[A-Z]+ )?[/.].*?) \|", line):
                method = None
                for given, path in re.findall(r"`(?:([A-Z]+) )?([/.][^`]*)`", row[1]):
                    method = given or method
                    for each in variants(path, section):
                        yield method, each.partition("?")[0] if named else form(each)
                        section = section if path.startswith(".") else each


def variants(path: str, before: str) -> list[str]:
    """Write out ``a[/b[/c]]`` as a, a/b and a/b/c, and what dots stand for."""
    if path.startswith("..."):
        tail = path.removeprefix("...")
        head = before.partition("/rev/")[0]
        path = head + tail if tail.startswith("/rev/") else f"{head}/rev/{{revision}}{tail}"
    found = re.match(r"(.*?)\[(/.*)\]$", path)
    return [path] if found is None else [found[1], *variants(found[1] + found[2], before)]


def test_every_path_of_the_reference_is_served(routes: Mapping[str, set[str]]) -> None:
    missing = [
        f"{method or 'GET'} {path}"
        for method, path in documented()
        if path != "/reports/..." and (method or "GET") not in routes.get(path, set())
    ]
    assert not missing


def short(path: str) -> str:
    """Write {build_id} and the like as the pages do: {id}."""
    return re.sub(r"\{\w+_id\}", "{id}", path)


def test_segments_of_paths_have_the_names_of_the_routes(stage: Stage) -> None:
    """Call the last segment of /pending/{branch}/{platform} what the program takes it for."""
    with urllib.request.urlopen(f"{stage.url}/self-serve?format=json") as answer:
        document = json.load(answer)
    served = {short(r["path"]) for r in next(v for v in document.values() if isinstance(v, list))}
    by_form: dict[str, set[str]] = {}
    for path in served:
        by_form.setdefault(form(path), set()).add(path)
    wrong = [
        path
        for path in (short(path) for _, path in documented(named=True))
        if "{" in path and path not in by_form.get(form(path), {path})
    ]
    assert not wrong


def test_every_path_that_is_served_is_in_the_reference(routes: Mapping[str, set[str]]) -> None:
    text = (DOCS / "api.md").read_text(encoding="utf-8")
    known = {path for _, path in documented()} | {form(p) for p in re.findall(r"/[\w/{}-]+", text)}
    assert set(routes) <= known | UNLISTED


UNLISTED = {"/self-serve", "/self-serve/", "/reports"}
"""Pages that list others."""


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
