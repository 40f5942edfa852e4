"""Which builders the words of the farm mean: PGO, nightly, what compiles, what is clobbered."""

from __future__ import annotations

import re

import attrs


@attrs.frozen
class Choice:
    """Builder names that match an expression as a whole and do not match another."""

    pattern: re.Pattern[str]
    exclude: re.Pattern[str] | None = None

    def takes(self, name: str) -> bool:
        """Tell whether a builder is one of these."""
        return bool(self.pattern.fullmatch(name)) and not self.excludes(name)

    def excludes(self, name: str) -> bool:
        """Tell whether a builder is left out."""
        return self.exclude is not None and bool(self.exclude.fullmatch(name))


@attrs.frozen
class Rules:
    """How this farm names its builders; ``clobber`` is None where nothing is clobbered."""

    pgo: Choice
    nightly: Choice
    builds: Choice
    clobber: Choice | None = None
