"""A build number proves nothing: what a master says is compared with what is meant."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildapi.buildbot.v08.build_identity import BuildIdentity, build_path, identify
from buildapi.buildbot.v08.clobber import slave_of
from buildapi.model.steps import StopBuild
from tests.buildbot.doubles import build_json
from tests.buildbot.seed import MASTER_A, T0

START = T0 + 11


def step(revision: str | None = "abcdef012345", builder: str = "linux") -> StopBuild:
    return StopBuild(1, 2, 9, builder, START, revision, MASTER_A)


def changed(**keys: object) -> bytes:
    return json.dumps(json.loads(build_json()) | keys).encode()


def coalesced(*revisions: str) -> bytes:
    """Return a build for changes of several revisions."""
    changes = [{"revision": revision} for revision in revisions]
    return changed(sourceStamp={"revision": revisions[0], "changes": changes})


@pytest.mark.parametrize(
    ("answer", "identity"),
    [
        (build_json(), BuildIdentity.SAME),
        (changed(results=-1), BuildIdentity.SAME),  # as 0.8.4 says of what runs
        (build_json(start=START - 2), BuildIdentity.SAME),
        (build_json(start=START + 2), BuildIdentity.SAME),
        (build_json(start=START - 8), BuildIdentity.OTHER),
        (build_json(start=START + 8), BuildIdentity.OTHER),
        (build_json(results=0), BuildIdentity.ENDED),
        (build_json(results=4), BuildIdentity.ENDED),
        (build_json(results=0, start=START - 8), BuildIdentity.OTHER),
        (build_json(revision="0123"), BuildIdentity.OTHER),
        (build_json(revision=None), BuildIdentity.SAME),
        (build_json(builder="win"), BuildIdentity.OTHER),
        (b"", BuildIdentity.OTHER),
        (b"<html>", BuildIdentity.OTHER),
        (b"[" * 100_000, BuildIdentity.OTHER),
        (b"\xff", BuildIdentity.OTHER),
        (b"[]", BuildIdentity.OTHER),
        (b"null", BuildIdentity.OTHER),
        (b"{}", BuildIdentity.OTHER),
        (changed(times=None), BuildIdentity.OTHER),
        (changed(times=[]), BuildIdentity.OTHER),
        (changed(times=["x", None]), BuildIdentity.OTHER),
        (changed(times=[None, None]), BuildIdentity.OTHER),
        (changed(sourceStamp=None), BuildIdentity.SAME),
        (changed(sourceStamp=[1]), BuildIdentity.SAME),
        (coalesced("0123", "abcdef012345"), BuildIdentity.SAME),
        (coalesced("0123", "4567"), BuildIdentity.OTHER),
        (changed(sourceStamp={"changes": 5}), BuildIdentity.SAME),
        (changed(sourceStamp={"changes": [None, {"revision": 7}]}), BuildIdentity.SAME),
    ],
    ids=lambda x: repr(x)[:50],
)
def test_identify(answer: bytes, identity: BuildIdentity) -> None:
    assert identify(step(), answer) is identity


ANSWERS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**400)
    | st.floats()
    | st.sampled_from(["linux", "abcdef012345", "slave-a1"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["builderName", "times", "results", "sourceStamp", "changes", "slave"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=80)
@given(
    st.binary(max_size=30)
    | ANSWERS.map(lambda value: json.dumps(value).encode())
    | st.dictionaries(st.sampled_from(["results", "times", "sourceStamp", "slave"]), ANSWERS).map(
        lambda some: changed(**some)
    )
)
def test_whatever_a_master_answers_is_read(answer: bytes) -> None:
    slave = slave_of(answer)
    assert slave is None or slave
    if identify(step(), answer) is not BuildIdentity.OTHER:
        assert json.loads(answer)["builderName"] == "linux"


def test_a_build_of_coalesced_requests_is_of_each_of_their_revisions() -> None:
    ours, other = {"revision": "abcdef012345"}, {"revision": "0123"}
    merged = changed(sourceStamp={"revision": "0123", "changes": [ours, other]})
    assert identify(step(), merged) is BuildIdentity.SAME
    others = changed(sourceStamp={"revision": "0123", "changes": [other, None]})
    assert identify(step(), others) is BuildIdentity.OTHER


def test_a_request_without_revision_is_known_by_builder_and_start() -> None:
    assert identify(step(revision=None), build_json()) is BuildIdentity.SAME
    assert identify(step(revision=None), build_json(start=START + 60)) is BuildIdentity.OTHER


@pytest.mark.parametrize(
    ("builder", "path"),
    [
        ("linux", "builders/linux/builds/9"),
        ("a b/c", "builders/a%20b%2Fc/builds/9"),
        ("50%+&?#", "builders/50%25%2B%26%3F%23/builds/9"),
    ],
)
def test_any_builder_name_is_one_segment_of_the_path(builder: str, path: str) -> None:
    assert build_path(step(builder=builder)) == path
