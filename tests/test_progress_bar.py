"""How far a command is, on a terminal and elsewhere."""

from __future__ import annotations

import io
import sys

import pytest

from buildapi.progress_bar import progress_bar, progress_lines


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_progress_is_a_bar_on_a_terminal() -> None:
    pytest.importorskip("rich")
    stream = Terminal()
    with progress_bar(stream, "builds") as show:
        show(5, 10)
        show(10, 10)
    assert "builds" in stream.getvalue()
    assert "100%" in stream.getvalue()


def test_what_was_chosen_is_shown_without_rich(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rich.console", None)
    stream = Terminal()
    with progress_bar(stream, "builds", progress_lines(stream, "builds")) as show:
        show(10, 10)
    assert stream.getvalue() == "10 of 10 builds\n"


def test_nothing_is_shown_where_nothing_was_chosen() -> None:
    stream = io.StringIO()
    with progress_bar(stream, "builds") as show:
        show(10, 10)
    assert stream.getvalue() == ""


def test_a_line_is_written_for_each_tenth() -> None:
    stream = io.StringIO()
    show = progress_lines(stream, "builds")
    for done in range(1, 101):
        show(done, 100)
    assert stream.getvalue().splitlines() == [f"{n} of 100 builds" for n in range(10, 101, 10)]
