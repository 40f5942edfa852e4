"""The pages of lists of pushes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import attrs

from buildapi.jobs.build_states import STATES
from buildapi.jobs.push_selection import PushSelection
from buildapi.parameters.push_parameters import AFTER, SHOW, cursor
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Page
from buildapi.web.selfserve.pages import SelfServePages
from buildapi.web.selfserve.push_markup import PushMarkup
from buildapi.web.selfserve.push_reader import PushList

Query = Sequence[tuple[str, str]]


@attrs.frozen
class ShownPushes:
    """Which list a page shows: its ``path`` below the mount prefix, of a branch or of a user."""

    path: str
    branch: str = ""
    user: str = ""

    @property
    def title(self) -> str:
        """Return the title of the page."""
        if self.branch:
            return f"Pushes on {self.branch}"
        return f"Pushes by {self.user}" if self.user else "Pushes"


@attrs.frozen
class PushPages:
    """Build the pages of lists of pushes."""

    _pages: SelfServePages

    @property
    def zone(self) -> ZoneInfo:
        """Return the farm's time zone."""
        return self._pages.zone

    def page(
        self,
        place: ShownPushes,
        document: JSONBody,
        selection: PushSelection,
        query: Query,
        call: Call,
    ) -> Page:
        """Return the page of a list; ``query`` are its parameters but for the place."""

        def context() -> Mapping[str, object]:
            found: PushList = document.value
            sought = dict(query)
            common = self._pages.common()
            folds = SHOW.name not in sought
            first = AFTER.name not in call.query

            def markup(mount: str) -> PushMarkup:
                return PushMarkup(
                    now=int(self._pages.now()),
                    zone=self.zone,
                    mount=mount,
                    folds=folds,
                    names_branch=not place.branch,
                )

            return common | {
                "pushes": found.pushes,
                "place": place,
                "markup": markup,
                "authors": sorted({one.push.first.author for one in found.pushes}),
                "author": sought.get("author", ""),
                "selection": selection,
                "filtered": any(name in sought for name in FILTERS),
                "states": STATES,
                "keep": [(n, v) for n, v in query if n in HIDDEN],
                "folds": folds,
                "is_first": first,
                "newest": _link(query),
                "older": None
                if found.next is None
                else _link([*query, (AFTER.name, cursor(found.next))]),
                "all_jobs": _link([*query, *_place(call), (SHOW.name, "all")]),
                "folded": _link([*((n, v) for n, v in query if n != SHOW.name), *_place(call)]),
                "events": _events(place, call),
            }

        return Page("pushes.html", place.title, context)


def _events(place: ShownPushes, call: Call) -> str:
    # With "job" alone the stream has no builds and requests (docs/api.md, "Events").
    if not place.branch:
        return ""
    mine = "&job=mine" if call.who else ""
    return f"branch={quote(place.branch, safe='', errors='replace')}{mine}"


def _place(call: Call) -> Query:
    return [(AFTER.name, value) for value in call.query.get(AFTER.name, ())]


def _link(query: Query) -> str:
    return f"?{urlencode(query, errors='replace')}" if query else "?"


FILTERS = ("author", "revision", "since", "until", "state", "builder", "unfinished", "failures")
HIDDEN = ("revision", "since", "until", "limit", "show")
"""Parameters that the form has no field for."""
