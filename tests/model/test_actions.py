"""An action that exists is valid: its fields are checked when it is made."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.model.actions import (
    ACTIONS,
    COUNT_MAX,
    ID_MAX,
    OLD_WIDTH,
    CancelRevision,
    NewBuild,
    NewBuilderBuild,
    NewNightly,
    NewPGOBuild,
    RebuildBuild,
    RebuildRequest,
    Reprioritize,
    full_name,
)
from buildapi.model.validators import INT32_MAX, INT32_MIN, InvalidValueError

BOUNDS: dict[str, tuple[int, int]] = {
    "brid": (1, ID_MAX),
    "bid": (1, ID_MAX),
    "priority": (INT32_MIN, INT32_MAX),
    "count": (1, COUNT_MAX),
}
FIELDS = [(cls, f.name) for cls in ACTIONS.values() for f in attrs.fields(cls) if f.name in BOUNDS]
VALID: dict[str, Any] = {
    "brid": 7,
    "bid": 7,
    "priority": 0,
    "count": 1,
    "branch": "try-selfserve",
    "revision": "abcdef012345",
    "builder_name": "Linux try build",
}


def make(cls: Any, **fields: Any) -> Any:
    names = {f.name for f in attrs.fields(cls)}
    return cls(**{k: v for k, v in VALID.items() if k in names} | fields)


def refusal(cls: Any, **fields: Any) -> InvalidValueError:
    with pytest.raises(InvalidValueError) as caught:
        make(cls, **fields)
    return caught.value


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
        "cancel_revision",
        "new_build_at_revision",
        "new_pgobuild_at_revision",
        "new_nightly_at_revision",
        "new_build_for_builder",
    }
    assert all(name == cls.name for name, cls in ACTIONS.items())


# --- what masters read as ASCII -------------------------------------------------------------

ASCII = [
    (cls, name)
    for cls in (NewBuild, NewPGOBuild, NewNightly, NewBuilderBuild)
    for name in ("branch", "revision", "builder_name")
    if name in {f.name for f in attrs.fields(cls)}
]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "x" * 257,
        "tr\xfc",
        "\u5c71",
        "a\x00",
        "a\n",
        "a\x7f",
        "\ud800",
        None,
        5,
        b"try",
        ["try"],
    ],
    ids=ascii,
)
@pytest.mark.parametrize(("cls", "field"), ASCII, ids=lambda x: getattr(x, "name", x))
def test_a_name_is_printable_ascii_that_fits_its_column(
    cls: Any, field: str, value: object
) -> None:
    error = refusal(cls, **{field: value})
    assert error.field == field
    assert "printable ASCII" in str(error)


@pytest.mark.parametrize("value", ["a", "--master=evil $(x)", "%_|'", "x" * 256], ids=len)
@pytest.mark.parametrize(
    ("cls", "field"),
    [c for c in ASCII if c != (NewBuilderBuild, "branch")],
    ids=lambda x: getattr(x, "name", x),
)
def test_a_name_is_any_other_text(cls: Any, field: str, value: str) -> None:
    assert getattr(make(cls, **{field: value}), field) == value


@pytest.mark.parametrize("branch", ["try", "try-selfserve-x", "-selfserve", "selfserve"])
def test_the_change_of_one_builder_is_on_a_branch_that_no_scheduler_watches(branch: str) -> None:
    assert refusal(NewBuilderBuild, branch=branch).field == "branch"


def test_the_branch_of_one_builder_is_the_name_before_the_end() -> None:
    assert make(NewBuilderBuild, branch="a-selfserve-selfserve").short_branch == "a-selfserve"


# --- the cancel of a revision ---------------------------------------------------------------


def test_a_revision_is_cancelled_whole_unless_told_otherwise() -> None:
    assert CancelRevision("try", "abcd") == CancelRevision(
        "try", "abcd", only=None, builders=(), exclude_builds=False, reason=""
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("revision", "abc"),  # would name too many
        ("revision", ""),
        ("revision", "x" * 257),
        ("revision", "abcd\n"),
        ("revision", 12345),
        ("branch", ""),
        ("branch", "x" * 257),
        ("branch", "a\tb"),
        ("branch", None),
        ("only", "complete"),
        ("only", ""),
        ("only", ["pending"]),
        ("only", True),
        ("builders", "*pgo*"),
        ("builders", {"a": 1}),
        ("builders", None),
        ("builders", [""]),
        ("builders", ["x" * 257]),
        ("builders", [5]),
        ("builders", ["*"] * 51),
        ("exclude_builds", 1),
        ("exclude_builds", "yes"),
        ("exclude_builds", None),
        ("reason", "x" * 201),
        ("reason", "two\nlines"),
        ("reason", None),
    ],
    ids=lambda x: ascii(x)[:20],
)
def test_a_cancel_takes_nothing_beyond_its_bounds(field: str, value: object) -> None:
    assert refusal(CancelRevision, **{field: value}).field == field


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("revision", "abcd"),
        ("revision", "x" * 256),
        ("branch", "x" * 256),
        ("only", "pending"),
        ("only", "running"),
        ("builders", ("*",) * 50),
        ("builders", ("x" * 256,)),
        ("exclude_builds", True),
        ("reason", "x" * 200),
        ("reason", "Zo\xeb says no"),
    ],
    ids=lambda x: ascii(x)[:20],
)
def test_a_cancel_takes_its_bounds(field: str, value: object) -> None:
    assert getattr(make(CancelRevision, **{field: value}), field) == value


# --- properties and files -------------------------------------------------------------------

OWN = len('["", "self-serve"]')


@pytest.mark.parametrize(
    ("properties", "named"),
    [
        ([], "properties"),
        ("{}", "properties"),
        (None, "properties"),
        ({f"p{n}": n for n in range(101)}, "properties"),
        ({"n\xe4me": 1}, "the name of property"),
        ({"": 1}, "the name of property"),
        ({"x" * 257: 1}, "the name of property"),
        ({5: 1}, "the name of property"),
        ({"p": float("nan")}, "property p"),
        ({"p": [1, {"deep": float("inf")}]}, "property p"),
        ({"p": b"bytes"}, "property p"),
        ({"p": {1, 2}}, "property p"),
        ({"p": "x" * (1025 - OWN)}, "property p"),
        ({"p": "\xe9" * 200}, "property p"),  # each is six characters as JSON
        ({"p": [[]] * 500}, "property p"),
    ],
    ids=lambda x: ascii(x)[:20],
)
def test_a_property_that_masters_cannot_read_or_databases_not_store_is_refused(
    properties: object, named: str
) -> None:
    error = refusal(NewBuilderBuild, properties=properties)
    assert error.field.startswith(named)
    assert len(str(error)) < 400


def test_a_property_without_end_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    for value in (endless, deep, 10**5000):
        assert refusal(NewBuilderBuild, properties={"p": value}).field == "property p"


@pytest.mark.parametrize(
    "properties",
    [
        {},
        {"p": "x" * (1024 - OWN)},
        {"x" * 256: None},
        {"a b": [1, 2.5, {"c": True}], "e": "\xe9"},
        {f"p{n}": n for n in range(100)},
    ],
    ids=lambda x: ascii(x)[:20],
)
def test_properties_are_any_json(properties: dict[str, Any]) -> None:
    assert make(NewBuilderBuild, properties=properties).properties == properties


@pytest.mark.parametrize(
    "files",
    [
        "a",
        {"a": 1},
        None,
        5,
        [1, None, {"a": 1}],
        [["a", "b"]],
        [""],
        ["x" * 1025],
        ["a\nb"],
        ["a"] * 1001,
    ],
    ids=lambda x: ascii(x)[:20],
)
def test_files_are_a_list_of_printable_texts(files: object) -> None:
    assert refusal(NewBuilderBuild, files=files).field == "files"


@pytest.mark.parametrize("files", [[], ["http://x/y.zip"], ["x" * 1024], ["a"] * 1000], ids=len)
def test_files_are_kept_in_their_order(files: list[str]) -> None:
    assert make(NewBuilderBuild, files=files).files == tuple(files)


# --- whatever is accepted -------------------------------------------------------------------


@given(st.text(min_size=1, max_size=40), st.text(max_size=20))
def test_any_pattern_that_is_accepted_can_be_matched(pattern: str, name: str) -> None:
    (glob,) = CancelRevision("try", "abcd", builders=[pattern]).builders
    assert fnmatchcase(name, glob) in (True, False)


def test_names_cut_by_old_tables_stand_for_one_action_each() -> None:
    assert len({name[:OLD_WIDTH] for name in ACTIONS}) == len(ACTIONS)
    assert {full_name(name[:OLD_WIDTH]) for name in ACTIONS} == set(ACTIONS)
    assert {full_name(name) for name in ACTIONS} == set(ACTIONS)
    assert full_name("make_coffee") == "make_coffee"
