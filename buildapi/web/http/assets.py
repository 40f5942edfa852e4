"""Serve the style sheet and the scripts of the pages, which are part of the package."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

import attrs

from buildapi.web.http.json_body import entity_tag

TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}


@attrs.frozen
class File:
    """A file to send: its name, media type and content."""

    name: str
    type: str
    body: bytes = attrs.field(repr=False)

    @property
    def etag(self) -> bytes:
        """Return the entity tag of the file."""
        return entity_tag(self.body)

    @property
    def version(self) -> str:
        """Return 8 characters that change with the content, for the URL of the file."""
        return self.etag.decode().strip('W/"')[:8]


@cache
def files() -> Mapping[str, File]:
    """Read all files of the package once; return them by name."""
    folder = resources.files("buildapi.web") / "static"
    found = [f for f in folder.iterdir() if f.name.rpartition(".")[2] in TYPES]
    return {f.name: File(f.name, TYPES[f.name.rpartition(".")[2]], f.read_bytes()) for f in found}


@cache
def assets() -> Mapping[str, str]:
    """Return the versioned path of each file below the mount prefix, by file name."""
    return {name: f"/static/{name}?v={file.version}" for name, file in files().items()}
