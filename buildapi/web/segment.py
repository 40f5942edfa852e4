"""A segment of a path, as routes are written with it."""

from __future__ import annotations

from urllib.parse import quote

from werkzeug.routing import BaseConverter

SLASH = "\ue000"
"""Stands for an encoded slash between Twisted, which decodes segments, and the router."""


def segment(text: str) -> str:
    """Write a text as one segment of a path."""
    return quote(text, safe="", errors="replace")


class Segment(BaseConverter):
    """One path segment, which may hold an encoded slash."""

    def to_python(self, value: str) -> str:
        """Put the slash back."""
        return value.replace(SLASH, "/")
