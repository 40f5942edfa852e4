"""Read the rules of who may do what: ``[[access.rules]]``."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any

import attrs
from attrs import field, frozen

from buildapi.config.converters import BadValueError, Convert, KeyPlace, choice, many, text, whole
from buildapi.config.reader import SectionReader, key
from buildapi.config.secret import SHOWN_LENGTH, printable, shown
from buildapi.model.access import ADMINISTRATION, NAMES, AccessRule
from buildapi.model.actions import ACTIONS, COUNT_MAX
from buildapi.model.validators import INT32_MAX, INT32_MIN

RULES_MAX = 500
"""Rules of one configuration: each job request may be compared with all of them."""

NAME_LENGTH = 100
"""Characters of a rule's name, which answers show."""

WILDCARDS = "*?["

_NARROWING = ("branches", "access", "builders", "priority", "count")
"""What has no meaning for administration."""


def _pattern(value: object, place: KeyPlace) -> str:
    name = text(value, place)
    if not name.strip():
        raise BadValueError("a pattern that is not empty")
    return name


def _token(value: object, place: KeyPlace) -> str:
    """Accept the pattern of a token: a whole user name, a slash and a pattern of labels."""
    name = _pattern(value, place)
    user, _, label = name.partition("/")
    if not user or not label or "/" in label:
        raise BadValueError('USER/LABEL with one slash, such as "zoe@example.org/nightly-*"')
    # Names are chosen by others: with a wildcard, somebody else's token could be meant.
    if any(c in user for c in WILDCARDS):
        raise BadValueError("USER/LABEL without wildcards in USER")
    return name


def _action(value: object, place: KeyPlace) -> str:
    """Accept a pattern that fits the name of an action, or a whole name of administration."""
    name = text(value, place)
    if name in ADMINISTRATION or any(fnmatchcase(action, name) for action in ACTIONS):
        return name
    if any(fnmatchcase(one, name) for one in ADMINISTRATION):
        listed = " or ".join(sorted(ADMINISTRATION))
        raise BadValueError(f"the whole name of what no pattern includes: {listed}")
    near = difflib.get_close_matches(name[:SHOWN_LENGTH], NAMES, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]}?" if near else f"allowed: {', '.join(NAMES)}"
    raise BadValueError(f"an action or a pattern of some; {hint}")


def _some(convert: Convert) -> Convert:
    """Return a converter of lists that may be left out, and are not empty."""
    listed = many(convert)

    def convert_all(value: object, place: KeyPlace) -> tuple[str, ...]:
        if value is None:
            return ()
        found: tuple[str, ...] = listed(value, place)
        # Written for "nobody", it would be read as "everybody".
        if not found:
            raise BadValueError("left out, which means all, or a list with at least 1 item")
        return found

    return convert_all


def _name(value: object, place: KeyPlace) -> str:
    name = "" if value is None else text(value, place).strip()
    if not 1 <= len(name) <= NAME_LENGTH:
        raise BadValueError(f"a name of 1 to {NAME_LENGTH} characters", name)
    return name


def _range(value: object, _: KeyPlace) -> tuple[int, int] | None:
    if value is None:
        return None
    allowed = "[LOWEST, HIGHEST], two whole numbers"
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise BadValueError(allowed)
    low, high = value
    # Not isinstance: a TOML boolean is a bool of Python, which is an int.
    if type(low) is not int or type(high) is not int:
        raise BadValueError(allowed)
    if not INT32_MIN <= low <= high <= INT32_MAX:
        raise BadValueError(f"{allowed}, the lower one first, {INT32_MIN} to {INT32_MAX}")
    return low, high


def _count(value: object, place: KeyPlace) -> int | None:
    found: int | None = None if value is None else whole(1, COUNT_MAX)(value, place)
    return found


_patterns = _some(_pattern)


@frozen
class AccessRuleSection:
    """One rule, as it stands in the file; docs/permissions.md explains the keys."""

    name: str = field(metadata=key(_name, None))
    effect: str = field(metadata=key(choice("allow", "deny"), "allow"))
    users: tuple[str, ...] = field(metadata=key(_patterns, None))
    groups: tuple[str, ...] = field(metadata=key(_patterns, None))
    tokens: tuple[str, ...] = field(metadata=key(_some(_token), None))
    actions: tuple[str, ...] = field(metadata=key(_some(_action), None))
    branches: tuple[str, ...] = field(metadata=key(_patterns, None))
    access: tuple[str, ...] = field(metadata=key(_patterns, None))
    builders: tuple[str, ...] = field(metadata=key(_patterns, None))
    priority: tuple[int, int] | None = field(metadata=key(_range, None))
    count: int | None = field(metadata=key(_count, None))

    @property
    def rule(self) -> AccessRule:
        """Return the rule."""
        same = ("name", "users", "groups", "tokens", "actions", "branches", "access", "builders")
        return AccessRule(
            **{name: getattr(self, name) for name in same},
            deny=self.effect == "deny",
            priorities=self.priority,
            count=self.count,
        )

    def misplaced(self) -> Iterator[str]:
        """List the errors of keys that have no meaning beside others."""
        given = [name for name in _NARROWING if getattr(self, name) not in ((), None)]
        administrative = [name for name in self.actions if name in ADMINISTRATION]
        for name in given if administrative else ():
            yield f"{name}: must not be set with {administrative[0]}, which has no branch or build"
        if administrative:
            return
        for name in ("priority", "count"):
            if name in given and not self._has(name):
                yield f"{name}: must not be set: none of the actions has one"
        if self.count is not None and self.effect == "deny":
            # It is the most that is covered: more builds would be permitted than fewer.
            yield 'count: must not be set with effect = "deny"; permit fewer builds, then deny all'

    def _has(self, name: str) -> bool:
        """Return whether one of the actions has a field."""
        return any(
            name in attrs.fields_dict(cls)
            for action, cls in ACTIONS.items()
            if not self.actions or any(fnmatchcase(action, one) for one in self.actions)
        )


@frozen
class AccessRulesKey:
    """The key of the rules: an array of tables."""

    default: Any = field(factory=list)

    def names(self, name: str) -> tuple[str, ...]:
        """Return the names the key may have in the file."""
        return (name,)

    def read(
        self, section: str, name: str, table: Mapping[str, object], reader: SectionReader
    ) -> tuple[AccessRule, ...] | None:
        """Return the rules in their order; record errors and return None if there are any."""
        tables = table.get(name, self.default)
        if not isinstance(tables, list | tuple) or len(tables) > RULES_MAX:
            reader.refuse(
                f"[{section}] {name} = {shown(tables)}: must be up to {RULES_MAX} tables"
                f" [[{section}.{name}]]"
            )
            return None
        before = len(reader.errors)
        named: dict[str, int] = {}
        rules: list[AccessRule] = []
        for number, one in enumerate(tables, 1):
            where = f"{section}.{name} {number}{_name_of(one)}"
            found = reader.section(where, AccessRuleSection, one)
            if found is None:
                continue
            for what in found.misplaced():
                reader.refuse(f"[{where}] {what}")
            if (first := named.setdefault(found.name, number)) != number:
                reader.refuse(f"[{where}] name: must differ from that of rule {first}")
            rules.append(found.rule)
        return tuple(rules) if len(reader.errors) == before else None


def _name_of(table: object) -> str:
    name = table.get("name") if isinstance(table, Mapping) else None
    return f" ({printable(name[:SHOWN_LENGTH])})" if isinstance(name, str) and name else ""
