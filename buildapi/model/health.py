"""The health of the services of this process."""

from __future__ import annotations

import attrs


@attrs.frozen
class Health:
    """The health of one service; ``detail`` is a sentence for people."""

    name: str
    ok: bool
    detail: str
