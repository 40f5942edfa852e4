"""Tell clients of a part of a list where the next one is, and how long the list is, in headers."""

from __future__ import annotations

from urllib.parse import urlencode

import attrs

from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody


@attrs.frozen
class ListPart:
    """A part of a list: ``shown`` entries, at most ``limit`` (None: all), after ``offset``."""

    limit: int | None
    offset: int
    shown: int

    @property
    def may_go_on(self) -> bool:
        """Return whether there may be another part: this one is full.

        To read one entry more, to know it, could exceed the rows that a read may take.
        """
        return self.limit is not None and 0 < self.limit <= self.shown

    @property
    def total(self) -> int | None:
        """Return the length of the list; None if this part does not show it."""
        if self.may_go_on or self.limit == 0 or (self.offset and not self.shown):
            return None
        return self.offset + self.shown

    def headers(self, call: Call) -> dict[str, str]:
        """Return the headers of an answer with it: ``Link`` to the next part, ``X-Total-Count``."""
        found = {} if self.total is None else {"x-total-count": str(self.total)}
        if self.may_go_on:
            query = {**call.query, "offset": [str(self.offset + self.shown)]}
            # [RFC 8288, 3]; what the client sent is percent-encoded, so that it ends no URI.
            target = f"{call.mount}{call.here}?{urlencode(query, doseq=True)}"
            found["link"] = f'<{target}>; rel="next"'
        return found


def part_in(document: JSONBody) -> ListPart:
    """Return the part of a list that a document has, which was kept with it as ``part``."""
    return document.once("part", _no_part)


def _no_part() -> ListPart:
    raise LookupError("the document of a list has no part")
