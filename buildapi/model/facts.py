"""What must be known to decide about a job request."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from buildapi.model.records import BuildRequest, Try, is_left_over
from buildapi.model.steps import Sharer


@attrs.frozen
class RequestFacts:
    """A request, the buildset it belongs to, and every try at it, oldest first.

    ``properties`` are pairs of name and stored text.  ``listed`` is whether the builders file has
    its builder, None where there is no such file or it was never read.  ``sharers`` are all
    requests of each running build that serves several, this one too, by the id of the build.
    """

    request: BuildRequest
    sourcestampid: int
    external_idstring: str | None
    properties: Sequence[tuple[str, str]]
    tries: Sequence[Try]
    listed: bool | None = None
    sharers: Mapping[int, Sequence[Sharer]] = attrs.field(factory=dict)

    def try_of(self, build_id: int) -> Try | None:
        """Find a try by its build id."""
        return next((t for t in self.tries if t.id == build_id), None)

    @property
    def running(self) -> Sequence[Try]:
        """List the tries that may be running.

        Normally the last one.  A row without end is left over from a master that was killed
        where a later one has the same number, or began so much later that the claim had lapsed;
        one beside it with another number is a double claim.
        """
        return [
            t
            for i, t in enumerate(self.tries)
            if t.finish_time is None and not is_left_over(t, self.tries[i + 1 :])
        ]


@attrs.frozen
class RevisionFacts:
    """The requests of a revision on its branch that are pending or may be running, oldest first.

    Their properties are not read.  ``between`` are the stored revisions of which it is not told
    which one is meant; then there are no requests.
    """

    requests: Sequence[RequestFacts]
    between: Sequence[str] = ()


@attrs.frozen
class BranchFacts:
    """What new builds of a branch are made of.

    ``path`` is the path of its repository, ``repository`` its URL where it has one, ``builders``
    are the names of all its builders.  ``buildid`` and ``builduid`` are for builds made now.
    ``change_master`` is the ``db_name`` of the master that takes changes.
    """

    path: str
    repository: str | None
    builders: Sequence[str]
    buildid: str
    builduid: str
    change_master: str | None


Known = RequestFacts | RevisionFacts | BranchFacts | None
"""What an action needs to know; None: there is no such request, build or branch."""
