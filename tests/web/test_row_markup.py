"""HTML of rows: every stored text is escaped, and forms are complete."""

from __future__ import annotations

from collections.abc import Sequence
from html.parser import HTMLParser
from zoneinfo import ZoneInfo

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.jobs.build_states import STATES
from buildapi.web.farm.master_links import MasterLinks
from buildapi.web.selfserve.listing import ListRow
from buildapi.web.selfserve.row_markup import CELLS, RowMarkup, actions
from tests.web.farm import HOSTILE, NOW

ROW = ListRow(
    kind="build",
    id=11,
    state="running",
    builder="Linux try build",
    branch="try",
    revision="abcdef123456",
    submitted=NOW - 500,
    started=NOW - 400,
    ended=None,
    priority=3,
    reason="scheduler",
    master="m1",
    number=7,
    requests=(21, 22),
    place="try",
)
EMPTY = ("area", "br", "input", "link", "meta")


class Elements(HTMLParser):
    """All start tags with their attributes, and all texts; unbalanced tags fail."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attributes: Sequence[tuple[str, str | None]]) -> None:
        self.found.append((tag, {name: value or "" for name, value in attributes}))
        self._open += [] if tag in EMPTY else [tag]

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def markup(*, acts: bool = True, token: str = "t0ken", mount: str = "/farm") -> RowMarkup:
    masters = {"m1": MasterLinks("http://m1.example.org:8101/")}
    return RowMarkup(tuple(CELLS), NOW, ZoneInfo("UTC"), mount, acts, token, masters)


TEXTS = st.one_of(st.just(HOSTILE), st.text(alphabet=st.characters(exclude_categories=["Cc"])))


@given(
    texts=st.tuples(TEXTS, TEXTS, TEXTS, TEXTS),
    state=st.sampled_from(STATES),
    kind=st.sampled_from(["build", "request"]),
    place=st.sampled_from(["", "try", HOSTILE]),
)
def test_a_stored_text_makes_no_elements(
    texts: tuple[str, str, str, str], state: str, kind: str, place: str
) -> None:
    plain = attrs.evolve(ROW, kind=kind, state=state, place=place)
    builder, branch, revision, reason = texts
    row = attrs.evolve(plain, builder=builder, branch=branch, reason=reason)
    tags = [tag for tag, _ in Elements(markup().rows([plain])).found]
    assert [tag for tag, _ in Elements(markup().rows([row])).found] == tags
    odd = attrs.evolve(row, revision=revision, master=HOSTILE)
    assert "script" not in {tag for tag, _ in Elements(markup().rows([odd])).found}


def test_stored_texts_are_shown_as_they_are() -> None:
    row = attrs.evolve(ROW, builder=HOSTILE, branch=f"{HOSTILE}2", reason=f"{HOSTILE}3")
    page = Elements(markup().rows([row]))
    assert {f"{HOSTILE}2", f"{HOSTILE}3"} <= set(page.texts)
    assert f"\n{HOSTILE}\n" in "".join(page.texts)  # whose name is in two parts
    labels = [values["aria-label"] for _, values in page.found if "aria-label" in values]
    assert f"rebuild {HOSTILE}" in labels


@pytest.mark.parametrize("kind", ["build", "request"])
def test_each_form_has_the_token_of_its_user(kind: str) -> None:
    row = attrs.evolve(ROW, kind=kind, state="pending")
    page = Elements(actions(row, "/self-serve/try", "t<ken"))
    forms = [values for tag, values in page.found if tag == "form"]
    tokens = [v["value"] for tag, v in page.found if v.get("name") == "csrf_token"]
    assert len(forms) == len(tokens) == {"build": 2, "request": 3}[kind]
    assert set(tokens) == {"t<ken"}
    assert "csrf_token" not in actions(row, "/self-serve/try", "")


def test_nobody_gets_no_forms() -> None:
    page = Elements(markup(acts=False).rows([ROW, attrs.evolve(ROW, kind="request")]))
    assert {tag for tag, _ in page.found} == {"tr", "td", "span", "a", "time"}


def test_a_row_of_no_branch_has_no_links_into_one() -> None:
    page = Elements(markup().rows([attrs.evolve(ROW, place="")]))
    links = [values["href"] for tag, values in page.found if tag == "a"]
    assert links == ["http://m1.example.org:8101/builders/Linux%20try%20build/builds/7"]
    assert "form" not in {tag for tag, _ in page.found}
