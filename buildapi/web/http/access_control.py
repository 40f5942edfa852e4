"""Decide who may do what, by the rules and groups that are in force; a reload replaces both."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import attrs

from buildapi.model.access import AccessPolicy, Actor, Decision, Question
from buildapi.model.permissions import Permissions
from buildapi.model.token_scope import NO_LIMITS, TokenScope
from buildapi.web.http.auth import NO_GROUPS, Identity
from buildapi.web.http.groups_file import Memberships

ACTORS_KEPT = 500
"""Actors whose permissions are kept."""


@attrs.define
class AccessControl:
    """Hold the rules and the groups of the groups file, and decide by them."""

    policy: AccessPolicy = attrs.field(factory=AccessPolicy)
    memberships: Memberships = attrs.field(factory=dict)
    _permissions: Callable[[Actor, AccessPolicy, TokenScope], Permissions] = attrs.field(
        # Each request of a user asks for them, and finding the rules that are about the user takes
        # longer than the rest of a ready answer.
        factory=lambda: lru_cache(ACTORS_KEPT)(Permissions),
        init=False,
        eq=False,
        repr=False,
    )

    def adopt(self, policy: AccessPolicy, memberships: Memberships) -> None:
        """Replace the rules and the groups of the groups file, after a reload."""
        self.policy, self.memberships = policy, memberships

    def groups_of(self, user: str) -> frozenset[str]:
        """Return the groups that the groups file has a user in."""
        return self.memberships.get(user, NO_GROUPS)

    def permissions(self, identity: Identity) -> Permissions:
        """Return what a user may do: with a token, no more than its scope lets it."""
        scope = NO_LIMITS if identity.token is None else identity.token.scope
        return self._permissions(actor_of(identity), self.policy, scope)

    def decide(self, identity: Identity, question: Question) -> Decision:
        """Return whether a user may do what is asked."""
        return self.permissions(identity).decide(question)


def actor_of(identity: Identity) -> Actor:
    """Return who acts, as rules see it."""
    token = identity.token
    label = None if token is None else f"{token.who}/{token.label}"
    return Actor(identity.who, identity.groups, label)
