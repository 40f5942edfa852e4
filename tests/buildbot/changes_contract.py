"""What it promises to send changes, each once, and to record that one is being sent."""

from __future__ import annotations

from typing import Protocol

from buildapi.buildbot.v08.change_sender import SendRecord
from buildapi.buildbot.v08.step_runner import ChangeSteps
from buildapi.model.steps import SendChange
from tests.buildbot.seed import MASTER_A
from tests.model.values import job
from tests.reactor import twisted_test

STEP = SendChange(MASTER_A, "try", "abcdef012345", None)


class SendRecordContract:
    """Tests of a SendRecord; the fixture ``record`` knows of the plans of jobs 7 and 8."""

    @twisted_test(10)
    async def test_what_is_begun_stays_begun(self, record: SendRecord) -> None:
        assert not await record.begun(job(7))
        for _ in range(2):
            await record.begin(job(7))
            assert await record.begun(job(7))

    @twisted_test(10)
    async def test_each_job_has_its_own(self, record: SendRecord) -> None:
        await record.begin(job(7))
        for other in (job(8), job(7, life=1), job(9)):
            assert not await record.begun(other)


class ChangesUnderTest(Protocol):
    """What sends changes to a master that stores them; jobs 7 and 8 are written."""

    @property
    def changes(self) -> ChangeSteps:
        """Return what is tested."""

    def stored(self) -> int:
        """Return how many changes were stored."""


class ChangeStepsContract:
    """Tests of ChangeSteps; a subclass has the fixture ``sending`` (see ChangesUnderTest)."""

    @twisted_test(15)
    async def test_a_change_is_sent_to_its_master(self, sending: ChangesUnderTest) -> None:
        item = await sending.changes.send(job(7), STEP, "zo\xeb@example.org")
        assert (item.state, item.master, sending.stored()) == ("done", MASTER_A, 1)

    @twisted_test(15)
    async def test_the_change_of_a_job_is_sent_once_and_that_of_another_as_well(
        self, sending: ChangesUnderTest
    ) -> None:
        for _ in range(3):
            item = await sending.changes.send(job(7), STEP, "zoe")
            assert (item.state, sending.stored()) == ("done", 1)
        item = await sending.changes.send(job(8), STEP, "zoe")
        assert (item.state, sending.stored()) == ("done", 2)
