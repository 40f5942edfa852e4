"""The outcome of a job request: one item per object it touched."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec


class Item(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the job did to one object, with the effect observed afterwards.

    ``state`` is one of ``done``, ``nothing`` (there was nothing to do), ``unconfirmed`` (asked
    for, effect not observed), ``failed``.  The ids name the object; ``detail`` is a sentence.
    """

    state: str
    detail: str
    request_id: int | None = None
    build_id: int | None = None
    buildset_id: int | None = None
    master: str | None = None


class Outcome(msgspec.Struct, frozen=True, omit_defaults=True):
    """The outcome: ``errors`` and ``msg``, which older clients read, and an item per object.

    ``warnings`` are known before the job is executed and may surprise its user.
    """

    errors: bool
    msg: str
    items: Sequence[Item] = ()
    warnings: Sequence[str] = ()
