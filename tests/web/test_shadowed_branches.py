"""Branches that routes hide are told of, by the table of routes itself."""

from __future__ import annotations

import pytest

from buildapi.web.http.routes import Route
from buildapi.web.selfserve.shadowed_branches import ShadowedBranches
from tests.web.farm import HOSTILE


async def nothing(_call: object) -> None:
    """Stand for a handler."""


def route(method: str, path: str) -> Route:
    return Route(method, path, nothing, "")  # type: ignore[arg-type]  # never called


ROUTES = [
    route("GET", "/self-serve/{branch}"),
    route("GET", "/self-serve/{branch}/rev/{rev}"),
    route("POST", "/self-serve/{branch}/build"),
    route("GET", "/self-serve/jobs"),
    route("GET", "/self-serve/fixed/rev/{rev}"),
    route("POST", "/self-serve/only-posted"),
]


def hidden(*names: str) -> list[str]:
    return list(ShadowedBranches(ROUTES).warnings(names))


@pytest.mark.parametrize("name", ["try", "only-posted", "a/b", HOSTILE, "rev", "1", "Jobs"])
def test_a_branch_whose_pages_can_be_reached_is_not_told(name: str) -> None:
    assert hidden(name) == []


def test_a_branch_of_the_name_of_a_route_is_told_with_that_route() -> None:
    assert hidden("try", "jobs") == [
        'branch "jobs" is hidden: GET /self-serve/{branch} does not reach it:'
        " /self-serve/jobs comes first"
    ]


def test_a_branch_that_is_hidden_on_one_page_only_is_told() -> None:
    assert hidden("fixed") == [
        'branch "fixed" is hidden: GET /self-serve/{branch}/rev/{rev} does not reach it:'
        " /self-serve/fixed/rev/{rev} comes first"
    ]
