"""The table of rules matches as Werkzeug's own does, and starts without what builds URLs."""

from __future__ import annotations

import pytest
from werkzeug.exceptions import MethodNotAllowed, NotFound
from werkzeug.routing import Rule

from buildapi.web.http.path_converter import SLASH
from buildapi.web.http.route_map import RouteMap, Router


def test_a_path_is_matched_with_its_values() -> None:
    router = RouteMap([Rule("/<seg:branch>/build/<int:id>", endpoint="build", methods=["GET"])])
    at = router.bind("localhost")
    assert at.match(f"/projects{SLASH}a/build/7", "GET") == (
        "build",
        {"branch": "projects/a", "id": 7},
    )
    with pytest.raises(MethodNotAllowed):
        at.match("/a/build/7", "POST")
    for path in ("/a//build/7", "/a/build/x", "/build/7"):
        with pytest.raises(NotFound):
            at.match(path, "GET")


def test_no_function_that_builds_a_url_is_compiled_for_a_rule_of_the_site() -> None:
    app = Router()
    app.route("/<seg:branch>/builders")(lambda request, branch: b"")
    (rule,) = app.url_map.iter_rules()
    for whole in (True, False):
        with pytest.raises(NotImplementedError):
            rule.build({"branch": "try"}, append_unknown=whole)
