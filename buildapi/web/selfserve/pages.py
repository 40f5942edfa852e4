"""HTML of the self-serve pages, made of the documents that JSON clients get."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import attrs

from buildapi.jobs.build_states import STATES
from buildapi.jobs.last_failures import last_failures
from buildapi.model.actions import ACTIONS
from buildapi.model.records import JobState
from buildapi.model.revisions import ambiguity, short_revision
from buildapi.web.farm.master_links import MasterLinks, masters
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.page_permissions import PagePermissions
from buildapi.web.http.rendering import Page
from buildapi.web.selfserve.batch import ENTRIES_MAX
from buildapi.web.selfserve.listing import (
    ListQuery,
    ListRows,
    asked,
    blank,
    rows_of,
    shown,
    urgency,
)
from buildapi.web.selfserve.push_details import PushDetails
from buildapi.web.selfserve.row_markup import RowMarkup


@attrs.frozen
class Listing:
    """How a list is shown: its columns, what its rows are called, and how scripts update it.

    ``events`` is the query of the event stream to follow.  Scripts remove rows whose state is not
    one of ``states``, and insert new rows only if ``grows``.  ``order`` is that of states,
    unless the query sorts the list; without it the list stays as it is.
    """

    columns: Sequence[str]
    events: str
    states: Sequence[str] = STATES
    grows: bool = False
    what: str = "builds or pending requests"
    order: Callable[[str], int] | None = None


FILES_MAX, CHANGES_MAX = 200, 100
"""Files of a change, and changes of a push, that a page names."""

OF_REVISION = ("state", "builder", "submitted", "started", "took", "reason")
OF_BRANCH = ("state", "builder", "revision", "push", "submitted", "started", "took", "reason")
LABELS = {
    "state": "State",
    "branch": "Branch",
    "builder": "Builder",
    "revision": "Revision",
    "push": "Push",
    "submitted": "Submitted",
    "started": "Started",
    "took": "Duration",
    "master": "Master",
    "worker": "Worker",
    "reason": "Reason",
}
DONE = {
    (False, False): "not done yet",
    (True, False): "done, but not all builds passed",
    (True, True): "done, and all builds passed",
}


@attrs.frozen
class SelfServePages:
    """Build pages; ``now`` returns seconds since the epoch, ``zone`` is the farm's.

    ``master_urls`` returns the root URL of each master's web pages, None without one.
    """

    zone: ZoneInfo
    now: Callable[[], float]
    master_urls: Callable[[], Mapping[str, str | None]]

    def listing(
        self,
        title: str,
        rows: Callable[[], ListRows],
        how: Listing,
        call: Call,
        **more: object,
    ) -> Page:
        """Return a page of a list of builds and pending requests."""

        def context() -> Mapping[str, object]:
            return self.listed(rows(), how, call) | more

        return Page("listing.html", title, context)

    def listed(self, rows: ListRows, how: Listing, call: Call) -> dict[str, object]:
        """Return the template context of a list."""
        now, known = int(self.now()), self.masters()

        def row_markup(
            mount: str, who: str | None, token: str, permissions: PagePermissions
        ) -> RowMarkup:
            acts = bool(who)
            return RowMarkup(how.columns, now, self.zone, mount, acts, token, known, permissions)

        return {
            "now": now,
            "zone": self.zone,
            "list": shown(rows, asked(call.query), how.order),
            "how": how,
            "labels": LABELS,
            "keep": _kept(call),
            "link_of": link_of,
            "blank": blank,
            "row_markup": row_markup,
            # Templates use StrictUndefined: each name that any list needs must be there.
            "days": None,
            "branch": "",
            "revision": "",
            "notice": "",
        }

    def day(self, branch: str, chosen: date, today: date, document: JSONBody, call: Call) -> Page:
        """Return the page of a day of a branch, with links to the days around it."""
        days = {"earlier": chosen - timedelta(days=1), "later": chosen + timedelta(days=1)}
        how = Listing(OF_BRANCH, events_of(branch, call), grows=chosen == today)
        title = f"{branch} on {chosen:%A}, {chosen}"
        return self.listing(title, _rows(document, branch), how, call, branch=branch, days=days)

    def revision(
        self,
        branch: str,
        revision: str,
        document: JSONBody,
        details: PushDetails | None,
        call: Call,
    ) -> Page:
        """Return the page of a revision; its builds and ``is_done`` come from one read."""

        def rows() -> ListRows:
            return document.once("rows", lambda: rows_of(document.value["items"], branch))

        def failed() -> Sequence[int]:
            found, states = document.value["items"], rows().states
            jobs = [
                (item["buildername"], state, item.get("build_id"))
                for item, state in zip(found, states, strict=True)
            ]
            return last_failures(jobs)

        def context() -> Mapping[str, object]:
            known = document.value["done"]
            # The page says once which revision, and whose push, its rows are of.
            columns = OF_BRANCH if known.get("revisions") else OF_REVISION
            events = f"{events_of(branch, call)}&revision={quote(revision)}"
            how = Listing(columns, events, grows=True, order=urgency)
            done = DONE[known["job_complete"], known["job_passed"]]
            listed = self.listed(rows(), how, call)
            notice = ambiguity(revision, known.get("revisions", ()))
            about = {"branch": branch, "revision": revision, "done": done, "notice": notice}
            # A bulk action has a bound; what is left is failed on the page that comes then.
            chosen = document.once("failed", failed)[:ENTRIES_MAX]
            bounds = {"files_max": FILES_MAX, "changes_max": CHANGES_MAX}
            return listed | about | {"failed": chosen, "push": details} | bounds

        return Page("revision.html", f"Revision {short_revision(revision)} on {branch}", context)

    def user(self, branch: str, user: str, document: JSONBody, call: Call) -> Page:
        """Return the page of an author's builds and pending requests."""

        def made() -> ListRows:
            found = document.value
            items = [*found["running"], *found["pending"], *found["builds"]]
            return rows_of(items, branch)

        def rows() -> ListRows:
            return document.once("rows", made)

        how = Listing(OF_BRANCH, events_of(branch, call))
        return self.listing(f"{user} on {branch}", rows, how, call, branch=branch)

    def masters(self) -> Mapping[str, MasterLinks]:
        """Return the pages of the masters by ``claimed_by_name``."""
        return masters(self.master_urls())

    def jobs(self, document: JSONBody, call: Call, num: int, offset: int) -> Page:
        """Return the page of job requests, with its search form."""

        def context() -> Mapping[str, object]:
            sought = {n: call.query.get(n, ("",))[-1] for n in SOUGHT}
            return self.common() | {
                "jobs": document.value,
                "branches": document.once("branches", dict),
                "num": num,
                "offset": offset,
                "sought": sought,
                "actions": list(ACTIONS),
                "states": [s.value for s in JobState],
                "query": urlencode({k: v for k, v in {"num": num, **sought}.items() if v}),
            }

        return Page("jobs.html", "Job requests", context)

    def job(self, title: str, document: JSONBody, _call: Call) -> Page:
        """Return the page of one job request."""

        def context() -> Mapping[str, object]:
            branch = document.once("branch", lambda: None)
            return self.common() | {"job": document.value, "branch": branch}

        return Page("job.html", title, context)

    def builders(self, branch: str, document: JSONBody, _call: Call) -> Page:
        """Return the page of a branch's builders."""

        def context() -> Mapping[str, object]:
            return self.common() | {"names": document.value, "branch": branch}

        return Page("builders.html", f"Builders of {branch}", context)

    def common(self) -> dict[str, object]:
        """Return the context of every page with times."""
        return {"now": int(self.now()), "zone": self.zone}


SOUGHT = ("who", "branch", "action", "state", "since", "until")


def _rows(document: JSONBody, branch: str) -> Callable[[], ListRows]:
    return lambda: document.once("rows", lambda: rows_of(document.value, branch))


def events_of(branch: str, call: Call) -> str:
    """Return the query of the event stream of a branch, with the user's job requests."""
    mine = "&job=mine" if call.who else ""
    return f"branch={quote(branch, safe='', errors='replace')}{mine}"


KEPT = ("date", "branch", "limit", "offset")


def _kept(call: Call) -> Sequence[tuple[str, str]]:
    """List the query parameters that forms and links of a list keep."""
    return [(n, v) for n, values in call.query.items() if n in KEPT for v in values if v]


def link_of(asked: ListQuery, keep: Sequence[tuple[str, str]], **changes: object) -> str:
    """Return the link of a list to itself, with some parameters changed."""
    kept = urlencode(list(keep))
    return "?" + "&".join(part for part in (kept, asked.link(**changes)) if part)
