"""Warnings about a job request: builds shared with other pushes, unlisted builders."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from buildapi.model.steps import Sharer, StopBuild

SHARERS_NAMED = 5
"""Maximum number of requests that a warning names one by one."""

UNLISTED = "the builders file does not list this builder; the request may stay pending for ever"


def unlisted(buildername: str, listed: bool | None) -> Sequence[str]:
    """Warn if the builders file does not list a builder; no warning if that is unknown (None)."""
    return (f"{buildername}: {UNLISTED}",) if listed is False else ()


def shared(stops: Iterable[StopBuild]) -> Sequence[str]:
    """Warn of each build to stop that other pushes share, once per build.

    Masters coalesce several requests into one build: stopping it completes all of them.
    """
    found: dict[tuple[str, str, int], StopBuild] = {}
    for stop in stops:
        if stop.sharers:
            # A coalesced build has a row for each request; numbers are unique only per master and
            # builder.
            found.setdefault((stop.master, stop.buildername, stop.number), stop)
    return tuple(f"Build {s.build_id} is shared: {loses(s.sharers)}" for s in found.values())


def loses(sharers: Sequence[Sharer]) -> str:
    """Return the words of a warning: which other requests lose a stopped build."""
    return f"stopping it also ends {listed(sharers)}"


def listed(sharers: Sequence[Sharer]) -> str:
    """Name the requests that share a build, a limited number of them one by one."""
    named = [_named(sharer) for sharer in sharers[:SHARERS_NAMED]]
    more = len(sharers) - SHARERS_NAMED
    return ", ".join(named) + (f" and {more} more" if more > 0 else "")


def _named(sharer: Sharer) -> str:
    of = " ".join(filter(None, [sharer.branch, (sharer.revision or "")[:12]]))
    by = f" by {sharer.author}" if sharer.author else ""
    return f"request {sharer.request_id}" + (f" ({of}{by})" if of or by else "")


def others(sharers: Iterable[Sharer], meant: Collection[int]) -> Sequence[Sharer]:
    """List the sharers whose requests are not to be cancelled themselves."""
    return tuple(sharer for sharer in sharers if sharer.request_id not in meant)
