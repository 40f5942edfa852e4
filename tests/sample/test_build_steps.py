"""The steps of a build of the sample farm: they fill its time, and the last has its result."""

from __future__ import annotations

import pytest

from buildapi.model.results import EXCEPTION, FAILURE, SUCCESS, WARNINGS
from buildapi.sample.build_steps import COMPILE_STEPS, steps_of

T0 = 1_700_000_000


@pytest.mark.parametrize("suite", [None, "xpcshell"])
@pytest.mark.parametrize("result", [SUCCESS, WARNINGS, FAILURE, EXCEPTION])
@pytest.mark.parametrize("number", range(5))
def test_steps_fill_the_time_of_a_build(suite: str | None, result: int, number: int) -> None:
    steps = list(steps_of(suite, number, T0, T0 + 100, result))
    assert (steps[0].start, steps[-1].finish) == (T0, T0 + 100)
    assert [s.finish for s in steps[:-1]] == [s.start for s in steps[1:]]
    assert [s.status for s in steps] == [*[SUCCESS] * (len(steps) - 1), result]


def test_any_step_of_a_compile_may_fail() -> None:
    failed = {list(steps_of(None, n, T0, T0 + 100, FAILURE))[-1].name for n in range(8)}
    assert failed == {name for name, _ in COMPILE_STEPS}


def test_a_running_build_has_a_step_without_an_end() -> None:
    (step,) = steps_of(None, 1, T0, None, None)
    assert (step.finish, step.status) == (None, None)


def test_the_words_of_a_step_say_how_it_ended() -> None:
    steps = list(steps_of("xpcshell", 1, T0, T0 + 100, FAILURE))
    assert [s.description for s in steps] == [["download"], ["xpcshell", "failed"]]
