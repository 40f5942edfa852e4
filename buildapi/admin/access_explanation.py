"""Explain a decision of the rules: what each of them makes of the question, and which decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import attrs

from buildapi.buildbot.directory import parse_branches
from buildapi.buildbot.directory_document import NotADirectoryFile, parsed
from buildapi.buildbot.document_readers import reader
from buildapi.buildbot.http_fetch import Fetcher
from buildapi.config import Config
from buildapi.db.schema_upgrade import error_text
from buildapi.errors import BadRequest, ConfigError, Unavailable
from buildapi.model.access import AccessPolicy, Actor, Question
from buildapi.model.branches import Branch
from buildapi.reactor_time import ThreadedReactor
from buildapi.web.http.auth import NO_GROUPS, GroupsHeader
from buildapi.web.http.groups_file import read_memberships

_WORDS = {True: "yes", False: "no", None: "any"}


@attrs.frozen
class Explanation:
    """What is printed, and whether the question is permitted."""

    lines: Sequence[str]
    allowed: bool


def explain(policy: AccessPolicy, actor: Actor, question: Question) -> Explanation:
    """Explain the decision of a policy, rule by rule."""
    decision = policy.decide(actor, question)
    by = "the default" if decision.rule is None else f'rule "{decision.rule}"'
    last = f"{'permitted' if decision.allowed else 'refused'} by {by}"
    if decision.needed:
        last += f"; it needs {decision.needed}"
    return Explanation(
        [*_asked(actor, question), *_rules(policy, actor, question), last], decision.allowed
    )


def _asked(actor: Actor, question: Question) -> Iterator[str]:
    groups = ", ".join(sorted(actor.groups)) or "none"
    yield f"user {actor.who}; groups: {groups}" + (f"; token {actor.token}" if actor.token else "")
    asked = [question.action]
    asked += [] if question.branch is None else [f"on {question.branch}"]
    asked += [] if question.access is None else [f"(access level {question.access})"]
    asked += [f"of {' and '.join(question.builders)}"] if question.builders else []
    asked += [] if question.priority is None else [f"with priority {question.priority}"]
    asked += [f"{question.count} times"] if question.count > 1 else []
    yield " ".join(asked)


def _rules(policy: AccessPolicy, actor: Actor, question: Question) -> Iterator[str]:
    """Yield a table: what of the question fits each rule, up to the one that decides."""
    rows: list[list[str]] = []
    decided = False
    for number, rule in enumerate(policy.rules, 1):
        fits = rule.fits(actor, question)
        if not rows:
            rows.append(["", "rule", "effect", *fits, ""])
        decides = not decided and False not in fits.values()
        words = [_WORDS[fit] for fit in fits.values()]
        note = "decides" if decides else "after it" if decided else ""
        rows.append([str(number), rule.name, "deny" if rule.deny else "allow", *words, note])
        decided = decided or decides
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (text.ljust(width) for text, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def actor_named(config: Config, who: str, groups: str, label: str | None) -> Actor:
    """Return a user with the groups that the proxy's header would list, and those of the file.

    :raises ConfigError: the groups file is wrong, or ``groups`` could not be such a header.
    """
    header = GroupsHeader("groups", config.web.groups_separator)
    try:
        listed = header.groups([groups.encode()])
    except BadRequest as e:
        raise ConfigError(e.msg) from e
    members = read_memberships(config.access.groups_file).get(who, NO_GROUPS)
    return Actor(who, listed | members, None if label is None else f"{who}/{label}")


async def access_of_branch(config: Config, reactor: ThreadedReactor, name: str) -> str | None:
    """Return the access level of a branch by the branches file; None if that gives none.

    :raises Unavailable: the file cannot be read, or has no such branch.
    """
    place = config.directory
    read = reader(place.branches, Fetcher(reactor), place.timeout_seconds, reactor)
    try:
        branches = parsed(await read(), parse_branches, "branches", allow_empty=True).value
    except (OSError, ValueError, RecursionError, NotADirectoryFile, Unavailable) as e:
        raise Unavailable(f"cannot read the branches file: {error_text(e)}") from e
    if name not in branches:
        raise Unavailable("the branches file has no such branch")
    return Branch(name, (), branches[name]).access
