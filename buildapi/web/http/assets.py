"""Serve the style sheet and the scripts of the pages, which are part of the package.

Modules import each other by relative URLs, which have no query: their version, one for all of them,
is a folder.  So a page never runs modules of two versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable

import attrs

from buildapi.web.http.json_body import entity_tag

TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}
STATIC = resources.files("buildapi.web") / "static"


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
    return _files_in(STATIC)


@cache
def modules() -> Mapping[str, File]:
    """Read all modules of the pages once; return them by name."""
    return _files_in(STATIC / "scripts")


@cache
def modules_version() -> str:
    """Return 8 characters that change with the content of any module."""
    parts = [f"{name} {file.version}" for name, file in sorted(modules().items())]
    return File("", "", "\n".join(parts).encode()).version


@cache
def assets() -> Mapping[str, str]:
    """Return the versioned path of each file below the mount prefix, by file name."""
    return {name: f"/static/{name}?v={file.version}" for name, file in files().items()}


@cache
def module_paths() -> Mapping[str, str]:
    """Return the versioned path of each module below the mount prefix, by file name."""
    return {name: f"/static/scripts/{modules_version()}/{name}" for name in sorted(modules())}


def _files_in(folder: Traversable) -> Mapping[str, File]:
    found = [f for f in folder.iterdir() if f.name.rpartition(".")[2] in TYPES]
    return {f.name: File(f.name, TYPES[f.name.rpartition(".")[2]], f.read_bytes()) for f in found}
