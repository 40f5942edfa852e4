"""HTML of pushes: stored texts are escaped, links are complete, words say what colours do."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

import attrs
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from buildapi.jobs.build_states import STATES
from buildapi.jobs.push_summary import PushJob, PushSummary
from buildapi.model.branches import Branch
from buildapi.model.job_class import JobClass
from buildapi.model.pushes import Change, Push
from buildapi.web.selfserve.push_markup import COUNTED, PushMarkup, done_word, push_id
from tests.web.farm import HOSTILE, NOW
from tests.web.test_row_markup import Elements

REVISION = "abcdef123456" + "0" * 28
JOB = PushJob(
    build_id=11,
    requests=[21, 22],
    builder="Linux try build",
    state="failure",
    of=JobClass("linux32", "opt build", "B"),
    submitted=NOW - 500,
    started=NOW - 400,
    ended=NOW - 100,
    priority=0,
    master="m1",
)


def pushed(
    *jobs: PushJob,
    branch: str = "try",
    revision: str = REVISION,
    author: str = "ann@example.org",
    comments: str = "fix",
) -> PushSummary:
    one = Change(1, branch, revision, author, comments, NOW - 600)
    push = Push(Branch(branch, (branch,), {}), revision, [one])
    counts = {state: n for state in STATES if (n := sum(j.state == state for j in jobs))}
    return PushSummary(push, jobs, counts, False, False, None, None, None)  # of is_done


def markup(**changes: Any) -> PushMarkup:
    return attrs.evolve(PushMarkup(NOW, ZoneInfo("UTC"), ""), **changes)


def elements(one: PushSummary, **changes: Any) -> Elements:
    return Elements(f"<table>{markup(**changes).rows([one])}</table>")


def links(found: Elements) -> list[str]:
    return [attributes["href"] for tag, attributes in found.found if tag == "a"]


def test_a_row_says_whose_push_it_is() -> None:
    found = elements(pushed())
    row = next(attributes for tag, attributes in found.found if tag == "tr")
    assert row == {
        "class": "push",
        "id": f"push-try.{REVISION}",
        "data-branch": "try",
        "data-revision": REVISION,
        "tabindex": "-1",
    }
    text = "".join(found.texts)
    for word in ("abcdef123456", "ann@example.org", "fix", "10 min ago", "no jobs"):
        assert word in text
    assert links(found) == [f"/self-serve/try/rev/{REVISION}", "/self-serve/user/ann%40example.org"]


def test_a_push_whose_jobs_are_too_many_says_so() -> None:
    found = elements(attrs.evolve(pushed(), omits_jobs=True))
    assert "too many jobs to list" in found.texts
    assert "no jobs" not in found.texts


def test_revisions_that_were_pushed_together_are_named() -> None:
    other = pushed(revision="Ü<1", comments="<b>").push
    one = attrs.evolve(pushed(), others=[other])
    found = elements(one)
    assert "and 1 more revision" in found.texts
    assert links(found)[-1] == "/self-serve/try/rev/%C3%9C%3C1"
    assert " <b>" in found.texts
    assert "and 2 more revisions" in elements(attrs.evolve(one, others=[other] * 2)).texts


def test_a_branch_is_named_in_lists_of_several() -> None:
    found = elements(pushed(branch="a/b"), names_branch=True, mount="/build<api")
    assert links(found)[:2] == [
        "/build<api/self-serve/a%2Fb/pushes",
        f"/build<api/self-serve/a%2Fb/rev/{REVISION}",
    ]


def test_a_job_is_a_link_that_scripts_can_act_on() -> None:
    found = elements(pushed(JOB), mount="/x")
    job = next(a for tag, a in found.found if a.get("data-job"))
    assert job == {
        "class": "job failure",
        "href": "/x/self-serve/try/build/11",
        "data-job": "build-11",
        "data-requests": "21 22",
        "title": "Linux try build: failure, 5 min",
    }
    waiting = replace(JOB, build_id=None, requests=[7], state="pending", started=None)
    found = elements(pushed(replace(waiting, ended=None)))
    job = next(a for tag, a in found.found if a.get("data-job"))
    assert (job["href"], job["data-job"]) == ("/self-serve/try/request/7", "request-7")
    assert job["title"] == "Linux try build: pending, waiting 8 min"


def test_every_state_is_a_class_and_a_word_of_the_title() -> None:
    jobs = [replace(JOB, state=state) for state in STATES]
    found = elements(pushed(*jobs))
    shown = [a for _, a in found.found if a.get("data-job")]
    assert [a["class"] for a in shown] == [f"job {state}" for state in STATES]
    for state, attributes in zip(STATES, shown, strict=True):
        assert f": {state}" in attributes["title"]
    counted = [a["href"] for _, a in found.found if a.get("class") == "count"]
    assert counted == [f"/self-serve/try/rev/{REVISION}?state={state}" for state in COUNTED]
    assert sorted(COUNTED) == sorted(STATES)


def test_jobs_stand_in_groups_of_platform_and_kind() -> None:
    other = replace(JOB, of=JobClass("linux32", "opt talos", "T"))
    win = replace(JOB, of=JobClass("win32", "opt build", "B"))
    found = elements(pushed(JOB, other, win))
    shown = [text for text in found.texts if text.strip()]
    start = shown.index("linux32")
    assert shown[start : start + 8] == [
        *("linux32", "opt build", "B", "opt talos", "T", "win32", "opt build", "B")
    ]


TEXTS = st.text(max_size=30) | st.just(HOSTILE) | st.sampled_from(['" onx="1', "'><b>", "a\0b"])


@given(TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, st.booleans())
def test_no_text_of_others_becomes_markup(  # noqa: PLR0917  # one of each kind
    branch: str, revision: str, author: str, comments: str, builder: str, folds: bool
) -> None:
    of = JobClass(builder or "x", comments or "y", author or "z")
    job = replace(JOB, builder=builder, of=of)
    one = pushed(job, branch=branch, revision=revision, author=author, comments=comments)
    found = elements(one, folds=folds, names_branch=True)
    plain = elements(pushed(JOB), folds=folds, names_branch=True)
    shape = [(tag, sorted(attributes)) for tag, attributes in found.found]
    assert shape == [(tag, sorted(attributes)) for tag, attributes in plain.found]
    for link in links(found):
        assert link.startswith("/self-serve/")


@given(st.lists(st.tuples(TEXTS, TEXTS), min_size=2, max_size=2, unique=True))
def test_each_push_has_an_id_of_its_own_without_blanks(names: list[tuple[str, str]]) -> None:
    one, other = (push_id(*name) for name in names)
    assert one != other
    assert not any(character.isspace() for character in one + other)
    assert '"' not in one


def test_the_end_of_a_push_is_said_in_words() -> None:
    done = attrs.evolve(pushed(JOB), complete=True, passed=False)
    assert done_word(done)[0] == "done, not all passed"
    assert done_word(attrs.evolve(done, passed=True))[0] == "done, all passed"
    assert done_word(pushed(JOB))[0] == "ended just now"
    running = pushed(replace(JOB, state="running"))
    assert done_word(attrs.evolve(running, started=NOW))[0] == "under way"
    assert done_word(pushed(replace(JOB, state="pending")))[0] == "not started yet"


def test_times_of_a_push_are_said_as_far_as_they_are_known() -> None:
    one = attrs.evolve(pushed(JOB), started=NOW - 300, expected=120)
    text = "".join(elements(one).texts)
    assert "5 min" in text
    assert "about 2 min left" in text
    ended = attrs.evolve(one, ended=NOW - 200, expected=None)
    assert "1 min" in "".join(elements(ended).texts)
    assert "left" not in "".join(elements(ended).texts)
