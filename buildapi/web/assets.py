"""Style sheet and scripts of the pages, shipped with the program."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import resources

import attrs

from buildapi.web.answers import entity_tag

TYPES = {"css": "text/css; charset=utf-8", "js": "text/javascript; charset=utf-8"}


@attrs.frozen
class File:
    """A file as it is sent."""

    name: str
    type: str
    body: bytes = attrs.field(repr=False)

    @property
    def etag(self) -> bytes:
        """Give its entity tag."""
        return entity_tag(self.body)

    @property
    def version(self) -> str:
        """Give what tells it from earlier ones of the same name."""
        return self.etag.decode().strip('W/"')[:8]


@cache
def files() -> Mapping[str, File]:
    """Read all files, by name."""
    folder = resources.files("buildapi.web") / "static"
    found = [f for f in folder.iterdir() if f.name.rpartition(".")[2] in TYPES]
    return {f.name: File(f.name, TYPES[f.name.rpartition(".")[2]], f.read_bytes()) for f in found}


def assets() -> Mapping[str, str]:
    """Give the path of each file below the mount, by its name."""
    return {name: f"/static/{name}?v={file.version}" for name, file in files().items()}
