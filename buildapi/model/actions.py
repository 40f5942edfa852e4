"""The actions that a job request can ask for: one class each, valid by construction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from buildapi.model import validators
from buildapi.model.revisions import RevisionMatch, short_revision
from buildapi.model.validators import (
    INT32_MAX,
    INT32_MIN,
    NAME_MAX,
    InvalidValueError,
    ascii_name,
    whole,
)

ID_MAX = INT32_MAX
COUNT_MAX = 1000
"""Upper bound of ``[limits] count``: rebuilds that one job request may ask for."""

REVISION_LEAST = 4
"""Characters of the shortest revision that a cancel may name.

Agents of the Pylons program cancel every revision that begins with it.
"""

SELF_SERVE = "-selfserve"
"""Suffix of the branch of a new build of one builder, and of the change made for it."""

ONLY = ("pending", "running")

_id = whole(1, ID_MAX)
_priority = whole(INT32_MIN, INT32_MAX)
_count = whole(1, COUNT_MAX)
ADDED = {"added": True}
"""Metadata of fields that older programs do not know: empty ones are left out of messages."""


@attrs.frozen
class Reprioritize:
    """Change the priority of a pending build request; higher runs earlier."""

    name: ClassVar[str] = "reprioritize"
    brid: int = attrs.field(validator=_id)
    priority: int = attrs.field(validator=_priority)


@attrs.frozen
class CancelRequest:
    """Cancel a pending build request, or stop the builds of a claimed one."""

    name: ClassVar[str] = "cancel_request"
    brid: int = attrs.field(validator=_id)


@attrs.frozen
class CancelBuild:
    """Stop a running build."""

    name: ClassVar[str] = "cancel_build"
    bid: int = attrs.field(validator=_id)


@attrs.frozen
class RebuildBuild:
    """Submit ``count`` copies of the build request that a build was for."""

    name: ClassVar[str] = "rebuild_build"
    bid: int = attrs.field(validator=_id)
    priority: int = attrs.field(default=0, validator=_priority)
    count: int = attrs.field(default=1, validator=_count)


@attrs.frozen
class RebuildRequest:
    """Submit ``count`` copies of a build request."""

    name: ClassVar[str] = "rebuild_request"
    brid: int = attrs.field(validator=_id)
    priority: int = attrs.field(default=0, validator=_priority)
    count: int = attrs.field(default=1, validator=_count)


def _only(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if value is not None and value not in ONLY:
        raise InvalidValueError(attribute.name, " or ".join(ONLY))


def _flag(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not isinstance(value, bool):
        raise InvalidValueError(attribute.name, "true or false")


def _longer(instance: Any, attribute: attrs.Attribute[Any], value: str) -> None:
    """Require a whole revision with the same short form.

    Agents that do not know ``full_revision`` would cancel another revision otherwise.
    """
    if value and short_revision(value) != short_revision(instance.revision):
        raise InvalidValueError(attribute.name, "the revision and more of it")


@attrs.frozen
class CancelRevision:
    """Cancel the pending requests of a revision on a branch, and stop its running builds.

    ``revision`` has no more digits of a hash than all agents compare; ``full_revision`` is what the
    client sent, where the other digits decide.  ``only`` restricts the cancel to pending requests
    or to running builds; ``builders`` are glob patterns of builder names (none: all);
    ``exclude_builds`` spares compile builders; ``reason`` is shown with the stopped builds.
    """

    name: ClassVar[str] = "cancel_revision"
    branch: str = attrs.field(validator=validators.text(1, NAME_MAX))
    # Not ascii_name: a cancel stores neither branch nor revision in the scheduler database.
    revision: str = attrs.field(validator=validators.text(REVISION_LEAST, NAME_MAX))
    only: str | None = attrs.field(default=None, validator=_only, metadata=ADDED)
    builders: tuple[str, ...] = attrs.field(
        default=(), converter=validators.listed, validator=validators.globs, metadata=ADDED
    )
    exclude_builds: bool = attrs.field(default=False, validator=_flag, metadata=ADDED)
    reason: str = attrs.field(default="", validator=validators.text(0, 200), metadata=ADDED)
    full_revision: str = attrs.field(
        default="", validator=[validators.text(0, NAME_MAX), _longer], metadata=ADDED
    )

    @property
    def wanted(self) -> RevisionMatch:
        """Return the match of the stored revisions that the cancel is for."""
        return RevisionMatch(self.full_revision or self.revision)


@attrs.frozen
class NewBuild:
    """Send a master a change of this revision; its schedulers decide what to build."""

    # No priority: that of the request is ignored [docs/compatibility.md, "Bots and scripts"].
    name: ClassVar[str] = "new_build_at_revision"
    branch: str = attrs.field(validator=ascii_name)
    revision: str = attrs.field(validator=ascii_name)


@attrs.frozen
class NewPGOBuild:
    """Submit build requests for the PGO builders of a branch, at a revision."""

    name: ClassVar[str] = "new_pgobuild_at_revision"
    branch: str = attrs.field(validator=ascii_name)
    revision: str = attrs.field(validator=ascii_name)
    priority: int = attrs.field(default=0, validator=_priority)


@attrs.frozen
class NewNightly:
    """Submit build requests for the nightly builders of a branch, at a revision."""

    name: ClassVar[str] = "new_nightly_at_revision"
    branch: str = attrs.field(validator=ascii_name)
    revision: str = attrs.field(validator=ascii_name)
    priority: int = attrs.field(default=0, validator=_priority)


def _self_serve(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    """Require the suffix that keeps the change away from the schedulers of the branch."""
    if not value.removesuffix(SELF_SERVE) or not value.endswith(SELF_SERVE):
        raise InvalidValueError(attribute.name, f"the name of a branch followed by {SELF_SERVE}")


@attrs.frozen
class NewBuilderBuild:
    """Submit a build request for one builder; ``branch`` ends with :data:`SELF_SERVE`.

    ``files`` become the files of the change; test builders read there what to install.
    """

    name: ClassVar[str] = "new_build_for_builder"
    branch: str = attrs.field(validator=[ascii_name, _self_serve])
    revision: str = attrs.field(validator=ascii_name)
    builder_name: str = attrs.field(validator=ascii_name)
    priority: int = attrs.field(default=0, validator=_priority)
    properties: Mapping[str, object] = attrs.field(factory=dict, validator=validators.properties)
    files: tuple[str, ...] = attrs.field(
        default=(), converter=validators.listed, validator=validators.files
    )

    @property
    def short_branch(self) -> str:
        """Return the branch without :data:`SELF_SERVE`."""
        return self.branch.removesuffix(SELF_SERVE)


OfRequest = Reprioritize | CancelRequest | CancelBuild | RebuildBuild | RebuildRequest
OfRevision = CancelRevision | NewBuild | NewPGOBuild | NewNightly | NewBuilderBuild
Action = OfRequest | OfRevision

ACTIONS: dict[str, type[Action]] = {
    cls.name: cls
    for cls in (
        Reprioritize,
        CancelRequest,
        CancelBuild,
        RebuildBuild,
        RebuildRequest,
        CancelRevision,
        NewBuild,
        NewPGOBuild,
        NewNightly,
        NewBuilderBuild,
    )
}

OLD_WIDTH = 20
"""Characters of ``jobrequests.action`` in old tables, which cut longer names."""

_CUT = {name[:OLD_WIDTH]: name for name in ACTIONS}


# Both forms are in use [docs/amqp.md, "requests"].
def full_name(stored: str) -> str:
    """Return the whole name of an action that an old table may have cut."""
    return _CUT.get(stored, stored)


def builds_asked(name: str, what: Mapping[str, object]) -> int:
    """Count the builds that a job request asks for; ``what`` is the stored body of the action.

    A new build, PGO or nightly build of a revision counts as one: the agent decides later how many
    builders it means.  Actions that ask for no build count as 0.
    """
    if name not in ASKING:
        return 0
    count = what.get("count", 1)
    # Rows of other programs may hold anything, true as well.
    return count if type(count) is int and count > 0 else 1


ASKING = frozenset(
    action.name
    for action in (
        RebuildBuild,
        RebuildRequest,
        NewBuild,
        NewPGOBuild,
        NewNightly,
        NewBuilderBuild,
    )
)
"""Names of the actions that ask for builds."""
