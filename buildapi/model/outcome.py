"""What became of a job request: one entry per thing it touched."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was done to one thing and what was seen afterwards.

    ``state`` is one of ``done``, ``nothing`` (there was nothing to do), ``unconfirmed`` (asked
    for, not seen to happen), ``failed``.  The ids say which thing; ``detail`` says it in words.
    """

    state: str
    detail: str
    request_id: int | None = None
    build_id: int | None = None
    buildset_id: int | None = None
    master: str | None = None


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """Answer a job request: the texts older clients read, and an item per thing touched.

    ``warnings`` are what was known beforehand and may surprise whoever asked.
    """

    errors: bool
    msg: str
    items: Sequence[Item] = ()
    warnings: Sequence[str] = ()
