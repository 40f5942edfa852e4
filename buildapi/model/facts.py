"""The facts read from the farm before a job request is decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from buildapi.model.records import BuildRequest, RequestBuild
from buildapi.model.steps import Sharer


@attrs.frozen
class RequestFacts:
    """A build request and all its builds (``tries``), oldest first.

    ``listed`` is whether the builders file lists the builder; None if there is no such file or it
    was never read.  ``sharers`` maps the id of each running build that serves several requests to
    all of them, this one included.  ``rebuild_refusal`` is why it may not be rebuilt, None if it
    may.  A dialect adds what else it needs in order to carry out the steps.
    """

    request: BuildRequest
    tries: Sequence[RequestBuild]
    listed: bool | None = None
    sharers: Mapping[int, Sequence[Sharer]] = attrs.field(factory=dict)
    rebuild_refusal: str | None = None

    def try_of(self, build_id: int) -> RequestBuild | None:
        """Return the build of the request with this id; None if there is none."""
        return next((t for t in self.tries if t.id == build_id), None)

    @property
    def running(self) -> Sequence[RequestBuild]:
        """List the builds that may be running: normally the last one at most.

        There are several if masters can claim one request twice, as those of Buildbot 0.8.2 can.
        """
        return [t for t in self.tries if t.finish_time is None and not t.left_over]


@attrs.frozen
class Subject:
    """What a job request is about: its build request and its revision, as far as it has any."""

    request_id: int | None = None
    revision: str | None = None


@attrs.frozen
class RevisionFacts:
    """The requests of a revision on a branch that are pending or may be running, oldest first.

    Their properties are not read.  ``between`` lists the stored revisions if several match; then
    ``requests`` is empty.
    """

    requests: Sequence[RequestFacts]
    between: Sequence[str] = ()


@attrs.frozen
class BranchFacts:
    """What new builds of a branch need to know.

    ``path`` is the repository path, ``repository`` the repository URL, ``builders`` are the names
    of all builders of the branch.  ``buildid`` and ``builduid`` are the properties of a build
    submitted now.  ``change_master`` is the ``db_name`` of the master that accepts changes.
    ``build_refusal`` is why its repository cannot be built, None if it can.
    """

    path: str
    repository: str | None
    builders: Sequence[str]
    buildid: str
    builduid: str
    change_master: str | None
    build_refusal: str | None = None


Facts = RequestFacts | RevisionFacts | BranchFacts | None
"""The facts an action needs; None if there is no such request, build or branch."""
