"""A build number proves nothing: what a master says is compared with what is meant."""

from __future__ import annotations

import json

import pytest

from buildapi.buildbot.v08.build_identity import BuildIdentity, build_path, identify
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
