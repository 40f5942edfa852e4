"""URLs of build pages on the masters, and short labels of masters."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

import attrs


@attrs.frozen
class MasterLinks:
    """The web pages of a master; ``url`` is their root and ends with a slash."""

    url: str

    @property
    def label(self) -> str:
        """Return a short name: the first label of the host, and the port."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        # The first label of an IP address would say nothing.
        is_name = host.rpartition(".")[2].isalpha()
        return f"{host.partition('.')[0] if is_name else host}:{parts.port}"

    def build(self, builder: str, number: int) -> str:
        """Return the URL of a build's page.

        Slashes and blanks are percent-encoded: Buildbot's WebStatus answers 404 to ``/`` and ``+``.
        """
        return f"{self.url}builders/{quote(builder, safe='', errors='replace')}/builds/{number}"

    def log(self, builder: str, number: int, step: str) -> str:
        """Return the URL of the log of a step."""
        quoted = quote(step, safe="", errors="replace")
        return f"{self.build(builder, number)}/steps/{quoted}/logs/stdio"


def masters(urls: Mapping[str, str | None]) -> Mapping[str, MasterLinks]:
    """Return the pages of each master that has any, by ``claimed_by_name``."""
    return {name: MasterLinks(url) for name, url in urls.items() if url}
