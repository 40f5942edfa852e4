"""Slaves of cancelled builds are clobbered, and a clobberer in trouble harms nothing else."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_twisted
from twisted.logger import formatEvent, globalLogPublisher

from buildapi.buildbot.http_fetch import Fetcher
from buildapi.buildbot.v08.clobber import Clobberer, slave_of
from buildapi.buildbot.v08.step_runner import StepRunner
from buildapi.model.outcome import Item
from buildapi.model.steps import Clobber, SendChange, StopBuild
from tests.buildbot.acting import Changes, make_masters, the_reactor
from tests.buildbot.doubles import Answer, Masterfarm, build_json, hang, redirect, status
from tests.buildbot.seed import MASTER_A, T0
from tests.model.values import job
from tests.reactor import twisted_test

BUILDER, SLAVE, TOKEN = "l/n x 50%", "slave-a1", "s3cret-t0ken"
STEP = Clobber(StopBuild(70, 7, 4, BUILDER, T0 + 11, "abcdef012345", MASTER_A))
SECONDS = 0.4


@pytest_twisted.async_yield_fixture
async def farm() -> AsyncIterator[Masterfarm]:
    farm = Masterfarm()
    farm.add(MASTER_A, lambda request: build_json(BUILDER, slave=SLAVE))
    farm.add("clobberer", stop=lambda request: b"{}")
    yield farm
    await farm.close()


@pytest.fixture
def logged() -> Iterator[list[str]]:
    texts: list[str] = []

    def observe(event: Any) -> None:
        texts.append(f"{formatEvent(event)} {event!r}")

    globalLogPublisher.addObserver(observe)
    yield texts
    globalLogPublisher.removeObserver(observe)


async def clobbered(farm: Masterfarm, token: str | None = TOKEN) -> Item:
    reactor = the_reactor()
    url = f"{farm.masters['clobberer'].entry.url}clobber"
    masters = make_masters(
        lambda: {MASTER_A: farm.masters[MASTER_A].entry}, seconds=SECONDS, wait_seconds=SECONDS
    )
    clobberer = Clobberer(Fetcher(reactor), masters, lambda: (url, token), SECONDS)
    return await clobberer.clobber(STEP)


def item(state: str, detail: str) -> Item:
    return Item(state, detail, request_id=7, build_id=70, master=MASTER_A)


@pytest.mark.parametrize("token", [TOKEN, None])
@twisted_test()
async def test_the_slave_of_the_build_is_clobbered_for_its_builder(
    farm: Masterfarm, token: str | None
) -> None:
    assert await clobbered(farm, token) == item("done", f"{SLAVE} clobbered for {BUILDER}")
    asked = farm.masters[MASTER_A].asked.seen
    assert asked == [("GET", "/json/builders/l%2Fn%20x%2050%25/builds/4")]
    told = farm.masters["clobberer"].asked
    assert told.seen == [("POST", "/clobber")]
    assert told.documents == [[{"slave": SLAVE, "buildername": BUILDER}]]
    sent = told.headers[0].get("authorization")
    assert sent == (None if token is None else f"Bearer {TOKEN}")


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: build_json(BUILDER),
        lambda request: build_json(BUILDER, slave=""),
        lambda request: build_json(BUILDER, slave=None),
        lambda request: b"<html>",
    ],
)
@twisted_test()
async def test_without_a_slave_nothing_is_clobbered(farm: Masterfarm, answer: Answer) -> None:
    farm.masters[MASTER_A].asked.json = answer
    assert await clobbered(farm) == item("nothing", "not clobbered: the master names no slave")
    assert farm.masters["clobberer"].asked.seen == []


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (status(404), "not clobbered: the master answered 404 to the request for the slave"),
        (status(500), "not clobbered: the master answered 500 to the request for the slave"),
        (hang, "not clobbered: no answer within 0.4 s"),
    ],
)
@twisted_test()
async def test_a_master_that_does_not_tell_the_slave_fails_in_words(
    farm: Masterfarm, answer: Answer, words: str
) -> None:
    farm.masters[MASTER_A].asked.json = answer
    assert await clobbered(farm) == item("failed", words)
    assert farm.masters["clobberer"].asked.seen == []


@pytest.mark.parametrize("who", [MASTER_A, "clobberer"])
@twisted_test()
async def test_who_is_down_fails_in_words(farm: Masterfarm, who: str) -> None:
    await farm.masters[who].port.stopListening()
    told = await clobbered(farm)
    begins = {MASTER_A: "not clobbered: ", "clobberer": f"{SLAVE} not clobbered: "}
    assert told.state == "failed"
    assert told.detail.startswith(begins[who])
    assert "refused" in told.detail


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (status(403), "the clobberer answered 403"),
        (status(500), "the clobberer answered 500"),
        (redirect("https://elsewhere.example.org/"), "the clobberer answered 302"),
        (hang, "no answer within 0.4 s"),
    ],
)
@twisted_test()
async def test_a_clobberer_that_does_not_obey_fails_in_words_and_in_time(
    farm: Masterfarm, answer: Answer, words: str
) -> None:
    farm.masters["clobberer"].asked.stop = answer
    assert await clobbered(farm) == item("failed", f"{SLAVE} not clobbered: {words}")


@pytest.mark.parametrize("answer", [lambda request: b"", status(201), status(403), hang])
@twisted_test()
async def test_the_token_is_in_no_log_and_no_item(
    farm: Masterfarm, answer: Answer, logged: list[str]
) -> None:
    farm.masters["clobberer"].asked.stop = answer
    told = await clobbered(farm)
    assert farm.masters["clobberer"].asked.headers[0]["authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in repr(told)
    assert not [text for text in logged if TOKEN in text]


@pytest.mark.parametrize(
    "answer",
    [b"", b"null", b"[]", b"5", b'"x"', b"\xff", b"[" * 100_000, b'{"slave": ["a"]}'],
    ids=lambda x: repr(x)[:20],
)
def test_an_answer_without_a_slave_has_none(answer: bytes) -> None:
    assert slave_of(answer) is None
    assert slave_of(json.dumps({"slave": "Zo\xeb"}).encode()) == "Zo\xeb"


# --- poking ---------------------------------------------------------------------------------


@twisted_test()
async def test_a_farm_without_a_clobberer_has_nothing_to_do() -> None:
    nobody: Any = None
    (told,) = await StepRunner(nobody, nobody, Changes(), None).poke(1, STEP, "zoe")
    assert told == Item("nothing", "no clobberer is configured", request_id=7)


class Does:
    """Do every kind of step, and say which."""

    async def stop(self, step: object, who: str) -> str:
        return f"stop {who}"

    async def clobber(self, step: object) -> str:
        return "clobber"


@twisted_test()
async def test_each_step_goes_to_what_carries_it_out() -> None:
    does: Any = Does()
    poker = StepRunner(does, does, Changes(), does)
    assert await poker.poke(job(9), STEP.build, "zoe") == ["stop zoe"]
    assert await poker.poke(job(9), STEP, "zoe") == ["clobber"]
    (change,) = await poker.poke(job(9), SendChange(MASTER_A, "try", "abc", None), "zoe")
    assert change == Item("done", "abc for zoe of job 9", master=MASTER_A)
