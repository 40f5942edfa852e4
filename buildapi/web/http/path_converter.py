"""Path segments that may hold an encoded slash."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import quote

from werkzeug.routing import BaseConverter

# A private-use character, which is in no name. Klein joins decoded segments with slashes
# [KleinResource.render]: an encoded one could not be told from these.
SLASH = "\ue000"
"""Placeholder for ``%2F`` between Twisted, which decodes segments, and the router."""


@lru_cache(maxsize=4096)  # a list has its branch and a few revisions in hundreds of links
def segment(text: str) -> str:
    """Percent-encode a text as one path segment."""
    return quote(text, safe="", errors="replace")


class Segment(BaseConverter):
    """One path segment, which may hold an encoded slash."""

    def to_python(self, value: str) -> str:
        """Replace the placeholder by the slash."""
        return value.replace(SLASH, "/")
