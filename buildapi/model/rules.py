"""Choose PGO, nightly, compile and clobbered builders by their names."""

from __future__ import annotations

import re

import attrs


@attrs.frozen
class Choice:
    """Accept builder names that match ``pattern`` as a whole and do not match ``exclude``."""

    pattern: re.Pattern[str]
    exclude: re.Pattern[str] | None = None

    def takes(self, name: str) -> bool:
        """Return whether a builder is chosen."""
        # Whole names [docs/configuration.md, "[builders]"].
        return bool(self.pattern.fullmatch(name)) and not self.excludes(name)

    def excludes(self, name: str) -> bool:
        """Return whether ``exclude`` matches a builder name as a whole."""
        return self.exclude is not None and bool(self.exclude.fullmatch(name))


@attrs.frozen
class Rules:
    """How this farm names its builders; ``clobber`` is None if nothing is clobbered."""

    pgo: Choice
    nightly: Choice
    builds: Choice
    clobber: Choice | None = None
