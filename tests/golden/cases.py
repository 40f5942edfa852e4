"""The recorded cases: what the old program was asked, what it answered and what it did."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import attrs

DATA = Path(__file__).parent / "data"

NOT_YET = {
    "cancel_revision/*": "cancelling a whole revision is not there yet",
    "new_build_at_rev/*": "new builds of a revision are not there yet",
    "new_pgobuild_at_rev/*": "PGO builds of a revision are not there yet",
    "new_nightly_at_rev/*": "nightly builds of a revision are not there yet",
    "new_build_for_builder/*": "new builds of one builder are not there yet",
}
"""Recorded job requests whose actions come later; until then they are not replayed."""


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
    """List the job requests of the actions there are."""
    return [case for case in all_job_cases() if not is_later(case)]


def all_job_cases() -> Sequence[Case]:
    """List the job requests, those of later actions included."""
    return [_case(c) for c in load("jobs.json.gz")]


def is_later(case: Case) -> bool:
    """Tell whether the action of a job request is not there yet."""
    return any(fnmatchcase(case.name, pattern) for pattern in NOT_YET)


def _case(recorded: dict[str, Any]) -> Case:
    return Case(recorded["name"], json.dumps(recorded).encode())


def epoch() -> int:
    """Tell when it was recorded, in seconds since the epoch; the clock stood still."""
    return int(load("manifest.json")["_epoch"])
