"""A folder with what a configuration names."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.services.certificates import authority

_, CERTIFICATE = authority("Farm")


@pytest.fixture
def farm(tmp_path: Path) -> Path:
    """Return a folder with the files a configuration of a farm may name."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "scheduler.sqlite").touch()
    (tmp_path / "branches.json").write_text("{}")
    (tmp_path / "masters.json").write_text("[]")
    (tmp_path / "ca.pem").write_bytes(CERTIFICATE)
    return tmp_path
