"""What is away is waited for, within bounds; what is broken is not."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import attrs
import pytest
from twisted.internet import defer
from twisted.internet.task import Clock

from buildapi.agent.retry import LONGEST_PAUSE, PATIENCE, Retrier
from buildapi.errors import BadRequest, BrokerUnavailable, DatabaseUnavailable
from buildapi.model.messages import Ack, Disposition, Nack, Release


@attrs.define
class Trial:
    """Something that fails in a given way, so often, and works then."""

    errors: Iterable[Exception]
    clock: Clock = attrs.field(factory=Clock)
    times: list[float] = attrs.field(factory=list)
    patience: Retrier = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self.patience = Retrier(self.clock)
        self.errors = iter(self.errors)

    async def do(self) -> Disposition:
        self.times.append(self.clock.seconds())
        for error in self.errors:
            raise error
        return Ack()

    def begin(self) -> defer.Deferred[Disposition]:
        return defer.ensureDeferred(self.patience.attempt("it", self.do))


def result(running: defer.Deferred[Any]) -> Any:
    return running.result if running.called else None


def test_what_works_is_done_once() -> None:
    trial = Trial([])
    assert result(trial.begin()) == Ack()
    assert trial.times == [0]


def test_pauses_grow_up_to_a_bound() -> None:
    trial = Trial([DatabaseUnavailable("away"), BrokerUnavailable("away")] * 4)
    running = trial.begin()
    trial.clock.pump([0.5] * 200)
    assert result(running) == Ack()
    pauses = [b - a for a, b in itertools.pairwise(trial.times)]
    assert pauses == [0.5, 1, 2, 4, 8, LONGEST_PAUSE, LONGEST_PAUSE, LONGEST_PAUSE]


def test_in_the_end_the_message_goes_back() -> None:
    trial = Trial(DatabaseUnavailable("away") for _ in iter(int, 1))
    running = trial.begin()
    trial.clock.pump([1] * int(PATIENCE - LONGEST_PAUSE))
    assert not running.called
    trial.clock.pump([1] * int(LONGEST_PAUSE))
    assert result(running) == Nack("not possible now: away", LONGEST_PAUSE, failed=False)
    assert trial.clock.getDelayedCalls() == []


@pytest.mark.parametrize("error", [ZeroDivisionError(), BadRequest("no")])
def test_other_errors_are_not_waited_out(error: Exception) -> None:
    trial = Trial([error])
    caught: list[Any] = []
    trial.begin().addErrback(lambda f: caught.append(f.value))
    assert caught == [error]
    assert trial.times == [0]


def test_stopping_ends_pauses_and_leaves_the_message() -> None:
    trial = Trial([DatabaseUnavailable("away")] * 9)
    running = [trial.begin(), trial.begin()]
    trial.patience.stop()
    assert [result(r) for r in running] == [Release(), Release()]
    assert trial.clock.getDelayedCalls() == []
    assert len(trial.times) == 2


def test_what_was_not_begun_before_the_stop_is_not_begun() -> None:
    trial = Trial([])
    trial.patience.stop()
    assert result(trial.begin()) == Release()
    assert trial.times == []
    trial.patience.begin()
    assert result(trial.begin()) == Ack()
