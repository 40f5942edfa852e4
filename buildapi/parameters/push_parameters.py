"""Parameters of lists of pushes, which the commands have as options, too."""

from __future__ import annotations

import re

import attrs

from buildapi.jobs.build_states import STATES
from buildapi.model.pushes import PushPlace
from buildapi.parameters.param import Param
from buildapi.parameters.texts import bad
from buildapi.parameters.types import (
    Choice,
    Integer,
    ParamType,
    Schema,
    Switch,
    Text,
    Values,
    only_text,
)

PUSHES, PUSHES_MAX = 20, 50
"""Pushes in an answer by default, and at most."""

TEXT_MAX = 255
"""Characters of an author, a revision or a part of a builder's name."""


@attrs.frozen
class Cursor(ParamType[PushPlace]):
    """The place of a push in a list: ``TIME-REVISION``."""

    def parse(self, name: str, values: Values) -> PushPlace | None:
        """Parse a place; any revision is one, an empty one too."""
        text = only_text(name, values)
        if not text:
            return None
        found = _CURSOR.fullmatch(text)
        if found is None:
            raise bad(name, text, "TIME-REVISION, as next of the answer before has it")
        return PushPlace(int(found[1]), found[2])

    def schema(self) -> Schema:
        """Return the JSON schema."""
        return {"type": "string", "pattern": "^[0-9]{1,10}-"}

    def words(self) -> str:
        """Return where it comes from."""
        return "from next of the answer before"


def cursor(place: PushPlace) -> str:
    """Return the text of a place."""
    return f"{place.when}-{place.revision}"


# Ten digits: when_timestamp of Buildbot 0.8 is an INTEGER, of four bytes on MySQL.
_CURSOR = re.compile(r"([0-9]{1,10})-(.{0,255})", re.ASCII | re.DOTALL)
_TEXT = Text(1, TEXT_MAX)

LIMIT = Param("limit", "maximum number of pushes", Integer(1, PUSHES_MAX), default=PUSHES)
AFTER = Param("after", "only older pushes than the one at this place", Cursor())
AUTHOR = Param("author", "only pushes of this author", _TEXT)
REVISION = Param("revision", "only the push of this revision; 12 digits of a hash suffice", _TEXT)
STATE = Param("state", "only jobs in this state, and pushes that have one", Choice(STATES))
BUILDER = Param(
    "builder",
    "only jobs of builders whose names contain this text in any case, and pushes that have one",
    _TEXT,
)
UNFINISHED = Param("unfinished", "only pushes with unfinished jobs", Switch(), default=False)
FAILURES = Param("failures", "only pushes with failures or exceptions", Switch(), default=False)
JOBS = Param("jobs", "whether to list the jobs of each push", Switch(), default=True)
SHOW = Param("show", "all: the page folds no jobs of a large group", Choice(("all",)))
