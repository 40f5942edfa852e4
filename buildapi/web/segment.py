"""A segment of a path, as routes are written with it."""

from __future__ import annotations

from werkzeug.routing import BaseConverter

from buildapi.web.request import SLASH


class Segment(BaseConverter):
    """One path segment, which may hold an encoded slash."""

    def to_python(self, value: str) -> str:
        """Put the slash back."""
        return value.replace(SLASH, "/")
