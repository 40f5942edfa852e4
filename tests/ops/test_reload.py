"""Reading again: all or nothing of what can change, and what needs a restart is named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs

from buildapi.config import Config, sample_config
from buildapi.errors import ConfigError
from buildapi.model.audit import AuditOutcome
from buildapi.ops.reload import Reload, Reloadable, Reloader, reload_record, settings_of

NOW = 1_795_819_765.5


def changed(config: Config, section: str, **keys: Any) -> Config:
    return attrs.evolve(config, **{section: attrs.evolve(getattr(config, section), **keys)})


class Around:
    """A reloader over a configuration that tests change."""

    def __init__(self, tmp_path: Any) -> None:
        self.config = sample_config(tmp_path, "tcp:0:interface=127.0.0.1")
        self.put: list[tuple[str, Any]] = []
        self.refreshed = 0
        self.refused: str | None = None
        able = (
            Reloadable("log", ("level", "format"), self._log),
            Reloadable("limits", ("count",), self._limits),
        )
        self.reloader = Reloader(self._read, self.config, lambda: able, lambda: NOW, self._refresh)

    def _read(self) -> Config:
        if isinstance(self.config, Exception):
            raise self.config
        return self.config

    def _refresh(self) -> None:
        self.refreshed += 1

    def _log(self, config: Any) -> Callable[[], None]:
        return lambda: self.put.append(("level", config.log.level))

    def _limits(self, config: Any) -> Callable[[], None]:
        if self.refused:
            raise ConfigError(self.refused)
        return lambda: self.put.append(("count", config.limits.count))


def texts(logged_errors: list[Any]) -> list[str]:
    found = [e.get("line", e["log_format"]) for e in logged_errors]
    logged_errors.clear()
    return found


def test_what_did_not_change_is_left_alone(tmp_path: Any) -> None:
    around = Around(tmp_path)
    done = around.reloader.reload()
    assert (done.at, done.ok, done.applied, done.needs_restart) == (NOW, True, [], [])
    assert around.put == []
    assert around.refreshed == 1


def test_what_can_change_does_and_the_rest_is_named(tmp_path: Any) -> None:
    around = Around(tmp_path)
    around.config = changed(around.config, "log", level="debug")
    around.config = changed(around.config, "web", answer_seconds=33.0)
    done = around.reloader.reload()
    assert around.put == [("level", "debug")]
    assert (done.applied, done.needs_restart) == (["[log] level"], ["[web] answer_seconds"])
    again = around.reloader.reload()
    assert (again.applied, again.needs_restart) == ([], ["[web] answer_seconds"])
    assert len(around.put) == 1


def test_a_wrong_configuration_changes_nothing_and_each_error_is_logged(
    tmp_path: Any, logged_errors: list[Any]
) -> None:
    around = Around(tmp_path)
    around.config = ConfigError("a is wrong\nb is wrong")  # type: ignore[assignment]
    done = around.reloader.reload()
    assert (done.ok, done.errors) == (False, ["a is wrong", "b is wrong"])
    assert around.reloader.last is done
    assert (around.put, around.refreshed) == ([], 0)
    assert texts(logged_errors)[-2:] == ["a is wrong", "b is wrong"]


def test_where_one_part_refuses_none_changes(tmp_path: Any, logged_errors: list[Any]) -> None:
    around = Around(tmp_path)
    around.config = changed(around.config, "log", level="debug")
    around.config = changed(around.config, "limits", count=7)
    around.refused = "not that"
    done = around.reloader.reload()
    assert (done.ok, done.errors, around.put) == (False, ["not that"], [])
    assert texts(logged_errors)[-1] == "not that"
    around.refused = None
    assert around.reloader.reload().applied == ["[log] level", "[limits] count"]


def test_a_mistake_of_ours_keeps_the_program_as_it_is(
    tmp_path: Any, logged_errors: list[Any]
) -> None:
    around = Around(tmp_path)
    around.config = OSError("no")  # type: ignore[assignment]
    done = around.reloader.reload()
    assert (done.ok, done.errors) == (False, ["OSError"])
    assert len(texts(logged_errors)) == 1


def test_settings_have_the_names_that_people_write(tmp_path: Any) -> None:
    found = settings_of(Around(tmp_path).config)
    assert found["[log] level"] == "info"
    assert "[databases.jobs] url" in found
    assert "[file] " not in "".join(found)


def test_the_record_of_a_reload_has_names_of_settings_and_no_values() -> None:
    done = Reload(NOW, True, (), ["[log] level"], ["[databases.jobs] url"])
    record = reload_record(done)
    assert (record.action, record.outcome) == ("reload_configuration", AuditOutcome.DONE)
    assert record.detail == "applied: [log] level; restart needed: [databases.jobs] url"
    failed = reload_record(Reload(NOW, False, ["[web] listen = 'x'", "another"]))
    assert (failed.outcome, failed.detail) == (AuditOutcome.FAILED, "2 errors")
