"""Find branches whose names clash with other routes, and so cannot be reached."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence

from werkzeug.exceptions import HTTPException
from werkzeug.routing import Rule

from buildapi.web.http.path_converter import SLASH
from buildapi.web.http.route_map import RouteMap
from buildapi.web.http.routes import Route, rule_of

BRANCH = "{branch}"
SAMPLE = "1"
"""Value for the other parts of a path: a number fits wherever an id is needed."""

_OTHER = re.compile(r"\{(?!branch\})[^}]*\}")


class ShadowedBranches:
    """Find the branches that a table of routes hides, with the router that serves it."""

    def __init__(self, routes: Sequence[Route]) -> None:
        self._of_branch = [route for route in routes if BRANCH in route.path]
        rules = [Rule(rule_of(r.path), methods=[r.method], endpoint=r) for r in routes]
        self._map = RouteMap(rules)

    def warnings(self, names: Iterable[str]) -> Sequence[str]:
        """Return a warning for each hidden branch, naming the route that hides it."""
        # Werkzeug matches only for a host; none of our rules names one.
        router = self._map.bind("localhost")
        found = []
        for name in names:
            for route in self._of_branch:
                path = _OTHER.sub(SAMPLE, route.path).replace(BRANCH, name.replace("/", SLASH))
                try:
                    met, values = router.match(path, route.method)
                except HTTPException:
                    found.append(_hidden(name, route, "no route matches"))
                    break
                # A branch named "jobs" or "branches" meets routes that come before those of
                # branches.
                if met is not route or values["branch"] != name:
                    found.append(_hidden(name, route, f"{met.path} comes first"))
                    break
        return found


def _hidden(name: str, route: Route, why: str) -> str:
    shown = json.dumps(name, ensure_ascii=False)
    return f"branch {shown} is hidden: {route.method} {route.path} does not reach it: {why}"
