"""A table of rules that paths are matched with, and no URL is built from."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from klein import Klein
from werkzeug.routing import Map, Rule, RuleFactory

from buildapi.web.http.path_converter import Segment


class RouteMap(Map):
    """Match paths, and build no URL.

    For every rule Werkzeug writes and compiles two functions that build its URLs. We build our
    URLs ourselves, and compiling is much of the work of putting a site together.

    :raises NotImplementedError: Werkzeug is asked for a URL.
    """

    def __init__(self, rules: Iterable[RuleFactory] = ()) -> None:
        # Werkzeug would redirect a path with // to a URL that it builds [werkzeug.routing.Map].
        super().__init__(rules, converters={"seg": Segment}, merge_slashes=False)

    def add(self, rulefactory: RuleFactory) -> None:
        """Add a rule without what builds its URLs."""
        if isinstance(rulefactory, Rule):
            # Before `add`, which compiles the rule. A replay of recorded job requests, which puts
            # a site together for each, took 8.9 s of processor time with these and 7.5 s without.
            vars(rulefactory)["_compile_builder"] = _without_builder
        super().add(rulefactory)


def _without_builder(append_unknown: bool = True) -> Callable[..., tuple[str, str]]:
    del append_unknown
    return _no_url


def _no_url(_rule: Rule, **_values: object) -> tuple[str, str]:
    raise NotImplementedError


class Router(Klein):
    """Klein's router with a map that only matches."""

    def __init__(self) -> None:
        super().__init__()
        # Klein makes its map itself, and has no argument for another one.
        self._url_map = RouteMap()
