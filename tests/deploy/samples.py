"""The files of ``deploy/``, changed only in what differs from host to host."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

DEPLOY = Path(__file__).parents[2] / "deploy"


def sample(name: str, changes: Mapping[str, str]) -> str:
    """Return the text of a sample with texts replaced, each of which must be there."""
    text = (DEPLOY / name).read_text()
    for old, new in changes.items():
        assert old in text, f"{name} holds no {old!r}"
        text = text.replace(old, new)
    return text
