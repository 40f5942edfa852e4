"""Job requests: one class per action, valid by construction."""

from __future__ import annotations

from typing import Any, ClassVar

import attrs

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1
ID_MAX = INT32_MAX
COUNT_MAX = 1000
"""No configuration allows more rebuilds at once than this."""


class InvalidValueError(ValueError):
    """Name the field of an action that cannot have the value given, and what is allowed."""

    def __init__(self, field: str, allowed: str) -> None:
        super().__init__(f"{field} must be {allowed}")
        self.field, self.allowed = field, allowed


def _whole(low: int, high: int) -> Any:
    allowed = f"a whole number from {low} to {high}"

    def check(_: object, attribute: attrs.Attribute[Any], value: object) -> None:
        if type(value) is not int or not low <= value <= high:
            raise InvalidValueError(attribute.name, allowed)

    return check


_id = _whole(1, ID_MAX)
_priority = _whole(INT32_MIN, INT32_MAX)
_count = _whole(1, COUNT_MAX)


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


Action = Reprioritize | CancelRequest | CancelBuild | RebuildBuild | RebuildRequest

ACTIONS: dict[str, type[Action]] = {
    cls.name: cls
    for cls in (Reprioritize, CancelRequest, CancelBuild, RebuildBuild, RebuildRequest)
}
