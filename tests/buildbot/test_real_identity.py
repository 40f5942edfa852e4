"""Real masters tell of a build what the database tells, so that it is known for the same."""

from __future__ import annotations

import json

import pytest

from buildapi.buildbot.v08.build_identity import CLOCK_TOLERANCE, BuildIdentity, identify
from buildapi.model.steps import StopBuild
from tests.farm.conftest import farm, farm_server
from tests.farm.farm import Farm
from tests.farm.fixtures import make_module_farm, python27

__all__ = ["farm", "farm_server", "make_module_farm", "python27"]

pytestmark = pytest.mark.buildbot


def test_a_running_build_is_known(farm: Farm) -> None:
    request = farm.rows.submit("long", revision="abc123")
    build = farm.rows.wait_running(request)
    master = farm.masters[0]
    told = master.json(f"builders/long/builds/{build.number}")
    master.stop_build("long", build.number)
    farm.rows.wait_complete(request)
    start = int(build.start_time)
    step = StopBuild(
        build.id, request, build.number, "long", start, "abc123", master.claimed_by_name
    )
    assert identify(step, json.dumps(told).encode()) is BuildIdentity.SAME
    print(f"{told['times'][0] - start:.3f} s apart")
    assert abs(told["times"][0] - start) < CLOCK_TOLERANCE / 2
