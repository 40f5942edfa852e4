"""A plan is split into the writes and pokes that a 0.8 farm needs, in the words clients read."""

from __future__ import annotations

import json

import msgspec
import pytest

from buildapi.buildbot.v08.lowered_plan import (
    BuildsetRow,
    CompleteRequests,
    CopyBuildset,
    InsertBuildset,
    LoweredPlan,
    Poke,
    StoredRequestFacts,
    WatchDropped,
    Write,
    in_ascii,
    lowered,
    steps_json,
)
from buildapi.buildbot.v08.markers import encoded
from buildapi.model.facts import RequestFacts
from buildapi.model.outcome import Outcome
from buildapi.model.steps import (
    Clobber,
    DropRequest,
    DropRequests,
    NewChange,
    OutcomeLine,
    Plan,
    Rebuild,
    SendChange,
    SetPriority,
    Step,
    StopBuild,
    StopClaimed,
    SubmitBuilds,
)
from tests.model.values import request

STOP = StopBuild(41, 7, 9, "linux", 1_700_000_000, "abcdef012345", "host-a:/builds/master-a")
COPY = Rebuild(7, 41, "linux", 4, "Self-serve: Rebuilt by zoe")
CHANGE = NewChange("zoe", "try-selfserve", "abcdef", ("f",))
SUBMIT = SubmitBuilds("try", "abcdef", "why", 4, {"n": 5, "e": "\xe9"}, ["linux", "mac"], CHANGE)
SEND = SendChange("host-s:/builds/scheduler", "try", "abcdef", None)
TEXTS = (("platform", '["linux", "x"]'), ("who", '["Zo\\u00eb", "y"]'))
FACTS = StoredRequestFacts(request(), (), buildset=BuildsetRow(55, "ext", TEXTS))

# steps, writes, pokes
SPLITS: dict[str, tuple[list[Step], list[Write], list[Poke]]] = {
    "nothing": ([], [], []),
    "priority": ([SetPriority(7, 5)], [SetPriority(7, 5)], []),
    "rebuild": (
        [COPY],
        [CopyBuildset("linux", 4, "Self-serve: Rebuilt by zoe", 55, "ext", TEXTS)],
        [],
    ),
    "new builds": (
        [SUBMIT],
        [
            InsertBuildset(
                "try",
                "abcdef",
                "why",
                4,
                [("n", '[5, "self-serve"]'), ("e", '["\\u00e9", "self-serve"]')],
                ["linux", "mac"],
                CHANGE,
            )
        ],
        [],
    ),
    "a pending request": ([DropRequest(7, 70)], [DropRequest(7, 70)], [WatchDropped([7])]),
    "a claimed request": ([StopClaimed([7], "why")], [], [WatchDropped([7], note="why")]),
    "a build": ([STOP, Clobber(STOP)], [], [STOP, Clobber(STOP)]),
    "a change": ([SEND], [], [SEND]),
    "a revision": (
        [DropRequests([7, 8], [70], note="why"), STOP, Clobber(STOP), StopClaimed([9], "why")],
        [CompleteRequests([7, 8], [70])],
        [STOP, Clobber(STOP), WatchDropped([7, 8, 9], note="why")],
    ),
    "only what is pending": (
        [DropRequests([7], [70], claimed=False)],
        [CompleteRequests([7], [70])],
        [WatchDropped([7], claimed=False)],
    ),
}


@pytest.mark.parametrize("name", SPLITS)
def test_the_table(name: str) -> None:
    steps, writes, pokes = SPLITS[name]
    line = OutcomeLine(7, "7: Ok", "No luck")
    split = lowered(Plan(Outcome(False, "Ok"), steps, (line,)), FACTS)
    assert split == LoweredPlan(Outcome(False, "Ok"), writes, pokes, (line,))


def test_clients_read_the_steps_by_the_words_they_know() -> None:
    plan = Plan(Outcome(False, ""), [DropRequests([7], [70]), COPY, SUBMIT, StopClaimed([8])])
    said = json.loads(json.dumps(steps_json(plan, FACTS)))
    assert [step["type"] for step in said["writes"]] == ["DropRequests", "Requeue", "NewBuildset"]
    assert said["writes"][0] == {"type": "DropRequests", "brids": [7], "buildsetids": [70]}
    assert said["writes"][1] == {
        "type": "Requeue",
        "buildername": "linux",
        "priority": 4,
        "reason": "Self-serve: Rebuilt by zoe",
        "sourcestampid": 55,
        "external_idstring": "ext",
        "properties": [list(pair) for pair in TEXTS],
    }
    watch = {"type": "WatchDropped", "brids": [7, 8], "claimed": True, "note": ""}
    assert said["pokes"] == [watch]


def test_a_copy_without_the_row_of_its_buildset_is_an_error_of_ours() -> None:
    with pytest.raises(TypeError, match="no buildset"):
        lowered(Plan(Outcome(False, ""), [COPY]), RequestFacts(request(), ()))


OLD_MARKER = (
    '{"identity":"' + "f" * 32 + '","outcome":{"errors":false,"msg":""},'
    '"writes":[{"type":"DropRequests","brids":[7],"buildsetids":[70]},'
    '{"type":"Requeue","buildername":"linux","priority":4,"reason":"why","sourcestampid":55,'
    '"external_idstring":null,"properties":[["a","[1, \\"x\\"]"]]},'
    '{"type":"NewBuildset","branch":"try","revision":"abc","reason":"why","priority":0,'
    '"properties":[],"builders":["linux"],"change":null}],'
    '"pokes":[{"type":"StopBuild","build_id":41,"brid":7,"number":9,"buildername":"linux",'
    '"start_time":1700000000,"revision":"abc","master":"m","note":"","sharers":[]},'
    '{"type":"WatchDropped","brids":[7],"claimed":true,"note":""}],'
    '"lines":[{"brid":7,"ok":"7: Ok","failure":"No luck","open":""}]}'
)


def test_a_marker_of_an_older_version_is_read_and_would_be_written_the_same() -> None:
    plan = msgspec.json.decode(OLD_MARKER, type=LoweredPlan)
    assert [type(step) for step in plan.writes] == [CompleteRequests, CopyBuildset, InsertBuildset]
    assert [type(step) for step in plan.pokes] == [StopBuild, WatchDropped]
    assert encoded("f" * 32, plan) == OLD_MARKER


def test_a_plan_for_any_database_escapes_names_and_rewords_reasons() -> None:
    """A name without its accents would be the name of somebody else."""
    change = NewChange("zo\u00eb", "try-selfserve", "abcdef", ["f\u0141"])
    build = InsertBuildset("try", "abcdef", "by zo\u00eb", 0, [], ["linux"], change)
    requeue = CopyBuildset("linux", 0, "by \u0141uk\u00e1\u0161", 1, None, [])
    plan = LoweredPlan(Outcome(False, ""), (build, requeue, SetPriority(7, 1)))
    first, second, third = in_ascii(plan).writes
    assert isinstance(first, InsertBuildset)
    assert (first.reason, first.change) == (
        "by zoe",
        NewChange("zo\\xeb", "try-selfserve", "abcdef", ["f\u0141"]),
    )
    assert isinstance(second, CopyBuildset)
    assert second.reason == "by ?ukas"
    assert third == SetPriority(7, 1)
