"""Builds and requests name their rebuilds, and what they are rebuilds of."""

from __future__ import annotations

import pytest

from buildapi.model.rebuilds import OF_BUILD, OF_REQUEST, Rebuild, RebuildOrigin
from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import Serve, Served
from tests.web.farm import BUILD, COMPLETE, PENDING, database_down

OLD, NEW = f"/self-serve/try/build/{BUILD.id}", f"/self-serve/try/request/{PENDING.id}"


def rebuilt(served: Served, *new: int, kind: str = OF_BUILD, old: int = BUILD.id) -> None:
    origin = RebuildOrigin(kind, old)
    served.jobs.of_rebuilds |= {id_: Rebuild(origin, id_, 7) for id_ in new}


@twisted_test()
async def test_an_old_build_names_the_new_requests_newest_first(served: Served) -> None:
    rebuilt(served, PENDING.id, 31)
    found = (await served.ask("GET", OLD, JSON)).json
    assert (found["rebuilt_as"], found["rebuild_of"]) == ([31, PENDING.id], None)
    page = (await served.ask("GET", OLD)).text
    assert f'<a href="/self-serve/try/request/{PENDING.id}">request {PENDING.id}</a>' in page


@twisted_test()
async def test_a_new_request_names_what_it_is_a_rebuild_of(served: Served) -> None:
    rebuilt(served, PENDING.id)
    found = (await served.ask("GET", NEW, JSON)).json
    assert found["rebuilt_as"] == []
    assert found["rebuild_of"] == {"build_id": BUILD.id, "request_id": None, "job_id": 7}
    page = (await served.ask("GET", NEW)).text
    assert f'<a href="/self-serve/try/build/{BUILD.id}">build {BUILD.id}</a>' in page
    assert '<a href="/self-serve/jobs/7">job 7</a>' in page


@twisted_test()
async def test_a_build_and_its_request_have_the_same_rebuilds(served: Served) -> None:
    rebuilt(served, 31)
    rebuilt(served, 32, kind=OF_REQUEST, old=COMPLETE.id)
    for path in (OLD, f"/self-serve/try/request/{COMPLETE.id}"):
        assert (await served.ask("GET", path, JSON)).json["rebuilt_as"] == [32, 31], path


@twisted_test()
async def test_a_page_reads_the_links_once_and_a_list_not_at_all(serve: Serve) -> None:
    served = serve(cache_seconds=0)
    await served.ask("GET", OLD, JSON)
    assert served.jobs.linking.calls == [("rebuilds", (BUILD.id,), (COMPLETE.id,))]
    served.jobs.linking.calls.clear()
    for path in ("/self-serve/try", f"/self-serve/try/rev/{COMPLETE.revision}"):
        assert (await served.ask("GET", path, JSON)).status == 200
    assert served.jobs.linking.calls == []


@pytest.mark.parametrize("path", [OLD, NEW])
@twisted_test()
async def test_without_the_jobs_database_the_build_is_shown(served: Served, path: str) -> None:
    served.jobs.linking.error = database_down()
    found = (await served.ask("GET", path, JSON)).json
    assert (found["rebuilt_as"], found["rebuild_of"]) == (None, None)
    page = await served.ask("GET", path)
    assert page.status == 200
    assert "not known: the jobs database does not respond" in page.text
