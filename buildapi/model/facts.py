"""What must be known to decide about a job request."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from buildapi.model.records import BuildRequest, Try


@attrs.frozen
class RequestFacts:
    """A request, the buildset it belongs to, and every try at it, oldest first.

    ``properties`` are pairs of name and stored text.
    """

    request: BuildRequest
    sourcestampid: int
    external_idstring: str | None
    properties: Sequence[tuple[str, str]]
    tries: Sequence[Try]

    def try_of(self, build_id: int) -> Try | None:
        """Find a try by its build id."""
        return next((t for t in self.tries if t.id == build_id), None)

    @property
    def running(self) -> Sequence[Try]:
        """List the tries that may be running.

        Normally the last one.  A row without end that has a later one with the same number is
        left over from a master that was killed; one with another number is a double claim.
        """
        open_tries = [t for t in self.tries if t.finish_time is None]
        return [t for i, t in enumerate(open_tries) if not _taken_over(t, open_tries[i + 1 :])]


def _taken_over(old: Try, later: Sequence[Try]) -> bool:
    return any(t.number == old.number for t in later)
