"""Job requests for revisions: new builds, and the cancel of everything open."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import attrs

from buildapi.errors import BadRequest, Unavailable
from buildapi.interfaces import Builds, Directory
from buildapi.model.actions import (
    SELF_SERVE,
    Action,
    CancelRevision,
    NewBuild,
    NewBuilderBuild,
    NewNightly,
    NewPGOBuild,
)
from buildapi.model.branches import Branch
from buildapi.model.revisions import RevisionMatch, ambiguity, distinct, short_revision
from buildapi.model.validators import InvalidValueError
from buildapi.parameters.job_parameters import (
    BUILDER,
    EXCLUDE_BUILDS,
    FILES,
    IGNORED_PRIORITY,
    ONLY,
    PRIORITY,
    PROPERTIES,
    REASON,
)
from buildapi.web.http.call import Call
from buildapi.web.http.deadline import Deadline
from buildapi.web.selfserve.job_routes import CheckedRequest, JobRoute
from buildapi.web.selfserve.reads import BUILDERS_DAYS

T = TypeVar("T")

REV = "/self-serve/{branch}/rev/{revision}"
OF_BUILDER = "/self-serve/{branch}/builders/{builder}/{revision}"

WHOLE = 40
"""Digits of a full hash in Mercurial and Git."""


OF_ONE_PARAMS = (PRIORITY, PROPERTIES, FILES)


@attrs.define
class RevisionActions:
    """Check these job requests; ``now`` returns seconds since the epoch.

    ``looking`` bounds the time to look up a builder or a revision.
    """

    _builds: Builds
    _directory: Directory
    _now: Callable[[], float]
    _looking: Deadline

    def routes(self) -> Sequence[JobRoute]:
        """List the routes."""
        cancel = JobRoute("DELETE", REV, self.cancel, CANCEL, CancelRevision.name, CANCEL_PARAMS)
        return (cancel, *self.new_builds().values())

    def new_builds(self) -> Mapping[str, JobRoute]:
        """Return the routes of new builds by the kind of builds that people choose in a form."""
        found = (
            ("build", NewBuild, REV, self.build, BUILD, (IGNORED_PRIORITY,)),
            ("pgo", NewPGOBuild, f"{REV}/pgo", self.pgo, PGO, (PRIORITY,)),
            ("nightly", NewNightly, f"{REV}/nightly", self.nightly, NIGHTLY, (PRIORITY,)),
            ("builder", NewBuilderBuild, OF_BUILDER, self.builder, OF_ONE, OF_ONE_PARAMS),
        )
        return {
            # Some clients of these four take any status but 202 for a failure, so HTML is not
            # redirected.
            kind: JobRoute("POST", path, check, summary, action.name, params, followed=False)
            for kind, action, path, check, summary, params in found
        }

    async def cancel(self, call: Call, branch: Branch) -> CheckedRequest:
        """Check the cancel of everything open of a revision."""
        revision = call.path["revision"]
        # A revision of which nothing is stored is no error here, as in the Pylons program.
        full = await self._full(branch, revision)
        action = _valid(
            lambda: CancelRevision(
                branch.name,
                # Agents of the Pylons program compare the beginning of stored revisions
                # (docs/amqp.md, "requests"): twelve digits match what they always did.
                short_revision(revision),
                only=ONLY.of(call),
                builders=BUILDER.of(call),
                exclude_builds=EXCLUDE_BUILDS.of(call),
                reason=REASON.of(call),
                full_revision=full,
            )
        )
        return CheckedRequest(action, f"Cancel of revision {revision} on {branch.name}")

    async def build(self, call: Call, branch: Branch) -> CheckedRequest:
        """Check a new build of everything that is scheduled for a revision."""
        revision = call.path["revision"]
        action = _valid(lambda: NewBuild(branch.name, revision))
        return await self._new("New build", action, branch, revision)

    async def pgo(self, call: Call, branch: Branch) -> CheckedRequest:
        """Check new PGO builds of a revision."""
        revision, priority = call.path["revision"], PRIORITY.of(call)
        action = _valid(lambda: NewPGOBuild(branch.name, revision, priority))
        return await self._new("PGO builds", action, branch, revision)

    async def nightly(self, call: Call, branch: Branch) -> CheckedRequest:
        """Check new nightly builds of a revision."""
        revision, priority = call.path["revision"], PRIORITY.of(call)
        action = _valid(lambda: NewNightly(branch.name, revision, priority))
        return await self._new("Nightly builds", action, branch, revision)

    async def _new(
        self, what: str, action: Action, branch: Branch, revision: str
    ) -> CheckedRequest:
        await self._decided(branch, revision)
        return CheckedRequest(action, f"{what} of revision {revision} on {branch.name}")

    async def builder(self, call: Call, branch: Branch) -> CheckedRequest:
        """Check a new build of one builder."""
        revision = call.path["revision"]
        name = call.path["builder"]
        action = _valid(
            lambda: NewBuilderBuild(
                # Tests find their files in a change on this branch (docs/api.md, "New builds").
                branch=branch.name + SELF_SERVE,
                revision=revision,
                builder_name=name,
                priority=PRIORITY.of(call),
                properties=PROPERTIES.of(call),
                files=tuple(FILES.of(call)),
            )
        )
        # After _valid(): a name that is not ASCII could not be one of a builder's, and needs no
        # query.
        await self._know(name)
        await self._decided(branch, revision)
        words = f"New build of {name} at revision {revision}"
        return CheckedRequest(action, words, builders=(name,))

    async def _decided(self, branch: Branch, revision: str) -> None:
        """Refuse the beginning of a hash that fits two revisions; a full hash never does."""
        if len(revision) < WHOLE:
            await self._full(branch, revision)

    async def _full(self, branch: Branch, revision: str) -> str:
        """Return the full hash if it decides which revision is meant, else "".

        If the database does not respond, the agent decides later by the same rule.

        :raises BadRequest: it fits several revisions.
        """
        wanted = RevisionMatch(revision)
        if wanted.prefix is None:
            return ""
        try:
            stored = await self._looking.bound(self._builds.revisions(branch, wanted))
        except Unavailable:
            return ""
        _, between = wanted.choose(stored, str)
        if between:
            raise BadRequest(f"{ambiguity(revision, between)}; give more characters")
        return revision if len(distinct(stored)) > 1 else ""

    async def _know(self, builder: str) -> None:
        """Refuse an unknown builder: Buildbot leaves its request pending for ever."""
        if self._is_listed(builder):
            return
        since = int(self._now()) - BUILDERS_DAYS * 86400
        if not await self._looking.bound(self._builds.has_builder(builder, since)):
            raise BadRequest(
                f"Unknown builder {builder}: the farm does not list it, and it had no request in"
                f" the last {BUILDERS_DAYS} days"
            )

    def _is_listed(self, builder: str) -> bool:
        try:
            builders = self._directory.builders()
        except Unavailable:  # not read yet; builders with requests are still found
            return False
        return builders is not None and builder in builders


def _valid(make: Callable[[], T]) -> T:
    try:
        return make()
    except InvalidValueError as e:
        # A non-ASCII branch, revision or property name in the database stops a whole builder of
        # Buildbot 0.8, on every master: such a job is refused before it is recorded.
        name = e.field if e.field.isidentifier() else "properties"
        raise BadRequest(f"Bad {PARAMETERS.get(name, name)}: {e}") from e


PARAMETERS = {"builders": "builder"}
"""Parameter names that differ from the field they fill."""


CANCEL_PARAMS = (ONLY, BUILDER, EXCLUDE_BUILDS, REASON)
CANCEL = "Cancel all pending requests of a revision, and stop its running builds."
BUILD = "Submit all scheduled builds of a revision."
PGO = "Submit the PGO builds of a revision."
NIGHTLY = "Submit the nightly builds of a revision."
OF_ONE = "Submit a build of one builder at a revision."
