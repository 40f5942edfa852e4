"""List pushes: ``pushes`` of a branch or of all, ``user`` of an author."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import parse_qs, urlsplit

import click

from buildapi.cli import param_types, push_rows
from buildapi.cli.command_help import command
from buildapi.cli.connection_options import complete_branch, with_client
from buildapi.cli.declared_options import declared_option
from buildapi.cli.output import Output, output_options, require_list, unpack
from buildapi.cli.service_client import JSON, Document, ServiceClient
from buildapi.parameters.push_parameters import (
    AFTER,
    AUTHOR,
    BUILDER,
    FAILURES,
    LIMIT,
    STATE,
    UNFINISHED,
)
from buildapi.parameters.read_parameters import since, until

ANSWERS_MAX = 10
"""Maximum answers that a command reads: with filters one may have few pushes, or none."""


def _push_options(function: Callable[..., None]) -> Callable[..., None]:
    """Add the options of every list of pushes."""
    options = (
        declared_option(STATE, metavar="STATE"),
        declared_option(BUILDER, metavar="TEXT"),
        declared_option(UNFINISHED),
        declared_option(FAILURES),
        declared_option(since(), metavar="TIME"),
        declared_option(until(), metavar="TIME"),
        declared_option(LIMIT),
    )
    for option in reversed(options):
        function = option(function)
    return function


@command(example="buildapi pushes try --author ann@example.org --failures")
@click.argument("branch", type=param_types.name, required=False, shell_complete=complete_branch)
@click.option("--all", "whole", is_flag=True, help="Pushes of all branches.")
@declared_option(AUTHOR, metavar="AUTHOR")
@_push_options
@with_client
@output_options
def pushes(
    *, branch: str | None, whole: bool, client: ServiceClient, out: Output, **asked: JSON
) -> None:
    """List the pushes of BRANCH with a summary of their jobs.

    Newest first; "left" is the time that the open jobs would still take, by the median of each
    builder.
    """
    if (branch is None) != whole:
        raise click.UsageError("a BRANCH is required, or --all")
    path = ("self-serve", "pushes") if branch is None else ("self-serve", branch, "pushes")
    on = "" if branch is None else f" on {branch}"
    _print_pushes(path, on, asked, client, out)


@command(example="buildapi user ann@example.org --unfinished")
@click.argument("author", type=param_types.name)
@_push_options
@with_client
@output_options
def user(*, author: str, client: ServiceClient, out: Output, **asked: JSON) -> None:
    """List the pushes of AUTHOR on all branches.

    Newest first, with a summary of their jobs.
    """
    _print_pushes(("self-serve", "user", author), f" of {author}", asked, client, out)


def _print_pushes(
    path: Sequence[str], on: str, asked: Document, client: ServiceClient, out: Output
) -> None:
    limit = asked["limit"]
    found, following = _read(path, asked, client, jobs=out.as_json)
    if out.as_json:
        return out.json({"pushes": found, "next": following})
    narrowed = any(value for name, value in asked.items() if name != "limit")
    head: Sequence[str] = push_rows.PUSHES
    rows = unpack(push_rows.pushes, found, out.time)
    if path[-1] == "pushes" and len(path) == 3:  # of one branch, which stands in the command
        head, rows = head[1:], [row[1:] for row in rows]
    out.items(head, rows, f"{'such ' if narrowed else ''}pushes{on}")
    if following is not None:
        there = f"The newest {limit} pushes" if len(found) >= limit else "Older pushes not read"
        out.note(f"{there}; there may be more (--limit, --until).")
    return None


def _read(
    path: Sequence[str], asked: Document, client: ServiceClient, *, jobs: bool
) -> tuple[list[JSON], str | None]:
    """Read pushes up to the limit; return them with the URI of older ones, None at the end."""
    flags = {name: int(asked[name]) or None for name in (UNFINISHED.name, FAILURES.name)}
    query = {**asked, **flags, "jobs": None if jobs else 0}
    found: list[JSON] = []
    for _ in range(ANSWERS_MAX):
        query[LIMIT.name] = asked[LIMIT.name] - len(found)
        document = client.get(*path, **query)
        shown, following = unpack(_part, document)
        found += require_list(shown)
        if following is None or len(found) >= asked[LIMIT.name]:
            break
        query[AFTER.name] = unpack(_after, following)
    return found, following


def _part(document: Document) -> tuple[JSON, str | None]:
    return document["pushes"], document["next"]


def _after(following: str) -> str:
    return parse_qs(urlsplit(following).query)[AFTER.name][0]
