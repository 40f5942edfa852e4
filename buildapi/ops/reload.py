"""Reload the configuration at run time, and apply what needs no restart."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
from twisted.logger import Logger

from buildapi.errors import ConfigError
from buildapi.model.audit import BY_PROCESS, RELOAD, AuditOutcome, AuditRecord

NOT_SETTINGS = ("file", "warnings", "worker")


@attrs.frozen
class Reloadable:
    """Declare keys of a section that can change at run time.

    ``prepare`` is called with the new configuration, validates it, and returns a function that
    applies it and cannot fail; :raises ConfigError: nothing of any section is applied. With
    ``always`` it is called even if no key changed, since a file it names may have.
    """

    section: str
    keys: Sequence[str]
    prepare: Callable[[Any], Callable[[], None]]
    always: bool = False

    @property
    def names(self) -> Sequence[str]:
        """Return the names of the keys as errors show them."""
        return [f"[{self.section}] {key}" for key in self.keys]


@attrs.frozen
class Reload:
    """Hold the result of reloading the configuration at ``at``, in epoch seconds.

    ``needs_restart`` lists keys that differ from what is in force.
    """

    at: float
    ok: bool
    errors: Sequence[str] = ()
    applied: Sequence[str] = ()
    needs_restart: Sequence[str] = ()


@attrs.define
class Reloader:
    """Reload with ``read``, which raises ConfigError; ``last`` is the last result.

    ``refresh`` is called after each success, to read the files that the configuration names,
    ``told`` with each result.
    """

    _read: Callable[[], object]
    _config: Any
    _reloadables: Callable[[], Sequence[Reloadable]]
    _now: Callable[[], float]
    _refresh: Callable[[], None] = lambda: None
    told: Callable[[Reload], None] = attrs.field(default=lambda _: None, init=False)
    last: Reload | None = attrs.field(default=None, init=False)
    _in_force: dict[str, object] = attrs.field(init=False)
    _log = Logger()

    def __attrs_post_init__(self) -> None:
        self._in_force = settings_of(self._config)

    def reload(self) -> Reload:
        """Apply the current configuration, or leave everything as it is."""
        try:
            self.last = self._obeyed(self._read())
        except ConfigError as e:
            self.last = Reload(self._now(), False, str(e).splitlines())
            self._tell_errors(self.last)
        except Exception as e:
            self.last = Reload(self._now(), False, [f"{type(e).__name__}"])
            self._log.failure("the configuration could not be reloaded: nothing changed")
        self.told(self.last)
        return self.last

    def _obeyed(self, config: Any) -> Reload:
        wanted = settings_of(config)
        changed = [n for n, value in wanted.items() if value != self._in_force.get(n)]
        going = [one for one in self._reloadables() if one.always or set(one.names) & set(changed)]
        # All are prepared before one is applied: with an error nothing changes [docs/logging.md,
        # Reloading].
        applies = [one.prepare(config) for one in going]
        for apply in applies:
            apply()
        able = {name for one in going for name in one.names}
        applied = [name for name in changed if name in able]
        # Not what needs a restart: each later reload reports it again.
        self._in_force |= {name: wanted[name] for name in applied}
        rest = [name for name in changed if name not in able]
        done = Reload(self._now(), True, (), applied, rest)
        self._tell(done, config.warnings)
        self._refresh()
        return done

    def _tell(self, done: Reload, warnings: Sequence[str]) -> None:
        for warning in warnings:
            self._log.warn("{warning}", warning=warning)
        applied = ", ".join(done.applied) or "nothing"
        self._log.info("configuration reloaded; applied: {applied}", applied=applied)
        if done.needs_restart:
            rest = ", ".join(done.needs_restart)
            self._log.warn("restart needed to apply: {keys}", keys=rest)

    def _tell_errors(self, done: Reload) -> None:
        self._log.error("the configuration is invalid: nothing changed")
        for line in done.errors:
            self._log.error("{line}", line=line)


def reload_record(done: Reload) -> AuditRecord:
    """Return the record of a reload for the audit log: the names of settings, and no values."""
    if not done.ok:
        return AuditRecord(
            RELOAD, AuditOutcome.FAILED, BY_PROCESS, detail=f"{len(done.errors)} errors"
        )
    told = f"applied: {', '.join(done.applied) or 'nothing'}"
    if done.needs_restart:
        told += f"; restart needed: {', '.join(done.needs_restart)}"
    return AuditRecord(RELOAD, AuditOutcome.DONE, BY_PROCESS, detail=told)


def settings_of(config: Any) -> dict[str, object]:
    """Return all settings by name, such as ``[web] listen`` and ``[databases.jobs] url``."""
    found: dict[str, object] = {}
    for field in attrs.fields(type(config)):
        if field.name not in NOT_SETTINGS:
            _collect(field.name, getattr(config, field.name), found)
    return found


def _collect(section: str, values: Any, found: dict[str, object]) -> None:
    plain: Mapping[str, object] = {
        f.name: getattr(values, f.name) for f in attrs.fields(type(values))
    }
    for name, value in plain.items():
        if attrs.has(type(value)) and section == "databases":
            _collect(f"{section}.{name}", value, found)
        else:
            found[f"[{section}] {name}"] = value
