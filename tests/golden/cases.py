"""The recorded cases: what the old program was asked, what it answered and what it did."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

DATA = Path(__file__).parent / "data"


@attrs.frozen
class Case:
    """One recorded case; kept as text, since parsed ones would slow every test of a session."""

    name: str
    text: bytes = attrs.field(repr=False)

    @property
    def recorded(self) -> dict[str, Any]:
        """Parse it."""
        parsed: dict[str, Any] = json.loads(self.text)
        return parsed


def load(name: str) -> Any:
    """Parse a data file."""
    path = DATA / name
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        return json.load(file)


def read_cases() -> Sequence[Case]:
    """List the reads of self-serve."""
    return [_case(c) for c in load("get.json.gz") if c["group"] == "selfserve"]


def job_cases() -> Sequence[Case]:
    """List the job requests."""
    return [_case(c) for c in load("jobs.json.gz")]


def _case(recorded: dict[str, Any]) -> Case:
    return Case(recorded["name"], json.dumps(recorded).encode())


def epoch() -> int:
    """Return when it was recorded, in seconds since the epoch; the clock stood still."""
    return int(load("manifest.json")["_epoch"])
