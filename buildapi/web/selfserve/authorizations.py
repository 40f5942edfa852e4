"""Say what the user may do: each action on each branch, by which rule, and what is needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from buildapi.errors import Unavailable
from buildapi.interfaces import Directory
from buildapi.model.access import AccessRule, Administration, Question
from buildapi.model.actions import ACTIONS
from buildapi.model.branches import Branch
from buildapi.model.permissions import Extent, Permissions, unknown_of
from buildapi.web.http.auth import Identity
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.page_permissions import WORDS
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.selfserve.documents import (
    AuthorizationDocument,
    AuthorizationsDocument,
    BranchAuthorizations,
    RuleDocument,
)


@attrs.frozen
class Authorizations:
    """Serve them; ``permissions`` returns those in force for a user."""

    _permissions: Callable[[Identity], Permissions]
    _directory: Directory

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        path = "/self-serve/authorizations"
        return [Route("GET", path, self.authorizations, AUTHORIZATIONS, (FORMAT,))]

    async def authorizations(self, call: Call) -> Reply:
        """Return what the user of a call may do."""
        permissions = self._permissions(call.identity)
        try:
            branches = sorted(self._directory.branches().by_name.values(), key=lambda b: b.name)
            away = ""
        except Unavailable as e:  # what is of no branch can be told without it
            branches, away = [], e.msg
        document: AuthorizationsDocument = {
            "who": permissions.actor.who,
            "groups": sorted(permissions.actor.groups),
            "token": permissions.actor.token,
            "branches": {branch.name: _of_branch(permissions, branch) for branch in branches},
            "administration": {
                one.value: authorization(permissions, Question(one.value)) for one in Administration
            },
        }
        # Names of the frame, such as that of the user, are not replaced.
        context = {
            "groups": document["groups"],
            "by_token": document["token"],
            "branches": document["branches"],
            "administration": document["administration"],
            "words": WORDS,
            "rule_of": _rule_of,
            "reason": away,
        }
        return Reply(JSONBody.of(document), Page(TEMPLATE, "Permissions", context), fresh=True)


def _of_branch(permissions: Permissions, branch: Branch) -> BranchAuthorizations:
    actions = {
        name: authorization(permissions, Question(name, branch.name, branch.access))
        for name in ACTIONS
    }
    return {"access": branch.access, "actions": actions}


def authorization(permissions: Permissions, question: Question) -> AuthorizationDocument:
    """Return as JSON how far something is permitted, and by which rule; null is the default.

    What is permitted partly has the rules that may decide it, in order, with their conditions.
    """
    outlook = permissions.outlook(question, unknown_of(question.action))
    first = outlook.rules[0]
    found: AuthorizationDocument = {
        "allowed": outlook.extent.value,
        "rule": None if first is None else first.name,
        "needed": outlook.needed,
    }
    if outlook.extent is not Extent.PARTLY:
        return found
    rules = zip(outlook.rules, outlook.effects, strict=True)
    return {**found, "rules": [_rule_json(rule, allows=allows) for rule, allows in rules]}


def _rule_json(rule: AccessRule | None, *, allows: bool) -> RuleDocument:
    """Return a rule and its conditions, in the words of the configuration."""
    told: RuleDocument = {
        "rule": None if rule is None else rule.name,
        "effect": "allow" if allows else "deny",
    }
    if rule is None:
        return told
    if rule.builders:
        told["builders"] = list(rule.builders)
    if rule.priorities:
        told["priority"] = list(rule.priorities)
    if rule.count:
        told["count"] = rule.count
    return told


def _rule_of(found: Mapping[str, Any]) -> str:
    """Return the rules that decide something, for people, with what each depends on."""
    rules = found.get("rules", [found])
    return "; ".join(_described(rule) for rule in rules)


def _described(rule: Mapping[str, Any]) -> str:
    name = rule["rule"] or "the default"
    if "effect" not in rule:
        return name
    conditions = []
    if "builders" in rule:
        conditions.append(f"builders {', '.join(rule['builders'])}")
    if "priority" in rule:
        conditions.append("priority {} to {}".format(*rule["priority"]))
    if "count" in rule:
        conditions.append(f"at most {rule['count']} builds")
    listed = f" ({'; '.join(conditions)})" if conditions else ""
    return f"{rule['effect']} by {name}{listed}"


AUTHORIZATIONS = (
    "What you may do on each branch: yes, no, or partly (by builder, priority or count), and by"
    " which rule."
)
TEMPLATE = "authorizations.html"
