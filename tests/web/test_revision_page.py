"""The page of a revision: failures first, actions at the top, all failed ones built again."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

import pytest

from buildapi.model.access import AccessRule
from buildapi.model.pushes import COMMENTS_MAX, Change
from buildapi.model.records import Build, BuildDetails, RequestDetails
from buildapi.web.selfserve.pages import CHANGES_MAX
from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import ZOE, Serve, Served
from tests.web.farm import NOW, a_request
from tests.web.forms import Forms

REVISION = "abcdef123456" + "0" * 28
REV = f"/self-serve/try/rev/{REVISION}"
FORM = ZOE | {"Content-Type": "application/x-www-form-urlencoded", "Accept": "text/html"}
LATE = 1000


def ended(id_: int, builder: str, results: int, **more: Any) -> tuple[RequestDetails, BuildDetails]:
    """Return an ended build, and its request, which has the id plus 100."""
    claim = {"claimed_at": NOW - 4000, "claimed_by_name": "m1", "complete_at": NOW - LATE}
    request = a_request(
        id_ + 100, buildername=builder, complete=True, results=results, **claim, **more
    )
    build = Build(id_, id_, NOW - 3900, NOW - LATE, [request])
    return RequestDetails(request, {}, [id_]), BuildDetails(build, [{}])


@pytest.fixture
def failed(served: Served) -> Served:
    """Serve a revision of which two builders failed, one of them twice, and one runs again."""
    pairs = [
        ended(1, "linux", 2),
        ended(2, "linux", 2),
        ended(3, "mac", 4),
        ended(4, "win", 0),
        ended(5, "again", 2),
        ended(6, "then good", 2),
        ended(7, "then good", 0),
    ]
    running = a_request(108, buildername="again", claimed_at=NOW - 9, claimed_by_name="m1")
    pairs.append(
        (
            RequestDetails(running, {}, [8]),
            BuildDetails(Build(8, 8, NOW - 8, None, [running]), [{}]),
        )
    )
    waiting = a_request(109, buildername="later")
    served.builds.requests = {r.request.id: r for r, _ in pairs}
    served.builds.requests[109] = RequestDetails(waiting, {}, [])
    served.builds.builds = {b.build.id: b for _, b in pairs}
    return served


def states(page: str) -> list[str]:
    """Return the states of the rows, in their order."""
    found = re.findall(r'<tr id="\w+-(\d+)".* data-state="(\w+)"', page)
    return [state for id_, state in found if id_ != "0"]  # that of the template for scripts


@twisted_test()
async def test_failures_are_first_then_what_runs_and_waits(failed: Served) -> None:
    page = (await failed.ask("GET", REV)).text
    bad = ["failure", "exception"]
    found = states(page)
    assert found[:5].count("failure") == 4
    assert set(found[:5]) == set(bad)
    assert found[5:] == ["running", "pending", "success", "success"]


@twisted_test()
async def test_a_column_sorts_as_before_and_json_has_its_order(failed: Served) -> None:
    page = (await failed.ask("GET", f"{REV}?sort=-builder")).text
    builders = re.findall(r'<td data-f="builder" title="([^"]*)"', page)
    assert builders[:2] == ["win", "then good"]
    items = (await failed.ask("GET", REV, JSON)).json
    assert [item.get("build_id") for item in items] == [8, 7, 6, 5, 4, 3, 2, 1, None]


@twisted_test()
async def test_the_revision_is_named_once_and_not_in_each_row(failed: Served) -> None:
    assert 'data-f="revision"' not in (await failed.ask("GET", REV)).text
    request, build = ended(9, "other", 0, revision="abcdef123456" + "1" * 28)
    failed.builds.requests[109], failed.builds.builds[9] = request, build
    several = (await failed.ask("GET", "/self-serve/try/rev/abcdef123456")).text
    assert 'data-f="revision"' in several, "rows of several revisions say which"


def form_of(page: str, button: str) -> tuple[str, Mapping[str, str]]:
    """Return action and fields of the form with a button that begins so."""
    for _, action, fields in Forms(page).found:
        if any(name.startswith(f"[{button}") for name in fields):
            return action, fields
    raise AssertionError(f"no form has a button {button}")


@twisted_test()
async def test_all_failed_builds_are_built_again_after_a_preview(failed: Served) -> None:
    page = (await failed.ask("GET", REV, ZOE)).text
    assert 'value="Rebuild 2 failed …"' in page
    form = page[page.index('id="rebuild-failed"') :].partition("</form>")[0]
    items = re.findall(r'name="item" value="([^"]*)"', form)
    assert items == ["try/build/2", "try/build/3"], "each builder once, none that runs or passed"
    action, fields = form_of(page, "Rebuild 2 failed")
    body = [(n, v) for n, v in fields.items() if n[0] != "[" and n != "item"]
    body += [("item", item) for item in items]

    preview = await failed.ask("POST", action, FORM, urlencode(body).encode())

    assert preview.status == 200
    assert not failed.jobs.jobs
    assert "Rebuild 2 builds?" in preview.text
    assert "build 2 on try: linux at abcdef123456" in preview.text
    assert "lose their work" not in preview.text
    action, fields = form_of(preview.text, "Rebuild selected")
    assert (fields["act"], fields["count"], fields["confirm"]) == ("rebuild", "1", "1")
    body = [(n, v) for n, v in fields.items() if n[0] != "[" and n != "item"]
    await failed.ask("POST", action, FORM, urlencode([*body, ("item", items[0])]).encode())
    (job,) = failed.jobs.jobs.values()
    assert (job.action, job.what["bid"], job.what["count"]) == ("rebuild_build", 2, 1)


@twisted_test()
async def test_without_failures_there_is_nothing_to_build_again(served: Served) -> None:
    page = (await served.ask("GET", REV, ZOE)).text
    form = page[page.index('id="rebuild-failed"') :].partition("</form>")[0]
    assert 'name="item"' not in form
    assert ' disabled title="No builder whose last build failed" value="Rebuild failed …"' in form


@twisted_test()
async def test_the_actions_stand_above_the_rows(failed: Served) -> None:
    page = (await failed.ask("GET", REV, ZOE)).text
    places = [page.index(f'value="{text}') for text in ("Rebuild 2", "Cancel all", "Build all")]
    assert places == sorted(places)
    assert places[-1] < page.index("<tbody>")
    assert "Rebuild 2" not in (await failed.ask("GET", REV)).text, "nobody has no buttons"


@twisted_test()
async def test_who_may_not_rebuild_is_told(serve: Serve) -> None:
    rule = AccessRule("none", deny=True, actions=("rebuild_build",))
    served = serve(rules=[rule])
    request, build = ended(1, "linux", 2)
    served.builds.requests, served.builds.builds = {101: request}, {1: build}
    page = (await served.ask("GET", REV, ZOE)).text
    form = page[page.index('id="rebuild-failed"') :].partition("</form>")[0]
    assert "disabled data-refused" in form


@twisted_test()
async def test_a_list_without_rows_tells_what_may_be_built_again(failed: Served) -> None:
    """Scripts that keep the rows bring the button up to date by it."""
    page = (await failed.ask("GET", f"{REV}?rows=0", ZOE)).text
    assert 'value="Rebuild 2 failed …"' in page
    assert states(page) == []


@twisted_test(10)
async def test_a_push_of_very_many_changes_or_long_comments_is_shown_in_part(
    served: Served,
) -> None:
    long = f"<b>long</b>\n{'x' * COMMENTS_MAX}"[:COMMENTS_MAX]
    served.pushes.known = [
        Change(n, "try", REVISION, "ann", f"{n}: {long}"[:COMMENTS_MAX], NOW - 9)
        for n in range(CHANGES_MAX + 7)
    ]
    text = (await served.ask("GET", REV, ZOE | {"Accept": "text/html"})).text
    assert text.count("Beginning of the comment</summary>") == CHANGES_MAX
    assert "Whole comment" not in text
    assert f"{CHANGES_MAX + 6} more changes of this push" in text
    assert "<li>and 7 others</li>" in text
    assert "<b>long" not in text
