"""An action that exists is valid: its fields are checked when it is made."""

from __future__ import annotations

from typing import Any

import attrs
import pytest

from buildapi.model.actions import (
    ACTIONS,
    COUNT_MAX,
    ID_MAX,
    INT32_MAX,
    INT32_MIN,
    InvalidValueError,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
)

BOUNDS: dict[str, tuple[int, int]] = {
    "brid": (1, ID_MAX),
    "bid": (1, ID_MAX),
    "priority": (INT32_MIN, INT32_MAX),
    "count": (1, COUNT_MAX),
}
FIELDS = [(cls, f.name) for cls in ACTIONS.values() for f in attrs.fields(cls)]


def make(cls: Any, **fields: Any) -> Any:
    valid = {"brid": 7, "bid": 7, "priority": 0, "count": 1}
    names = {f.name for f in attrs.fields(cls)}
    return cls(**{k: v for k, v in valid.items() if k in names} | fields)


@pytest.mark.parametrize(("cls", "field"), FIELDS, ids=lambda x: getattr(x, "name", x))
def test_a_field_takes_its_bounds_and_nothing_beyond(cls: Any, field: str) -> None:
    low, high = BOUNDS[field]
    for value in (low, high):
        assert getattr(make(cls, **{field: value}), field) == value
    for value in (low - 1, high + 1, 10**400):
        with pytest.raises(InvalidValueError) as caught:
            make(cls, **{field: value})
        assert caught.value.field == field
        assert f"from {low} to {high}" in caught.value.allowed


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [1], float("nan"), b"1"], ids=repr)
@pytest.mark.parametrize(("cls", "field"), FIELDS, ids=lambda x: getattr(x, "name", x))
def test_a_field_takes_whole_numbers_only(cls: Any, field: str, value: object) -> None:
    with pytest.raises(InvalidValueError, match=f"{field} must be a whole number"):
        make(cls, **{field: value})


def test_a_rebuild_is_one_build_of_priority_0_unless_told_otherwise() -> None:
    assert RebuildBuild(5) == RebuildBuild(5, priority=0, count=1)
    assert RebuildRequest(5) == RebuildRequest(5, priority=0, count=1)


def test_an_action_cannot_be_changed() -> None:
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        Reprioritize(1, 2).priority = 3  # type: ignore[misc]  # that is the point


def test_actions_are_known_by_the_names_of_the_messages() -> None:
    assert set(ACTIONS) == {
        "reprioritize",
        "cancel_request",
        "cancel_build",
        "rebuild_build",
        "rebuild_request",
    }
    assert all(name == cls.name for name, cls in ACTIONS.items())
