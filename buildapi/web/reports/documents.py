"""Types of the JSON documents of reports: what is returned, and what is documented.

Keys are only ever added: programs read the others [docs/compatibility.md].
"""

from __future__ import annotations

from typing import TypedDict


class ReportListDocument(TypedDict):
    """The paths of the reports by their titles."""

    reports: dict[str, str]
