"""Rows of list pages, made of the JSON items; searched, sorted and paged."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

import attrs

from buildapi.jobs.build_states import (
    ABANDONED,
    FAILED,
    OPEN,
    RETRIED,
    RUNNING,
    STATES,
    build_state,
    request_state,
)
from buildapi.jobs.build_states import retried as retried_builds
from buildapi.model.durations import elapsed
from buildapi.model.json_types import JSONObject
from buildapi.parameters.param import Query
from buildapi.parameters.view_parameters import PAGE, ROW_STATE, ROWS, SEARCH, of_listing, sort
from buildapi.web.http.path_converter import segment

PAGE_ROWS = 250


@attrs.frozen
class ListRow:
    """One line of a list of builds and pending requests.

    ``kind`` is ``build`` or ``request``, ``id`` its id; times are seconds since the epoch.
    ``branch`` is as stored; ``place`` is the branch whose pages have the row, empty without one.
    ``author`` and ``subject`` are of its push, ``worker`` runs it; empty if that is not known.
    """

    kind: str
    id: int
    state: str
    builder: str
    branch: str
    revision: str
    submitted: int
    started: int | None
    ended: int | None
    priority: int
    reason: str
    master: str
    number: int | None
    requests: Sequence[int]
    place: str
    author: str = ""
    subject: str = ""
    worker: str = ""

    @property
    def key(self) -> str:
        """Return a key that is unique in a list; it is also the id of the row's element."""
        return f"{self.kind}-{self.id}"

    @property
    def took(self) -> int | None:
        """Return how many seconds it ran, None where that is not known."""
        return elapsed(self.started, self.ended)

    @property
    def path(self) -> str:
        """Return the path of its page below ``/self-serve/``."""
        return f"{segment(self.place)}/{self.kind}/{self.id}"

    @property
    def is_open(self) -> bool:
        """Return whether it can be cancelled."""
        return self.state in OPEN


@attrs.define(eq=False)
class ListRows:
    """The rows of a list: the ``states`` of all, each row itself built when it is first needed.

    ``build`` returns the row of an index.  A page shows 250 rows of the thousands of a day.
    """

    states: Sequence[str]
    _build: Callable[[int], ListRow]
    _built: dict[int, ListRow] = attrs.field(factory=dict, init=False)

    def __len__(self) -> int:
        return len(self.states)

    def at(self, index: int) -> ListRow:
        """Return one row."""
        found = self._built.get(index)
        if found is None:
            found = self._built[index] = self._build(index)
        return found


def row(item: JSONObject, place: str) -> ListRow:
    """Return the row of a build or of a pending request."""
    return _row(item, place, _state(item))


def _row(item: JSONObject, place: str, state: str) -> ListRow:
    shaped = _build if "requests" in item else _request
    return shaped(item, place, state)


def rows_of(items: Sequence[JSONObject], place: str) -> ListRows:
    """Return the rows of a list; the builds of a retried request but the newest are retries."""
    states = [_state(item) for item in items]
    older = retried_builds(
        (item["build_id"], [r["request_id"] for r in item["requests"]])
        for item, found in zip(items, states, strict=True)
        if found != ABANDONED and "requests" in item
    )
    if older:
        for i, item in enumerate(items):
            if item.get("build_id") in older and states[i] != ABANDONED:
                states[i] = RETRIED
    return ListRows(states, lambda i: _row(items[i], place, states[i]))


def blank(kind: str, place: str) -> ListRow:
    """Return an empty row as a template for scripts."""
    started = 0 if kind == "build" else None
    state = "running" if kind == "build" else "pending"
    return ListRow(kind, 0, state, "", "", "", 0, started, None, 0, "", "", None, (), place)


def _request(item: JSONObject, place: str, state: str) -> ListRow:
    return ListRow(
        kind="request",
        id=item["request_id"],
        state=state,
        builder=item["buildername"],
        branch=item["branch"] or "",
        revision=item["revision"] or "",
        submitted=item["submittime"],
        started=None,
        ended=None,
        priority=item["priority"],
        reason=item["reason"] or "",
        master=item.get("claimed_by_name") or "",
        number=None,
        requests=[item["request_id"]],
        place=place,
        author=item.get("author", ""),
        subject=item.get("comments", ""),
    )


def _build(item: JSONObject, place: str, state: str) -> ListRow:
    requests = item["requests"]
    first = requests[0]
    return ListRow(
        kind="build",
        id=item["build_id"],
        state=state,
        builder=item["buildername"],
        branch=item["branch"] or "",
        revision=item["revision"] or "",
        # A master makes one build of several requests; the first of them has waited longest.
        submitted=min(r["submittime"] for r in requests),
        started=item["starttime"],
        ended=item["endtime"],
        priority=max(r["priority"] for r in requests),  # Buildbot 0.8 coalesces different ones
        reason=first["reason"] or "",
        master=item["claimed_by_name"] or "",
        number=item["buildnumber"],
        requests=[r["request_id"] for r in requests],
        place=place,
        author=item.get("author", ""),
        subject=item.get("comments", ""),
    )


def _state(item: JSONObject) -> str:
    if "requests" in item:
        return state(item)
    return request_state(claimed=bool(item["claimed_at"]), complete=bool(item["complete"]))


def state(build: JSONObject) -> str:
    """Return the word for a build's state; one that has ended without a result is a retry."""
    return build_state(
        abandoned=bool(build.get("abandoned")),
        result=build["status"],
        ended=build["endtime"] is not None,
    )


# --- one page of many rows --------------------------------------------------------------------

SORTS: dict[str, Callable[[ListRow], Any]] = {
    "state": lambda r: STATES.index(r.state),
    "branch": lambda r: r.branch,
    "builder": lambda r: r.builder.lower(),
    "revision": lambda r: r.revision,
    "push": lambda r: (r.author.lower(), r.subject),
    "submitted": lambda r: r.submitted,
    "started": lambda r: r.started or 0,
    "took": lambda r: -1 if r.took is None else r.took,
    "master": lambda r: r.master,
    "worker": lambda r: r.worker,
    "reason": lambda r: r.reason,
}
"""Sort keys of rows; a minus before the name reverses the order."""


_URGENCY = dict.fromkeys(FAILED, 0) | dict.fromkeys(OPEN, 2) | {RUNNING: 1}


def urgency(state: str) -> int:
    """Return the place of a state where failures come first, then what runs, then what waits."""
    return _URGENCY.get(state, 3)


@attrs.frozen
class ListQuery:
    """The query of a list: search words, a state, the order and the page.

    A ``bare`` list has counts but no rows, for scripts that keep the rows themselves.
    """

    words: str = ""
    state: str = ""
    sort: str = ""
    page: int = 1
    bare: bool = False

    def link(self, **changes: object) -> str:
        """Return the query of the same list, with some values changed."""
        named = {"q": self.words, "state": self.state, "sort": self.sort, "page": self.page}
        values = {**named, **changes}
        return urlencode({k: v for k, v in values.items() if v and (k, v) != ("page", 1)})

    def sorted_by(self, name: str) -> str:
        """Return how a column is sorted, as a value of ``aria-sort``."""
        return {name: "ascending", f"-{name}": "descending"}.get(self.sort, "none")

    def turned(self, name: str) -> str:
        """Return the order that a click on a column requests."""
        return f"-{name}" if self.sort == name else name


@attrs.frozen
class ListPage:
    """A page of rows; ``matched`` of ``total`` rows match the query."""

    rows: Sequence[ListRow]
    total: int
    matched: int
    pages: int
    asked: ListQuery
    counts: Mapping[str, int]


SORT = sort(tuple(SORTS))
VIEW = of_listing(tuple(SORTS))
"""The parameters of a list's page."""


def asked(query: Query) -> ListQuery:
    """Parse the query of a list; invalid values count as missing."""
    return ListQuery(
        words=SEARCH.asked(query) or "",
        state=ROW_STATE.asked(query) or "",
        sort=SORT.asked(query) or "",
        bare=not ROWS.asked(query),
        page=PAGE.asked(query),
    )


def shown(rows: ListRows, wanted: ListQuery, order: Callable[[str], int] | None = None) -> ListPage:
    """Return a page of the matching rows; a page past the last one is the last one.

    ``order`` is that of the states where nothing else is asked for; without it the rows stay as
    they are.
    """
    words = wanted.words.lower().split()
    found = [i for i, state in enumerate(rows.states) if wanted.state in ("", state)]
    if words:
        found = [i for i in found if _matches(rows.at(i), words)]
    if wanted.sort:
        key = SORTS[wanted.sort.removeprefix("-")]
        found.sort(key=lambda i: key(rows.at(i)), reverse=wanted.sort[0] == "-")
    elif order is not None:
        found.sort(key=lambda i: order(rows.states[i]))
    pages = max(1, -(-len(found) // PAGE_ROWS))
    page = min(wanted.page, pages)
    start = (page - 1) * PAGE_ROWS
    counts = Counter(rows.states)
    return ListPage(
        rows=[] if wanted.bare else [rows.at(i) for i in found[start : start + PAGE_ROWS]],
        total=len(rows),
        matched=len(found),
        pages=pages,
        asked=attrs.evolve(wanted, page=page),
        counts={s: counts[s] for s in STATES if counts[s]},
    )


def _matches(one: ListRow, words: Sequence[str]) -> bool:
    of_push = f"{one.author} {one.subject}"
    of_row = (one.builder, one.branch, one.revision, one.state, one.reason, one.worker, of_push)
    text = " ".join(of_row).lower()
    return all(word in text for word in words)
