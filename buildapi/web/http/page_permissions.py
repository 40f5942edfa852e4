"""Tell pages what their user may do, and why not the rest.

A page is kept for all users who may do the same, so nothing here names the user.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable

import attrs
from markupsafe import Markup

from buildapi.model.access import Actor, Administration, Question
from buildapi.model.permissions import (
    BRANCHES,
    BUILDERS,
    NOTHING,
    Extent,
    Permissions,
    unknown_of,
)

Reader = tuple[str, Hashable] | None
"""The user of a page, and a value that is another one if they may do something else; or nobody."""

WORDS = {
    "reprioritize": "change the priority of requests",
    "cancel_request": "cancel requests",
    "cancel_build": "cancel builds",
    "rebuild_build": "rebuild builds",
    "rebuild_request": "rebuild requests",
    "cancel_revision": "cancel revisions",
    "new_build_at_revision": "submit new builds",
    "new_pgobuild_at_revision": "submit PGO builds",
    "new_nightly_at_revision": "submit nightly builds",
    "new_build_for_builder": "submit builds of one builder",
    "read_audit": "read the audit log",
    "manage_tokens": "manage the tokens of others",
}
"""What people call the actions that rules name."""


def reason(rule: str | None, needed: str) -> str:
    """Return which rule refuses something, None for the default, and what would be needed."""
    by = "no rule permits it" if rule is None else f"refused by {rule}"
    return f"{by}; {f'needed: {needed}' if needed else 'nobody is permitted it'}"


@attrs.frozen
class PagePermissions:
    """What the user of a page may do; ``access_of`` returns the access level of a branch."""

    permissions: Permissions = attrs.field(factory=lambda: Permissions(Actor(None)))
    access_of: Callable[[str], str | None] = lambda _: None
    # A page has hundreds of rows, and few answers.
    _found: dict[tuple[str, str, str], str] = attrs.field(factory=dict, init=False, repr=False)
    _off: dict[str, Markup] = attrs.field(factory=dict, init=False, repr=False)
    _names_builders: bool = attrs.field(init=False, repr=False)

    @_names_builders.default
    def _those_of_the_rules(self) -> bool:
        return self.permissions.names_builders

    @property
    def is_open(self) -> bool:
        """Return whether nothing is refused to any user, as without rules."""
        return self.permissions.is_open

    @property
    def key(self) -> Hashable:
        """Return a value that is the same only for users whose pages are the same."""
        return self.permissions.key

    @property
    def reads_audit(self) -> bool:
        """Return whether a rule permits the user to read the audit log; no default does."""
        return self.permissions.decide(Question(Administration.READ_AUDIT.value)).allowed

    def refusal(self, action: str, branch: str = "", builder: str = "") -> str:
        """Return why an action is refused whatever else it names; empty if it may be permitted.

        Without a branch, or a builder, it is refused only if it is on all of them.
        """
        if self.is_open:
            return ""
        # Most rules name no builder: then the rows of a page are few questions.
        key = action, branch, builder if self._names_builders else ""
        if key not in self._found:
            self._found[key] = self._refusal(*key)
        return self._found[key]

    def _refusal(self, action: str, branch: str, builder: str) -> str:
        question = Question(
            action,
            branch,
            self.access_of(branch) if branch else None,
            (builder,) if builder else (),
        )
        unknown = unknown_of(action) - (BUILDERS if builder else NOTHING)
        outlook = self.permissions.outlook(question, unknown | (NOTHING if branch else BRANCHES))
        if outlook.extent is not Extent.NO:
            return ""
        where = f" on {branch}" if branch else ""
        rule = outlook.rules[0]
        why = reason(None if rule is None else rule.name, outlook.needed)
        return f"You may not {WORDS.get(action, action)}{where}: {why}"

    def off(self, action: str, branch: str = "", builder: str = "") -> Markup:
        """Return the attributes of a control that is disabled, with the reason, or nothing."""
        return self._disabled(self.refusal(action, branch, builder))

    def all_off(self, actions: Iterable[str], branch: str = "") -> Markup:
        """Return those of a control for several actions, which is disabled if all are refused."""
        refusals = [self.refusal(action, branch) for action in actions]
        return self._disabled(refusals[0] if all(refusals) else "")

    def _disabled(self, why: str) -> Markup:
        if why not in self._off:
            attributes = Markup(' disabled data-refused title="{}"')
            self._off[why] = attributes.format(why) if why else Markup()
        return self._off[why]


OPEN = PagePermissions()
"""What pages show where nobody is refused anything."""
