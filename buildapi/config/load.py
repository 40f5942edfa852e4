"""Load and check the configuration file, before any port is opened."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import attrs

from buildapi.config.addresses import wide_open
from buildapi.config.checks import CHECKS
from buildapi.config.converters import KeyPlace
from buildapi.config.reader import SectionReader
from buildapi.config.secret import one_line, printable, shown
from buildapi.config.sections import (
    DATABASES,
    SECTIONS,
    Config,
    DatabaseSection,
    DatabasesSection,
    ServiceSection,
)
from buildapi.errors import ConfigError

SAMPLE_USER = "you@localhost"
LOCAL_HOSTS = ["localhost", "127.0.0.1", "[::1]"]
"""Hosts under which the sample farm may be requested.

Requests from this host need no password there, so other names (DNS rebinding) are refused.
"""


def load(path: Path | str, environ: Mapping[str, str] = os.environ) -> Config:
    """Read and check a TOML file.

    :raises ConfigError: with one line for each error in it.
    """
    file = Path(os.path.abspath(path))
    return from_mapping(_document(file), file=file, environ=environ)


def sample_config(data: Path, listen: str | None) -> Config:
    """Return the configuration of the sample farm: all in this process and one data folder.

    :raises ConfigError: ``listen`` is not an endpoint, or ``data`` not a folder.
    """
    document: dict[str, object] = {
        "service": {"data": os.path.abspath(data)},
        "web": {"development_user": SAMPLE_USER, "hosts": LOCAL_HOSTS}
        | ({"listen": [listen]} if listen else {}),
        "sample": {"enabled": True},
    }
    return from_mapping(document, file=Path("sample configuration"), environ={})


def from_mapping(
    mapping: Mapping[str, object], *, file: Path, environ: Mapping[str, str] = os.environ
) -> Config:
    """Read and check a parsed TOML file; paths are relative to the folder of ``file``.

    :raises ConfigError: with one line for each error in it.
    """
    reader = SectionReader(file, KeyPlace(Path(os.path.abspath(file.parent)), environ))
    reader.unknown(mapping, [*SECTIONS, "databases"], "section")
    found: dict[str, object] = {
        name: reader.section(name, cls, mapping.get(name, {})) for name, cls in SECTIONS.items()
    }
    service = found["service"]
    data = service.data if isinstance(service, ServiceSection) else reader.place.folder
    databases = _databases(mapping.get("databases", {}), data, reader)
    _stop_at_errors(reader)
    config = Config(**found, databases=databases, file=file)  # type: ignore[arg-type]  # no error
    # Keys are compared only if each is valid: other errors would be misleading.
    for check in CHECKS:
        for what in check(config):
            reader.refuse(what)
    _stop_at_errors(reader)
    return _completed(_with_old_names(config, mapping, reader), reader)


def _databases(table: object, data: Path, reader: SectionReader) -> DatabasesSection | None:
    """Read the four database tables; the default URL is an SQLite file in the data folder."""
    if not isinstance(table, Mapping):
        reader.refuse(f"[databases] is {shown(table)}: must be a table")
        return None
    reader.unknown(table, DATABASES, "section", "databases")
    found = {
        name: reader.section(
            f"databases.{name}", DatabaseSection, _with_url(table.get(name, {}), default)
        )
        for name, default in _default_urls(table, data).items()
    }
    # The same object, by which checks know that it is the same database.
    found.setdefault("scheduler_replica", found["scheduler"])
    return DatabasesSection(**found) if all(found.values()) else None  # type: ignore[arg-type]  # none is None


def _default_urls(table: Mapping[str, object], data: Path) -> dict[str, str]:
    urls = {name: f"sqlite:{data}/{name}.sqlite" for name in DATABASES}
    # A replica that is named must say where it is: the default would be another's file.
    del urls["scheduler_replica"]
    return urls | ({"scheduler_replica": ""} if "scheduler_replica" in table else {})


def _with_url(table: object, url: str) -> object:
    return {"url": url} | table if isinstance(table, dict) else table


def _with_old_names(config: Config, mapping: Mapping[str, object], reader: SectionReader) -> Config:
    """Apply ``[broker] max_deliveries``, the older name of ``[agent] tries``, with a warning."""
    old = config.broker.max_deliveries
    if old is None:
        return config
    agent = mapping.get("agent")
    if isinstance(agent, Mapping) and "tries" in agent:
        reader.warn("[broker] max_deliveries is ignored: [agent] tries, its new name, is also set")
        return config
    reader.warn(f"[broker] max_deliveries is now called [agent] tries: used as tries = {old}")
    return attrs.evolve(config, agent=attrs.evolve(config.agent, tries=old))


def _completed(config: Config, reader: SectionReader) -> Config:
    """Add the files that a sample farm writes, and the warnings to log."""
    if user := config.web.development_user:
        reader.warn(
            f"[web] development_user = {shown(user)}: local requests without a user act as this"
            " user"
        )
    for description in config.web.listen if "unix" in config.web.trusted_proxies else ():
        if why := wide_open(description):
            reader.warn(
                f"[web] listen = {shown(description)}: {why}; whoever connects may name any user,"
                ' because trusted_proxies has "unix"'
            )
    directory, dumps = config.directory, config.dumps
    if config.sample.enabled:
        directory = attrs.evolve(
            directory,
            branches=directory.branches or str(config.service.data / "branches.json"),
            masters=directory.masters or str(config.service.data / "masters.json"),
            builders=directory.builders or str(config.service.data / "builders.json"),
        )
        dumps = attrs.evolve(dumps, folder=dumps.folder or config.service.data / "dumps")
    more = {"directory": directory, "dumps": dumps, "warnings": tuple(reader.warnings)}
    return attrs.evolve(config, **more)  # type: ignore[arg-type]  # each of its own type


def _stop_at_errors(reader: SectionReader) -> None:
    if reader.errors:
        raise ConfigError("\n".join(reader.errors))


def _document(file: Path) -> dict[str, object]:
    """Parse TOML; errors contain no text of the file, which may hold passwords."""
    named = one_line(str(file))
    try:
        text = file.read_bytes().decode()
    except OSError as e:
        raise ConfigError(f"{named}: cannot read it: {e.strerror}") from e
    except UnicodeDecodeError as e:
        line = e.object[: e.start].count(b"\n") + 1
        raise ConfigError(f"{named}: line {line}: not UTF-8 text") from None
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as e:
        raise ConfigError(f"{named}: {_syntax_error(str(e), text)}") from None


def _syntax_error(message: str, text: str) -> str:
    """Return the parser's message after its line number, also for "at end of document"."""
    match = re.fullmatch(r"(.*) \(at (?:line (\d+), column \d+|end of document)\)", message)
    if match is None:  # a limit of the interpreter: nesting, digits of a number
        return f"not TOML: {printable(message)}"
    last = text.rstrip().count("\n") + 1
    return f"line {match[2] or last}: not TOML: {printable(match[1])}"
