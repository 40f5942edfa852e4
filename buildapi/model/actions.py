"""Job requests: one class per action, valid by construction."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import attrs

from buildapi.model import values
from buildapi.model.revisions import RevisionMatch, short_revision
from buildapi.model.values import (
    INT32_MAX,
    INT32_MIN,
    NAME_MAX,
    InvalidValueError,
    ascii_name,
    whole,
)

ID_MAX = INT32_MAX
COUNT_MAX = 1000
"""No configuration allows more rebuilds at once than this."""

REVISION_LEAST = 4
"""Characters of the shortest revision that a cancel may name.

Agents of the old program cancel what begins so.
"""

SELF_SERVE = "-selfserve"
"""Ends the branch of a new build of one builder, and of the change made for it."""

ONLY = ("pending", "running")

_id = whole(1, ID_MAX)
_priority = whole(INT32_MIN, INT32_MAX)
_count = whole(1, COUNT_MAX)
ADDED = {"added": True}
"""Marks fields older programs do not know: left out of messages where they say nothing."""


@attrs.frozen
class Reprioritize:
    """Give a pending request another priority; higher runs earlier."""

    name: ClassVar[str] = "reprioritize"
    brid: int = attrs.field(validator=_id)
    priority: int = attrs.field(validator=_priority)


@attrs.frozen
class CancelRequest:
    """Drop a pending request, or stop the builds of a claimed one."""

    name: ClassVar[str] = "cancel_request"
    brid: int = attrs.field(validator=_id)


@attrs.frozen
class CancelBuild:
    """Stop a running build."""

    name: ClassVar[str] = "cancel_build"
    bid: int = attrs.field(validator=_id)


@attrs.frozen
class RebuildBuild:
    """Ask for what a build built once more, ``count`` times."""

    name: ClassVar[str] = "rebuild_build"
    bid: int = attrs.field(validator=_id)
    priority: int = attrs.field(default=0, validator=_priority)
    count: int = attrs.field(default=1, validator=_count)


@attrs.frozen
class RebuildRequest:
    """Ask for what a request asked for once more, ``count`` times."""

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
    """Keep agents that do not know the whole revision from cancelling another one."""
    if value and short_revision(value) != short_revision(instance.revision):
        raise InvalidValueError(attribute.name, "the revision and more of it")


@attrs.frozen
class CancelRevision:
    """Drop all pending requests of a revision on a branch, and stop its running builds.

    ``revision`` has no more of a hash than all agents compare; ``full_revision`` is what was asked
    for where the rest of it decides.  ``only`` leaves out what is running, or pending;
    ``builders`` are patterns of the names to cancel (none: all); ``exclude_builds`` leaves out
    what compiles; ``reason`` is shown with the stopped builds.
    """

    name: ClassVar[str] = "cancel_revision"
    branch: str = attrs.field(validator=values.text(1, NAME_MAX))
    revision: str = attrs.field(validator=values.text(REVISION_LEAST, NAME_MAX))
    only: str | None = attrs.field(default=None, validator=_only, metadata=ADDED)
    builders: tuple[str, ...] = attrs.field(
        default=(), converter=values.listed, validator=values.globs, metadata=ADDED
    )
    exclude_builds: bool = attrs.field(default=False, validator=_flag, metadata=ADDED)
    reason: str = attrs.field(default="", validator=values.text(0, 200), metadata=ADDED)
    full_revision: str = attrs.field(
        default="", validator=[values.text(0, NAME_MAX), _longer], metadata=ADDED
    )

    @property
    def wanted(self) -> RevisionMatch:
        """Return which revisions it means."""
        return RevisionMatch(self.full_revision or self.revision)


@attrs.frozen
class NewBuild:
    """Tell the schedulers of a change with this revision."""

    name: ClassVar[str] = "new_build_at_revision"
    branch: str = attrs.field(validator=ascii_name)
    revision: str = attrs.field(validator=ascii_name)


@attrs.frozen
class NewPGOBuild:
    """Ask for the PGO builds of a revision."""

    name: ClassVar[str] = "new_pgobuild_at_revision"
    branch: str = attrs.field(validator=ascii_name)
    revision: str = attrs.field(validator=ascii_name)
    priority: int = attrs.field(default=0, validator=_priority)


@attrs.frozen
class NewNightly:
    """Ask for the nightly builds of a revision."""

    name: ClassVar[str] = "new_nightly_at_revision"
    branch: str = attrs.field(validator=ascii_name)
    revision: str = attrs.field(validator=ascii_name)
    priority: int = attrs.field(default=0, validator=_priority)


def _self_serve(_: object, attribute: attrs.Attribute[Any], value: str) -> None:
    """Keep changes made for one builder away from the schedulers of its branch."""
    if not value.removesuffix(SELF_SERVE) or not value.endswith(SELF_SERVE):
        raise InvalidValueError(attribute.name, f"the name of a branch followed by {SELF_SERVE}")


@attrs.frozen
class NewBuilderBuild:
    """Ask for a build of one builder; ``branch`` ends with :data:`SELF_SERVE`.

    ``files`` become the files of a change, where tests find what to install.
    """

    name: ClassVar[str] = "new_build_for_builder"
    branch: str = attrs.field(validator=[ascii_name, _self_serve])
    revision: str = attrs.field(validator=ascii_name)
    builder_name: str = attrs.field(validator=ascii_name)
    priority: int = attrs.field(default=0, validator=_priority)
    properties: Mapping[str, Any] = attrs.field(factory=dict, validator=values.properties)
    files: tuple[str, ...] = attrs.field(
        default=(), converter=values.listed, validator=values.files
    )

    @property
    def short_branch(self) -> str:
        """Give the name of the branch itself."""
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


def full_name(stored: str) -> str:
    """Give the whole name of an action that an old table may have cut."""
    return _CUT.get(stored, stored)


def builds_asked(name: str, what: Mapping[str, Any]) -> int:
    """Count the builds that a job request asks for, by its action and what is stored of it.

    What asks for all builds of some kind of a revision counts as one, for how many these are is
    decided later.
    """
    if name not in ASKING:
        return 0
    count = what.get("count", 1)
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
"""The actions that ask for builds."""
