"""Builds are stopped on real small masters: the right ones, and seen to have stopped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
import pytest_twisted
from twisted.internet import defer

from buildapi.buildbot.v08.build_stopper import BuildStopper, Login
from buildapi.model.outcome import Item
from buildapi.model.steps import Sharer, StopBuild
from tests.buildbot.acting import make_masters, make_stopper
from tests.buildbot.conftest import Scheduler
from tests.buildbot.doubles import (
    Answer,
    MasterDouble,
    Masterfarm,
    after,
    build_json,
    hang,
    redirect,
    status,
)
from tests.buildbot.seed import MASTER_A, MASTER_B, T0
from tests.reactor import twisted_test

BACK = "../../../../builders/linux"
SECONDS = 1.0


@pytest.fixture
def engine() -> str:
    """Use one engine: the database is only looked at here."""
    return "sqlite"


@pytest_twisted.async_yield_fixture
async def farm() -> AsyncIterator[Masterfarm]:
    farm = Masterfarm()
    yield farm
    await farm.close()


class Case:
    """A running build that two masters may know of, and a stopper for it."""

    def __init__(self, farm: Masterfarm, scheduler: Scheduler, builder: str = "linux") -> None:
        self.farm, self.scheduler, self.builder = farm, scheduler, builder
        self.seed = scheduler.seed
        self.request = self.seed.request(builder=builder)
        self.build = self.seed.run(self.request)

    def step(self, build: int | None = None, master: str = MASTER_A, note: str = "") -> StopBuild:
        row = self.seed.row("builds", build or self.build)
        return StopBuild(
            row["id"],
            row["brid"],
            row["number"],
            self.builder,
            int(row["start_time"]),
            "abcdef012345",
            master,
            note,
        )

    def stopper(
        self,
        *,
        verify: float = 0.5,
        slots: int = 4,
        total: int = 20,
        login: Login | None = None,
        seconds: float = SECONDS,
    ) -> BuildStopper:
        masters = make_masters(
            self.farm.directory, seconds=seconds, wait_seconds=5, per_master=slots, total=total
        )
        return make_stopper(self.scheduler, masters, verify, login)

    def obedient(self, build: int | None = None, target: str = BACK, **json: Any) -> MasterDouble:
        """Start the master that runs the build and ends it when told to."""

        def stop(request: Any) -> Any:
            self.seed.end(build or self.build)
            return redirect(target)(request)

        return self.knowing(stop, **json)

    def knowing(self, stop: Answer, name: str = MASTER_A, **json: Any) -> MasterDouble:
        """Start a master that knows the build, with some answer to a stop."""
        told = build_json(self.builder, **json)
        return self.farm.add(name, lambda request: told, stop)

    async def stop(self, **options: Any) -> Item:
        return await self.stopper(**options).stop(self.step(), "zoe@example.org")


@pytest.fixture
def case(farm: Masterfarm, scheduler: Scheduler) -> Case:
    return Case(farm, scheduler)


@twisted_test()
async def test_a_stop_accepted_and_seen_is_done(case: Case) -> None:
    master = case.obedient()
    item = await case.stop()
    assert item == Item(
        "done", "stopped", request_id=case.request, build_id=case.build, master=MASTER_A
    )
    number = case.step().number
    assert master.asked.seen == [
        ("GET", f"/json/builders/linux/builds/{number}"),
        ("POST", f"/builders/linux/builds/{number}/stop"),
    ]
    assert master.asked.forms == [
        {b"username": [b"zoe@example.org"], b"comments": [b"Cancelled via self-serve"]}
    ]


@twisted_test()
async def test_masters_that_want_a_login_get_ours_and_who_it_was(case: Case) -> None:
    master = case.obedient()
    login = Login("buildapi", "p&ss word")
    await case.stop(login=login)
    assert master.asked.forms == [
        {
            b"username": [b"buildapi"],
            b"passwd": [b"p&ss word"],
            b"comments": [b"Cancelled via self-serve (zoe@example.org)"],
        }
    ]
    assert "p&ss" not in repr(case.stopper(login=login))


@pytest.mark.parametrize("login", [None, Login("buildapi", "pw")])
@twisted_test()
async def test_a_note_is_added_to_the_comment(case: Case, login: Login | None) -> None:
    master = case.obedient()
    await case.stopper(login=login).stop(case.step(note="backed out: Zo\xeb & co <1>"), "zoe")
    comment = "Cancelled via self-serve: backed out: Zo\xeb & co <1>" + (" (zoe)" if login else "")
    (form,) = master.asked.forms
    assert form[b"comments"] == [comment.encode()]


@twisted_test()
async def test_any_builder_name_reaches_the_master_encoded_once(
    farm: Masterfarm, scheduler: Scheduler
) -> None:
    case = Case(farm, scheduler, builder="l/n x 50%+&?#")
    master = case.obedient()
    assert (await case.stop()).state == "done"
    name = "l%2Fn%20x%2050%25%2B%26%3F%23"
    assert [uri.split("/builds/")[0] for _, uri in master.asked.seen] == [
        f"/json/builders/{name}",
        f"/builders/{name}",
    ]


@pytest.mark.parametrize("page", ["authfail", "authzfail", "authfail/"])
@twisted_test()
async def test_a_redirect_to_the_page_for_refusals_is_a_refusal(case: Case, page: str) -> None:
    case.knowing(redirect(f"../../../../{page}"))
    item = await case.stop()
    assert (item.state, item.detail) == (
        "failed",
        "the master refused the stop: not authorised (see [agent] master_username)",
    )


@twisted_test()
async def test_a_builder_called_authfail_is_no_refusal(
    farm: Masterfarm, scheduler: Scheduler
) -> None:
    case = Case(farm, scheduler, builder="authfail")
    case.obedient(target="../../../../builders/authfail")
    assert (await case.stop()).state == "done"


@pytest.mark.parametrize(
    ("answer", "text"),
    [(status(404), "no longer has this build"), (status(500), "answered 500")],
)
@twisted_test()
async def test_a_stop_not_accepted_fails(case: Case, answer: Answer, text: str) -> None:
    case.knowing(answer)
    item = await case.stop()
    assert (item.state, text in item.detail) == ("failed", True)


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (status(404), "no master has this build"),
        (status(500), "answered 500 to the request for the build"),
        (lambda request: b"no JSON", "no master has this build"),
    ],
)
@twisted_test()
async def test_a_master_that_does_not_tell_of_the_build_is_not_told_to_stop_it(
    case: Case, answer: Answer, text: str
) -> None:
    master = case.farm.add(MASTER_A, answer, redirect(BACK))
    item = await case.stop()
    assert (item.state, text in item.detail) == ("failed", True)
    assert master.posts == []


@twisted_test()
async def test_a_master_that_is_down_fails_at_once(case: Case) -> None:
    case.obedient()
    await case.farm.close()
    item = await case.stop()
    assert (item.state, "refused" in item.detail) == ("failed", True)


@twisted_test()
async def test_a_master_nobody_listed_fails(case: Case) -> None:
    item = await case.stop()
    assert (item.state, item.detail) == ("failed", f"no master {MASTER_A} in the directory")


@twisted_test()
async def test_a_hung_master_fails_in_time_while_others_stop_at_once(
    farm: Masterfarm, scheduler: Scheduler
) -> None:
    hung, fine = Case(farm, scheduler), Case(farm, scheduler)
    farm.add(MASTER_A, hang, hang)

    def stop(request: Any) -> Any:
        fine.seed.end(fine.build)
        return redirect(BACK)(request)

    farm.add(MASTER_B, lambda request: build_json(), stop)
    stopper = hung.stopper(seconds=3)
    waiting = [defer.ensureDeferred(stopper.stop(hung.step(), "zoe")) for _ in range(50)]
    item = await stopper.stop(fine.step(master=MASTER_B), "zoe")
    assert item.state == "done"
    assert not any(d.called for d in waiting)
    items = await defer.gatherResults(waiting)
    assert {i.state for i in items} == {"failed"}
    assert farm.masters[MASTER_A].posts == []


@twisted_test()
async def test_a_master_hung_after_it_was_told_may_still_obey(case: Case) -> None:
    case.knowing(hang)
    item = await case.stop(verify=0.1)
    assert item.state == "unconfirmed"
    assert "the master may still stop the build" in item.detail


@twisted_test()
async def test_a_stop_seen_in_the_database_is_done_even_without_an_answer(case: Case) -> None:
    def stop(request: Any) -> Any:
        case.seed.end(case.build)
        return hang(request)

    case.knowing(stop)
    assert (await case.stop()).state == "done"


@twisted_test()
async def test_a_stop_accepted_but_not_seen_is_in_doubt(case: Case) -> None:
    case.knowing(redirect(BACK))
    item = await case.stop(verify=0.3)
    assert item.state == "unconfirmed"
    assert "still running after 0.3 s" in item.detail


@twisted_test()
async def test_an_effect_seen_late_is_waited_for(case: Case) -> None:
    from twisted.internet import reactor

    clock: Any = reactor

    def stop(request: Any) -> Any:
        clock.callLater(0.4, case.seed.end, case.build)
        return redirect(BACK)(request)

    case.knowing(stop)
    assert (await case.stop(verify=3)).state == "done"


@twisted_test()
async def test_a_build_that_has_ended_needs_no_master(case: Case) -> None:
    case.seed.end(case.build)
    item = await case.stop()
    assert (item.state, item.detail) == ("nothing", "the build has ended")


@twisted_test()
async def test_stopping_twice_is_harmless(case: Case) -> None:
    case.obedient()
    assert [(await case.stop()).state for _ in range(2)] == ["done", "done"]


# --- the right build ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "other",
    [{"start": T0 + 100}, {"revision": "0123456789ab"}, {"start": T0 + 3}],
    ids=["start", "revision", "a burst of the same revision"],
)
@twisted_test()
async def test_another_build_with_the_number_is_never_stopped(
    case: Case, other: dict[str, Any]
) -> None:
    wrong = case.obedient(**other)
    item = await case.stop()
    assert (item.state, item.detail) == (
        "failed",
        "no master has this build; nothing was stopped",
    )
    assert wrong.posts == []


@twisted_test()
async def test_a_build_of_another_builder_is_never_stopped(case: Case) -> None:
    wrong = case.farm.add(MASTER_A, lambda request: build_json("win"), redirect(BACK))
    assert (await case.stop()).state == "failed"
    assert wrong.posts == []


@twisted_test()
async def test_after_a_double_claim_the_build_is_found_on_the_other_master(case: Case) -> None:
    claiming = case.knowing(redirect(BACK), start=T0 + 500)

    def stop(request: Any) -> Any:
        case.seed.end(case.build)
        return redirect(BACK)(request)

    other = case.knowing(stop, MASTER_B)
    hung = case.farm.add("host-c:/builds/c", hang, hang)
    item = await case.stop()
    assert (item.state, item.master) == ("done", MASTER_B)
    assert (claiming.posts, len(other.posts), hung.posts) == ([], 1, [])


@pytest.mark.parametrize("name", [MASTER_A, MASTER_B])
@twisted_test()
async def test_a_build_is_stopped_on_a_master_that_the_masters_file_disables(
    case: Case, name: str
) -> None:
    """It runs what it claimed before, also after a double claim."""
    if name != MASTER_A:
        case.knowing(redirect(BACK), start=T0 + 500)

    def stop(request: Any) -> Any:
        case.seed.end(case.build)
        return redirect(BACK)(request)

    disabled = case.knowing(stop, name)
    disabled.enabled = False
    item = await case.stop()
    assert (item.state, item.master) == ("done", name)
    assert len(disabled.posts) == 1


@twisted_test()
async def test_a_build_ended_on_another_master_is_not_stopped_there(case: Case) -> None:
    case.knowing(redirect(BACK), start=T0 + 500)
    other = case.knowing(redirect(BACK), MASTER_B, results=0)
    assert (await case.stop()).state == "failed"
    assert other.posts == []


# --- how many at once -----------------------------------------------------------------------


@twisted_test(15)
async def test_masters_are_asked_a_bounded_number_of_things_at_a_time(
    farm: Masterfarm, scheduler: Scheduler
) -> None:
    names = ["m1", "m2", "m3"]
    for name in names:
        farm.add(name, after(0.1, lambda request: build_json()), after(0.1, redirect(BACK)))
    cases = [Case(farm, scheduler) for _ in range(5)]
    for case in cases:
        case.seed.end(case.build)
    stopper = cases[0].stopper(slots=2, total=5)
    running = [
        defer.ensureDeferred(stopper.stop(case.step(master=name), "zoe"))
        for case in cases
        for name in names
    ]
    items = await defer.gatherResults(running)
    assert {i.state for i in items} == {"done"}
    assert max(farm.masters[name].crowd.most for name in names) == 2
    assert farm.crowd.most == 5


@twisted_test()
async def test_what_was_done_says_who_else_lost_the_build(case: Case) -> None:
    case.obedient()
    sharers = [Sharer(8, "try", "fedcba987654", "joe@example.org")]
    step = msgspec.structs.replace(case.step(), sharers=sharers)
    item = await case.stopper().stop(step, "zoe@example.org")
    assert item.detail == (
        "stopped; this also ended request 8 (try fedcba987654 by joe@example.org)"
    )
