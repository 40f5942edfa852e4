"""Know before a job request is accepted which of its texts a scheduler database cannot hold.

Databases of 0.8 masters are often latin1 or utf8mb3.  MySQL tells the character set and length of
each column; SQLite, and what cannot be asked, is taken to hold everything: the agent, which writes
it, is told in the end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from buildapi.db.sql import Database, MissingTableError, Query, any_of
from buildapi.errors import BadRequest
from buildapi.model.actions import Action, NewBuild, NewBuilderBuild, NewNightly, NewPGOBuild
from buildapi.model.charsets import TextColumn, escaped
from buildapi.model.validators import stored_property

# 767 bytes of an index (InnoDB Limits, rows of type COMPACT) by 4 bytes a character.
ORDINARY = 191
"""Characters that any column for names holds: so many fit an index of InnoDB as utf8mb4."""

AUTHOR = "changes.author"
TABLES = (
    "buildrequests",
    "buildset_properties",
    "change_files",
    "changes",
    "sourcestamps",
)
BOUNDED = ("char", "varchar")
"""Types whose length MySQL tells in characters; that of others is in bytes, and ample."""


@attrs.frozen
class Text:
    """A text of a job request: the parameter that it is from, and the columns it goes to."""

    parameter: str
    value: str
    columns: tuple[str, ...]

    @property
    def is_ordinary(self) -> bool:
        """Return whether any column holds it."""
        return self.value.isascii() and len(self.value) <= ORDINARY


def texts_of(action: Action) -> Sequence[Text]:
    """List what an action has stored of its user's texts; copies of what is stored are none."""
    match action:
        case NewBuild():
            return [Text("revision", action.revision, ("changes.revision",))]
        case NewPGOBuild() | NewNightly():
            return [Text("revision", action.revision, ("sourcestamps.revision",))]
        case NewBuilderBuild():
            return _of_builder_build(action)
        case _:
            return []


def _of_builder_build(action: NewBuilderBuild) -> Sequence[Text]:
    name, value = "buildset_properties.property_name", "buildset_properties.property_value"
    return [
        Text("branch", action.short_branch, ("sourcestamps.branch",)),
        Text("branch", action.branch, ("changes.branch",)),
        Text("revision", action.revision, ("sourcestamps.revision", "changes.revision")),
        Text("builder_name", action.builder_name, ("buildrequests.buildername",)),
        *(Text("properties", one, (name,)) for one in action.properties),
        *(Text("properties", stored_property(v), (value,)) for v in action.properties.values()),
        *(Text("files", file, ("change_files.filename",)) for file in action.files),
    ]


def refusals(texts: Sequence[Text], columns: Mapping[str, TextColumn]) -> Mapping[Text, str]:
    """Return, for each text that a column of it cannot hold, the reason."""
    found = {}
    for text in texts:
        for name in text.columns:
            # information_schema shows only columns on which the account has a privilege (MySQL).
            why = columns.get(name, TextColumn()).refusal(text.value)
            if why is not None:
                found[text] = f"{why} (column {name} of the scheduler database)"
    return found


def _column(
    table: str, name: str, charset: str | None, kind: str, length: int | None
) -> tuple[str, TextColumn]:
    return f"{table}.{name}", TextColumn(charset, length if kind.lower() in BOUNDED else None)


_NAMES, _PARAMS = any_of("table", TABLES)
COLUMNS: Query[tuple[str, TextColumn]] = Query(
    f"""SELECT TABLE_NAME, COLUMN_NAME, CHARACTER_SET_NAME, DATA_TYPE, CHARACTER_MAXIMUM_LENGTH
 FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME IN ({_NAMES})
 AND CHARACTER_SET_NAME IS NOT NULL""",  # noqa: S608  # numbered parameters
    _column,
)


@attrs.define
class SQLTextLimits:
    """Ask the database for its columns, once and before each refusal: they may be widened."""

    _db: Database
    _columns: Mapping[str, TextColumn] = attrs.field(factory=dict, init=False)
    _has_limits: bool = attrs.field(default=True, init=False)

    async def check(self, action: Action, who: str) -> Sequence[str]:
        """Warn of what is stored otherwise than it was sent, which is the user's name.

        :raises BadRequest: a text cannot be stored.
        """
        texts = texts_of(action)
        # Only these make a change; a reason loses its accents instead (in_ascii of lowered_plan).
        author = _author(who) if isinstance(action, NewBuild | NewBuilderBuild) else []
        found = await self._refusals([*texts, *author])
        for text in texts:
            if text in found:
                raise BadRequest(f"Bad {text.parameter}: {found[text]}")
        return [f"Your name is stored as {escaped(who)}: {why}" for why in found.values()]

    async def author(self, who: str) -> str:
        """Return how the author of a change is spelled in this database."""
        return escaped(who) if await self._refusals(_author(who)) else who

    async def _refusals(self, texts: Sequence[Text]) -> Mapping[Text, str]:
        """Return the reason for each text that cannot be stored.

        :raises Unavailable: it is not known.
        """
        is_asked = not self._columns and not all(text.is_ordinary for text in texts)
        # Ordinary texts, which nearly all are, need no query.
        if self._has_limits and (is_asked or refusals(texts, self._columns)):
            self._columns = await self._read()
        return refusals(texts, self._columns)

    async def _read(self) -> Mapping[str, TextColumn]:
        try:
            return dict(await COLUMNS.many(self._db, **_PARAMS))
        except MissingTableError:  # SQLite has no information_schema, and holds any text
            self._has_limits = False
            return {}


def _author(who: str) -> Sequence[Text]:
    return [Text("who", who, (AUTHOR,))]
