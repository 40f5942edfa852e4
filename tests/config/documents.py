"""Documents for tests of the configuration."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from buildapi.config import Config, from_mapping
from buildapi.errors import ConfigError

PASSWORD = "s3:cr/t@ %41pw"

Document = dict[str, Any]


FARM: Document = {"directory": {"branches": "branches.json", "masters": "masters.json"}}


def read(folder: Path, document: Document, environ: Mapping[str, str] | None = None) -> Config:
    return from_mapping(document, file=folder / "b.toml", environ=environ or {})


def farm_with(document: Document) -> Document:
    """Merge a document into that of a small farm, table by table."""
    return FARM | {
        name: FARM.get(name, {}) | table if isinstance(table, dict) else table
        for name, table in document.items()
    }


def refused(folder: Path, document: Document, environ: Mapping[str, str] | None = None) -> str:
    """Read a document that is wrong; give the errors without the file's name."""
    with pytest.raises(ConfigError) as caught:
        read(folder, document, environ)
    lines = str(caught.value).split("\n")
    start = f"{folder / 'b.toml'}: "
    assert all(line.startswith(start) for line in lines), lines
    return "\n".join(line.removeprefix(start) for line in lines)
