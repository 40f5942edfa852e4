"""The log of the process: levels, forms, files, and what the command line of twistd says."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import attrs
import pytest
from twisted.logger import ILogObserver, LogLevel, globalLogPublisher

from buildapi.ops.logs import Logs, twistd_options


@attrs.define
class Application:
    """What services are put under, as far as logs use it."""

    components: dict[Any, Any] = attrs.field(factory=dict)

    def setComponent(self, interface: Any, component: Any) -> None:
        self.components[interface] = component


class Around:
    def __init__(self, level: str = "info", form: str = "text", file: Path | None = None) -> None:
        self.levels: Counter[str] = Counter()
        self.logs = Logs(level, form, file, lambda level: self.levels.update([level]))
        self.application = Application()

    def install(self, *arguments: str) -> None:
        self.logs.install(self.application, ["/usr/bin/twistd", *arguments])
        globalLogPublisher.removeObserver(self.logs.count)  # type: ignore[arg-type]

    def log(self, text: str, level: str = "info") -> None:
        event = {"log_format": text, "log_level": LogLevel.levelWithName(level), "log_time": 1.0}
        self.logs(event)
        self.logs.count(event)


def written(path: Path) -> list[str]:
    return [line.partition("] ")[2] for line in path.read_text().splitlines()]


def test_lines_below_the_level_are_left_out_and_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    around = Around("warn", file=path)
    around.install("-n")
    for level in ("debug", "info", "warn", "error", "critical"):
        around.log(level, level)
    assert written(path) == ["warn", "error", "critical"]
    assert around.levels == Counter(["debug", "info", "warn", "error", "critical"])
    around.logs.close()


def test_the_application_gets_it_as_its_log() -> None:
    around = Around()
    around.install("-n")
    assert around.application.components == {ILogObserver: around.logs}


def test_who_is_no_application_gets_nothing() -> None:
    around = Around()
    around.logs.join(object())
    around.log("nowhere")


@pytest.mark.parametrize("words", [["--logger", "x.y"], ["--syslog"]])
def test_another_log_of_the_command_line_wins(words: list[str], tmp_path: Path) -> None:
    around = Around(file=tmp_path / "a.log")
    around.install("-n", *words)
    around.log("x")
    assert around.application.components == {}
    assert list(around.logs.adaptable) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("words", [["-l", "named.log"], ["--logfile=named.log"]])
def test_the_file_of_the_command_line_wins(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    around = Around(file=tmp_path / "a.log")
    around.install("-n", *words, "buildapi", "--listen", "x")
    around.log("1")
    around.logs.adapt("info", "json", tmp_path / "b.log")
    around.log("2")
    assert list(around.logs.adaptable) == ["level", "format"]
    assert [p.name for p in tmp_path.iterdir()] == ["named.log"]
    text, told = (tmp_path / "named.log").read_text().splitlines()
    assert text.endswith("] 1")
    assert json.loads(told)["msg"] == "2"
    around.logs.close()


def test_the_file_of_the_command_line_may_be_renamed_by_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    around = Around()
    around.install("--logfile=named.log", "buildapi")
    monkeypatch.chdir("/")  # as daemons do
    around.log("1")
    (tmp_path / "named.log").rename(tmp_path / "named.log-20261129")
    around.logs.reopen()
    around.log("2")
    around.logs.close()
    assert written(tmp_path / "named.log") == ["2"]
    assert written(tmp_path / "named.log-20261129") == ["1"]


def test_a_daemon_without_a_file_has_that_of_twistd(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    around = Around()
    around.install("buildapi")
    around.log("1")
    assert written(tmp_path / "twistd.log") == ["1"]
    around.logs.close()


def test_a_daemon_cannot_log_to_its_terminal() -> None:
    with pytest.raises(SystemExit):
        Around().install("--logfile=-", "buildapi")


def test_in_the_foreground_it_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    around = Around()
    around.install("-n")
    around.log("here")
    assert capsys.readouterr().out.endswith("] here\n")


def test_level_form_and_file_can_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = tmp_path / "1.log", tmp_path / "2.log"
    around = Around(file=one)
    around.install("-n")
    around.log("a")
    around.logs.adapt("debug", "json", two)
    around.log("b", "debug")
    around.logs.adapt("error", "text", None)
    around.log("c", "warn")
    around.log("d", "error")
    assert written(one) == ["a"]
    assert json.loads(two.read_text())["msg"] == "b"
    assert capsys.readouterr().out.endswith("] d\n")


def test_it_goes_on_in_a_new_file(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    around = Around(file=path)
    around.install("-n")
    around.log("1")
    path.rename(tmp_path / "old")
    around.logs.reopen()
    around.log("2")
    assert written(path) == ["2"]
    around.logs.close()


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["twistd", "-n", "buildapi", "-l", "x"], {"--nodaemon": ""}),
        (["twistd", "-noy", "x.tac"], {"--nodaemon": "", "--no_save": "", "--python": "x.tac"}),
        (["/a/twistd3", "--nodaemon", "--logfile", "f"], {"--nodaemon": "", "--logfile": "f"}),
        (["-c", "-n", "--pidfile=", "buildapi"], {"--nodaemon": "", "--pidfile": ""}),
        (["service", "--wrong"], {"--nodaemon": ""}),
        (["twistd", "buildapi"], {}),
        ([], {}),
    ],
)
def test_the_command_line_of_twistd_is_read(arguments: list[str], found: dict[str, str]) -> None:
    names = {"-o": "--no_save", "-y": "--python"}
    told = {names.get(name, name): value for name, value in twistd_options(arguments).items()}
    assert told == found
