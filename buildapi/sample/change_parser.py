"""Validate the changes that are sent to the sample farm, and store them with their builds."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from buildapi.db.sql import Ref, Statement
from buildapi.sample.catalog import BRANCHES
from buildapi.sample.push_generator import builds_of, insert_change

TEXT_MAX, NAME_MAX = 1024, 256
"""Maximum characters of the columns, which SQLite does not enforce."""
FILES_MAX, PROPERTIES_MAX = 1000, 100
SOURCE = "Change"
"""Source of the properties of changes."""


class BadChangeError(ValueError):
    """A change is refused; the message says why."""


@attrs.frozen
class SampleChange:
    """Describe a change; ``properties`` are pairs of name and stored text.

    ``when`` is in epoch seconds, None for now.
    """

    author: str
    comments: str
    files: Sequence[str]
    branch: str | None
    revision: str | None
    revlink: str | None
    category: str | None
    repository: str
    project: str
    when: float | None
    properties: Sequence[tuple[str, str]]


def read_change(told: object) -> SampleChange | None:
    """Validate the argument of ``addChange``; return None if it names no files.

    :raises BadChangeError: something is missing, of another type or too long.
    """
    if not isinstance(told, dict):
        raise BadChangeError("a change must be a dictionary")
    given = {_plain("a key", key): value for key, value in told.items()}
    if missing := [key for key in ("who", "files", "comments") if key not in given]:
        raise BadChangeError(f"{missing[0]!r} is missing")
    files = _files(given["files"])
    if not files:
        return None
    return SampleChange(
        author=_needed(given, "who"),
        comments=_needed(given, "comments"),
        files=files,
        branch=_ascii(given, "branch"),
        revision=_ascii(given, "revision"),
        revlink=_text(given, "revlink", NAME_MAX) if "revlink" in given else "",
        category=_text(given, "category", NAME_MAX),
        repository=_text(given, "repository", TEXT_MAX) or "",
        project=_text(given, "project", TEXT_MAX) or "",
        when=_when(given.get("when")),
        properties=_properties(given.get("properties", {})),
    )


def change_statements(change: SampleChange, branches: Sequence[str], now: int) -> list[Statement]:
    """Return the statements that store a change and the builds that follow from it.

    Schedulers know these ``branches`` by the paths of their repositories; a change of another
    branch is only stored.
    """
    ref = Ref("change")
    when = now if change.when is None else min(change.when, now)
    values = {**attrs.asdict(change), "when": when}
    del values["files"], values["properties"]
    built = [name for name in branches if BRANCHES[name].path == change.branch]
    return [
        *insert_change(ref, values, change.files, change.properties),
        *(s for name in built for s in builds_of(name, ref, change.revision, now)),
    ]


def _plain(what: str, value: object) -> str:
    """Return a text; old clients send bytes."""
    if isinstance(value, bytes):
        try:
            return value.decode("ascii")
        except UnicodeDecodeError as e:
            raise BadChangeError(f"{what} is bytes that are not ASCII") from e
    if not isinstance(value, str):
        raise BadChangeError(f"{what} must be a text")
    return value


def _bounded(what: str, value: object, most: int) -> str:
    text = _plain(what, value)
    if len(text) > most:
        raise BadChangeError(f"{what} is longer than {most} characters")
    return text


def _text(given: Mapping[str, Any], name: str, most: int) -> str | None:
    value = given.get(name)
    return None if value is None else _bounded(name, value, most)


def _needed(given: Mapping[str, Any], name: str) -> str:
    text = _text(given, name, TEXT_MAX)
    if text is None:
        raise BadChangeError(f"{name} must not be None")
    return text


def _ascii(given: Mapping[str, Any], name: str) -> str | None:
    """Validate a branch or revision; other than ASCII would stop the schedulers of a real farm."""
    value = given.get(name)
    text = _text({name: str(value) if type(value) is int else value}, name, NAME_MAX)
    if text is not None and not text.isascii():
        raise BadChangeError(f"{name} must be ASCII")
    return text


def _files(value: object) -> Sequence[str]:
    if not isinstance(value, list | tuple) or len(value) > FILES_MAX:
        raise BadChangeError(f"files must be a list of at most {FILES_MAX}")
    return sorted(_bounded("a file", one, TEXT_MAX) for one in value)


def _when(value: object) -> float | None:
    if value is None:
        return None
    if type(value) not in (int, float) or not value >= 0:  # type: ignore[operator]  # a number
        raise BadChangeError("when must be a time in seconds, or None")
    return value  # type: ignore[return-value]  # checked


def _properties(value: object) -> Sequence[tuple[str, str]]:
    if not isinstance(value, dict) or len(value) > PROPERTIES_MAX:
        raise BadChangeError(f"properties must be a dictionary of at most {PROPERTIES_MAX}")
    return [_property(_bounded("a property's name", k, NAME_MAX), v) for k, v in value.items()]


def _property(name: str, value: object) -> tuple[str, str]:
    try:
        text = json.dumps([value, SOURCE], allow_nan=False)
    except (TypeError, ValueError, RecursionError) as e:
        raise BadChangeError(f"property {name!r} is not JSON") from e
    return name, _bounded(f"property {name!r}", text, TEXT_MAX)
