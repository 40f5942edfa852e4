"""The pages of self-serve: what a template needs, made of what JSON clients get."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

import attrs

from buildapi.web.answers import Document
from buildapi.web.call import Call
from buildapi.web.render import Page
from buildapi.web.rows import SORTS, Asked, asked, row, shown


@attrs.frozen
class Pages:
    """Make pages; ``now`` gives seconds since the epoch, ``zone`` is the farm's."""

    zone: ZoneInfo
    now: Callable[[], float]

    def listing(self, title: str, document: Document, call: Call, **more: Any) -> Page:
        """Show builds and pending requests, a page of them at a time."""
        wanted = asked(call.query)

        def context() -> dict[str, Any]:
            found = shown(document.value, wanted)
            return (
                self._common(call) | {"list": found, "sorts": COLUMNS, "keep": _kept(call)} | more
            )

        return Page("listing.html", title, context)

    def day(self, branch: str, chosen: date, document: Document, call: Call) -> Page:
        """Show a day of a branch, with ways to the days around it."""
        days = {"earlier": chosen - timedelta(days=1), "later": chosen + timedelta(days=1)}
        title = f"{branch} on {chosen:%A}, {chosen}"
        return self.listing(title, document, call, branch=branch, days=days)

    def revision(self, branch: str, revision: str, document: Document, call: Call) -> Page:
        """Show a revision."""
        title = f"Revision {revision[:12]} on {branch}"
        return self.listing(title, document, call, branch=branch, revision=revision)

    def user(self, branch: str, user: str, document: Document, call: Call) -> Page:
        """Show what belongs to an author."""

        def context() -> dict[str, Any]:
            found = document.value
            items = [*found["running"], *found["pending"], *found["builds"]]
            return self._common(call) | {
                "list": shown(items, asked(call.query)),
                "sorts": COLUMNS,
                "keep": _kept(call),
                "branch": branch,
            }

        return Page("listing.html", f"{user} on {branch}", context)

    def thing(self, title: str, document: Document, call: Call, branch: str) -> Page:
        """Show one build or one request, with its properties."""

        def context() -> dict[str, Any]:
            item = document.value
            requests = item.get("requests", [item])
            one = row(item) if "requests" in item or not item["claimed_at"] else None
            return self._common(call) | {
                "item": item,
                "row": one,
                "requests": requests,
                "branch": branch,
            }

        return Page("thing.html", title, context)

    def jobs(self, document: Document, call: Call, num: int, offset: int) -> Page:
        """Show job requests."""

        def context() -> dict[str, Any]:
            return self._common(call) | {"jobs": document.value, "num": num, "offset": offset}

        return Page("jobs.html", "Job requests", context)

    def job(self, title: str, document: Document, call: Call) -> Page:
        """Show one job request."""
        return Page("job.html", title, lambda: self._common(call) | {"job": document.value})

    def builders(self, branch: str, document: Document, call: Call) -> Page:
        """Show the builders of a branch."""

        def context() -> dict[str, Any]:
            return self._common(call) | {"names": document.value, "branch": branch}

        return Page("builders.html", f"Builders of {branch}", context)

    def _common(self, call: Call) -> dict[str, Any]:
        return {
            "now": int(self.now()),
            "zone": self.zone,
            "who": call.who,
            "link_of": link_of,
            "days": None,
            "revision": "",
        }


COLUMNS: Mapping[str, str] = dict(
    zip(SORTS, ("State", "Builder", "Revision", "Submitted", "Started", "Took"), strict=True)
)


def _kept(call: Call) -> Sequence[tuple[str, str]]:
    """List what a form of the list must send along to stay where it is."""
    return [("date", call.query["date"][-1])] if call.query.get("date") else []


def link_of(asked: Asked, keep: Sequence[tuple[str, str]], **changes: Any) -> str:
    """Spell a link of a list to itself, changed."""
    kept = urlencode(list(keep))
    return "?" + "&".join(part for part in (kept, asked.link(**changes)) if part)
