"""What would keep masters of Buildbot 0.8 from starting anything is neither copied nor built."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from buildapi.buildbot.v08.lowered_plan import InsertBuildset, lowered
from buildapi.buildbot.v08.requeue_blockers import build_refusal, rebuild_refusal
from buildapi.jobs.decide import decide
from buildapi.model.actions import Action
from buildapi.model.steps import SendChange
from tests.jobs.test_new_builds import BRANCH
from tests.model.accepted import BRANCH_ACTIONS
from tests.model.defaults import rules
from tests.model.values import request


@pytest.mark.parametrize(
    ("row", "properties", "found"),
    [
        ({"branch": "tr\xfc"}, (), "branch"),
        ({"revision": "\xe9"}, (), "revision"),
        ({}, (("n\xe4me", '["v", "s"]'),), "n\xe4me"),
        ({}, (("odd", '"abc"'),), "odd"),
        ({}, (("odd", '{"a": 1, "b": 2}'),), "odd"),
        ({}, (("odd", '["v"]'),), "odd"),
        ({}, (("odd", "('a', 'b')"),), "odd"),
        ({}, (("odd", ""),), "odd"),
        ({}, (("odd", "[" * 5000),), "odd"),
    ],
)
def test_what_would_block_its_builder_is_not_copied(
    row: dict[str, Any], properties: tuple[tuple[str, str], ...], found: str
) -> None:
    refusal = rebuild_refusal(request(**row), properties)
    assert refusal is not None
    assert found in refusal


def test_values_beyond_ascii_are_copied() -> None:
    assert rebuild_refusal(request(reason="Zo\xeb"), (("who", '["Zo\xeb", "s"]'),)) is None


@pytest.mark.parametrize(("path", "refused"), [("projects/cedar", False), ("c\xe9dar", True)])
def test_a_repository_path_that_masters_fail_on_is_refused(path: str, refused: bool) -> None:
    assert ("not ASCII" in (build_refusal(path) or "")) is refused


@given(BRANCH_ACTIONS)
def test_nothing_that_is_accepted_keeps_masters_from_starting_anything(action: Action) -> None:
    plan = lowered(decide(action, BRANCH, "zoe", rules()), BRANCH)
    for step in plan.writes:
        assert isinstance(step, InsertBuildset)
        row = request(branch=step.branch, revision=step.revision, reason=step.reason)
        assert rebuild_refusal(row, step.properties) is None
        assert all(len(text) <= 1024 for _, text in step.properties)
        texts = [step.branch, step.revision, step.reason, *step.builders]
        texts += [name for name, _ in step.properties]
        if step.change is not None:
            texts += [step.change.branch, step.change.revision]
            assert step.change.branch.isascii()
            assert step.change.revision.isascii()
        assert all(0 < len(text) <= 256 for text in texts)
        assert all(name.isascii() for name in step.builders)
    for poke in plan.pokes:
        assert isinstance(poke, SendChange)
        assert poke.branch.isascii()
        assert poke.revision.isascii()
        assert len(poke.revlink or "") <= 256
