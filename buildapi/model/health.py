"""How the parts of the program are."""

from __future__ import annotations

import attrs


@attrs.frozen
class Health:
    """One part: whether it works as far as is known, and what there is to say of it."""

    name: str
    ok: bool
    detail: str
