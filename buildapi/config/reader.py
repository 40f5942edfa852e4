"""Convert tables of the file to sections, and collect all errors and warnings."""

from __future__ import annotations

import difflib
import os
import re
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Protocol, TypeVar

import attrs

from buildapi.config.converters import BadValueError, Convert, KeyPlace, path, text
from buildapi.config.secret import SHOWN_LENGTH, Secret, one_line, printable, shown, split_password

T = TypeVar("T")

SECRET_FILE_SIZE = 64 * 1024
"""Size limit of a password file, in bytes."""


@attrs.define
class SectionReader:
    """Read the sections of one file, and collect its errors and warnings."""

    file: Path
    place: KeyPlace
    errors: list[str] = attrs.field(factory=list)
    warnings: list[str] = attrs.field(factory=list)

    def refuse(self, what: str) -> None:
        """Record an error."""
        self.errors.append(f"{one_line(str(self.file))}: {what}")

    def warn(self, what: str) -> None:
        """Record a warning: a value that is allowed but unwise."""
        self.warnings.append(f"{one_line(str(self.file))}: {what}")

    def section(self, name: str, section: type[T], table: object) -> T | None:
        """Read a table as a section; record its errors and return None if it has any."""
        before = len(self.errors)
        if not isinstance(table, Mapping):
            self.refuse(f"[{name}] is {shown(table)}: must be a table")
            return None
        keys = keys_of(section)
        self.unknown(table, [n for at, k in keys.items() for n in k.names(at)], "key", name)
        values = {at: key.read(name, at, table, self) for at, key in keys.items()}
        return section(**values) if len(self.errors) == before else None

    def unknown(
        self, table: Iterable[object], known: Iterable[str], what: str, section: str = ""
    ) -> None:
        """Record an error for each unknown key or section, with the nearest known name."""
        allowed = list(known)
        where = f"[{section}] " if section else ""
        for name in map(str, table):
            if name not in allowed:
                # Cut, since the time difflib needs grows with the square of the length.
                near = difflib.get_close_matches(name[:SHOWN_LENGTH], allowed, n=1)
                hint = f"did you mean {near[0]}?" if near else f"allowed: {', '.join(allowed)}"
                self.refuse(f"{where}{printable(name)}: unknown {what}; {hint}")


@attrs.frozen
class Key:
    """A key of a section: the converter of its value, and its default."""

    convert: Convert
    default: Any  # of the type of its attribute

    def names(self, name: str) -> tuple[str, ...]:
        """Return the names the key may have in the file."""
        return (name,)

    def read(
        self, section: str, name: str, table: Mapping[str, object], reader: SectionReader
    ) -> Any:
        """Return the value; record an error and return None if it is bad."""
        value = table.get(name, self.default)
        try:
            return self.convert(value, reader.place)
        except BadValueError as e:
            wrong = shown(e.wrong(value))
            reader.refuse(f"[{section}] {name} = {wrong}: must be {e.allowed}")
            return None


@attrs.frozen
class SecretKey:
    """A password: in the file, in a file of its own, in the environment, or in a URL.

    An empty one counts as missing.
    """

    url: str | None = None
    default: str = ""

    def names(self, name: str) -> tuple[str, ...]:
        """Return the names the key may have in the file."""
        return tuple(f"{name}{suffix}" for suffix in _SOURCES)

    def read(
        self, section: str, name: str, table: Mapping[str, object], reader: SectionReader
    ) -> Secret | None:
        """Return the password, None if missing; record errors without showing it."""
        given = [n for n in self.names(name) if table.get(n, "") != ""]
        url = table.get(self.url or "")
        in_url = split_password(url)[1] if isinstance(url, str) else ""
        sources = [*given, *([f"the password in {self.url}"] if in_url else [])]
        if len(sources) > 1:
            listed = ", ".join(self.names(name))
            told = " and ".join(sources)
            reader.refuse(f"[{section}] {told} are both set: set only one of {listed}")
            return None
        if in_url:
            _warn_if_exposed(reader, reader.file, f"[{section}] {self.url} holds a password")
            return Secret(in_url)
        return _read_secret(section, name, given[0], table, reader) if given else None


def _read_secret(
    section: str, name: str, given: str, table: Mapping[str, object], reader: SectionReader
) -> Secret | None:
    source = _SOURCES[given.removeprefix(name)]
    try:
        return Secret(source(table[given], f"[{section}] {given}", reader))
    except BadValueError as e:
        wrong = e.wrong(None)
        value = "" if wrong is None else f" = {shown(wrong)}"
        reader.refuse(f"[{section}] {given}{value}: must be {e.allowed}")
        return None


def _from_text(value: object, where: str, reader: SectionReader) -> str:
    if not isinstance(value, str):
        raise BadValueError("a string in quotes (the value is not shown)")
    _warn_if_exposed(reader, reader.file, f"{where} is a password")
    return value


def _from_file(value: object, where: str, reader: SectionReader) -> str:
    try:
        found = path(value, reader.place)
    except BadValueError as e:
        raise BadValueError(e.allowed, value) from e
    content = _content(found, value)
    _warn_if_exposed(reader, found, f"{where} = {shown(value)} is a password")
    return content


def _content(found: Path, value: object) -> str:
    if not os.path.isfile(found):  # reading a pipe would block
        raise BadValueError("an existing, readable file", value)
    try:
        with found.open("rb") as source:
            data = source.read(SECRET_FILE_SIZE + 1)
        content = data.decode().removesuffix("\n").removesuffix("\r")
    except OSError as e:
        raise BadValueError(f"a readable file ({e.strerror})", value) from e
    except UnicodeDecodeError:
        content = ""  # not chained: the error contains the password
    if not content or len(data) > SECRET_FILE_SIZE:
        raise BadValueError("a file with a password in UTF-8", value)
    return content


def _from_environ(value: object, _: str, reader: SectionReader) -> str:
    name = text(value, reader.place) if isinstance(value, str) else ""
    if content := reader.place.environ.get(name):
        return content
    # The value may be the password itself, written here by mistake: keep it out of logs.
    shows = re.fullmatch(r"[A-Z_][A-Z0-9_]*", name)
    allowed = "the name of an environment variable that is set"
    if shows:
        raise BadValueError(allowed, name)
    raise BadValueError(f"{allowed} (the value is not shown)", None)


_SOURCES = {"": _from_text, "_file": _from_file, "_env": _from_environ}


def _warn_if_exposed(reader: SectionReader, holder: Path, what: str) -> None:
    try:
        mode = holder.stat().st_mode
    except OSError:
        return
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        reader.warn(f"{what}, and group or others can read {one_line(str(holder))}")


def key(convert: Convert, default: object) -> Mapping[str, Key]:
    """Return the attrs metadata that make an attribute a key of its section."""
    return {"key": Key(convert, default)}


def secret(url: str | None = None) -> Mapping[str, SecretKey]:
    """Return the metadata of a password, which the URL in the key ``url`` may also contain."""
    return {"key": SecretKey(url)}


class SectionKey(Protocol):
    """Declare how a key of a section is read."""

    default: Any  # of the type of its attribute

    def names(self, name: str) -> tuple[str, ...]:
        """Return the names the key may have in the file."""

    def read(
        self, section: str, name: str, table: Mapping[str, object], reader: SectionReader
    ) -> Any:
        """Return the value; record an error and return None if it is bad."""


def keys_of(section: type) -> dict[str, SectionKey]:
    """Return the declared keys of a section, in order."""
    return {field.name: field.metadata["key"] for field in attrs.fields(section)}
