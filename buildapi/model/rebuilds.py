"""Rebuilds: which new request was submitted for which old build or request, by which job."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

OF_BUILD, OF_REQUEST = "build", "request"

REBUILDS_MAX = 100
"""Maximum number of new requests that are listed of one old build or request."""


@attrs.frozen
class RebuildOrigin:
    """The old build or request that a job rebuilds; ``kind`` is ``OF_BUILD`` or ``OF_REQUEST``."""

    kind: str
    id: int


@attrs.frozen
class Rebuild:
    """A new request, the build or request that it is a rebuild of, and the job that asked."""

    origin: RebuildOrigin
    request_id: int
    job_id: int


@attrs.frozen
class RebuildLinks:
    """The rebuilds of a build or request, newest first, and what it is itself a rebuild of."""

    rebuilds: Sequence[Rebuild] = ()
    origins: Sequence[Rebuild] = ()
