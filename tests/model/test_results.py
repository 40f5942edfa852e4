"""Results have one word each, the same on pages, in commands, in reports and in mails."""

from __future__ import annotations

import pytest

from buildapi.cli import queries
from buildapi.cli.table_rows import state as state_in_a_table
from buildapi.jobs.build_states import STATES
from buildapi.model.results import CANCELLED, NO_RESULT, RESULT_WORDS, known_result, result_word
from buildapi.reports.failed_locales import result_word as word_in_a_mail
from buildapi.reports.request_rows import results_picture
from buildapi.web.selfserve.listing import state


def ended(status: int | None) -> dict[str, int | None]:
    return {"build_id": 1, "endtime": 9, "status": status}


def test_a_cancelled_build_has_one_word_everywhere() -> None:
    """Pages, tables of the command line, pictures and mails call result 6 cancelled."""
    assert state(ended(CANCELLED)) == state_in_a_table(ended(CANCELLED)) == "cancelled"
    assert word_in_a_mail(CANCELLED) == "CANCELLED"
    assert results_picture({CANCELLED: 3}).grid.rows == [("cancelled", 3)]


def test_every_result_can_be_asked_for_by_its_word() -> None:
    """Filters of pages and of the command line know the words of all results."""
    assert set(RESULT_WORDS.values()) <= set(STATES)
    assert set(RESULT_WORDS.values()) <= set(queries.STATES)


@pytest.mark.parametrize("number", sorted(RESULT_WORDS))
def test_a_state_is_the_word_of_the_result(number: int) -> None:
    assert state(ended(number)) == state_in_a_table(ended(number)) == RESULT_WORDS[number]


@pytest.mark.parametrize("stored", [None, NO_RESULT])
def test_a_build_that_runs_has_no_result(stored: int | None) -> None:
    """Buildbot 0.8.4 stores -1 where others store NULL."""
    assert known_result(stored) is None
    assert (result_word(stored), result_word(stored, none="running")) == ("-", "running")


def test_a_foreign_number_has_no_word() -> None:
    assert result_word(7) == "-"
