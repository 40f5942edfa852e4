"""Where masters show their builds, and how they are called in little space."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

import attrs


@attrs.frozen
class MasterPages:
    """The pages of a master, below ``url``."""

    url: str

    @property
    def label(self) -> str:
        """Name it: the first label of its host, and its port."""
        parts = urlsplit(self.url)
        host = parts.hostname or ""
        is_name = host.rpartition(".")[2].isalpha()
        return f"{host.partition('.')[0] if is_name else host}:{parts.port}"

    def build(self, builder: str, number: int) -> str:
        """Give the page of a build."""
        return f"{self.url}builders/{quote(builder, safe='', errors='replace')}/builds/{number}"


def masters(urls: Mapping[str, str | None]) -> Mapping[str, MasterPages]:
    """Give the pages of each master that has any, by the name that claims carry."""
    return {name: MasterPages(url) for name, url in urls.items() if url}
