"""Store job requests in SQL: the jobs themselves, their keys, their progress, and finding them."""

from __future__ import annotations

from buildapi.db.jobstore.store import SQLJobStore

__all__ = ["SQLJobStore"]
