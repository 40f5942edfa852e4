"""Segments of paths: what each ``{name}`` of a route is."""

from __future__ import annotations

from buildapi.parameters.param import AnyParam, Param, Place
from buildapi.parameters.types import AnyType, PathId, Text
from buildapi.web.http.routes import Route


def _segment(name: str, meaning: str, kind: AnyType) -> AnyParam:
    return Param(name, meaning, kind, Place.PATH, needed=True)


SEGMENTS = {
    param.name: param
    for param in (
        _segment("branch", "the name of a branch", Text()),
        _segment("branch_name", "the name of a branch", Text()),
        _segment("build_id", "the id of a build", PathId()),
        _segment("builder", "the name of a builder", Text()),
        _segment("builder_name", "the name of a builder", Text()),
        _segment("buildername", "the name of a builder", Text()),
        _segment("fromtime", "start, in seconds since the epoch, or today", Text()),
        _segment("job_id", "the id of a job request", PathId()),
        _segment("name", "the name of a file", Text()),
        _segment("platform", "accepted and ignored", Text()),
        _segment("pool", "a pool of masters", Text()),
        _segment("request_id", "the id of a build request", PathId()),
        _segment("revision", "a revision; 12 digits of a hash suffice for reads", Text()),
        _segment("slave", "a slave, or the beginning of its name", Text()),
        _segment("slave_id", "the id of a slave", PathId()),
        _segment("token_id", "the id of a token", PathId()),
        _segment("totime", "end (inclusive), in seconds since the epoch", Text()),
        _segment("user", "the author of changes", Text()),
        _segment("version", "the version of all modules", Text()),
    )
}


def segments_of(route: Route) -> list[AnyParam]:
    """List the segments of a route's path, in order; :raises KeyError: one is not declared."""
    names = [part[1:-1] for part in route.path.split("/") if part.startswith("{")]
    return [SEGMENTS[name] for name in names]
