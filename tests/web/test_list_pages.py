"""The pages of lists, builds, requests and jobs: what they show, and the forms others rely on."""

from __future__ import annotations

import re

import attrs
import pytest
from msgspec.structs import replace

from tests.reactor import twisted_test
from tests.web.client import JSON
from tests.web.conftest import ZOE, Serve, Served
from tests.web.farm import HOSTILE, PENDING
from tests.web.forms import Forms

DAY = "/self-serve/try"
SCRIPT_TYPE = "text/javascript; charset=utf-8"


@twisted_test()
async def test_a_day_lists_its_builds_and_pending_requests_with_links(served: Served) -> None:
    page = (await served.ask("GET", DAY)).text
    items = (await served.ask("GET", DAY, JSON)).json
    assert items
    for item in items:
        kind = "build" if "build_id" in item else "request"
        assert f'href="/self-serve/try/{kind}/{item[f"{kind}_id"]}"' in page
    assert f">{len(items)} builds or pending requests<" in page


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
@pytest.mark.parametrize("headers", [{}, JSON], ids=["html", "json"])
@twisted_test()
async def test_the_first_and_the_last_day_of_all_are_out_of_range(
    served: Served, headers: dict[str, str], day: str
) -> None:
    answer = await served.ask("GET", f"{DAY}?date={day}", headers)
    assert answer.status == 400
    assert f"{day} is out of range" in answer.text


@twisted_test()
async def test_browser_scripts_find_the_forms_they_know(served: Served) -> None:
    """A script posts the form that has ``build_id`` and a button ``rebuild`` [docs/api.md]."""
    forms = Forms((await served.ask("GET", DAY, ZOE)).text).found
    rebuild = [fields for _, action, fields in forms if action == "/self-serve/try/build"]
    assert rebuild
    assert all(f.keys() >= {"build_id", "count", "[rebuild]"} for f in rebuild)
    changes = [f.keys() - {"csrf_token"} for m, a, f in forms if m == "POST" and "/request/" in a]
    assert {"[cancel]", "_method"} in changes
    assert {"[set]", "_method", "priority"} in changes
    assert {"_method", "[1]", "[-1]"} in changes, "a priority is sent once, whoever sends it"


@twisted_test()
async def test_what_the_forms_of_a_page_post_is_accepted(served: Served) -> None:
    forms = Forms((await served.ask("GET", DAY, ZOE)).text).posting("/try/")
    assert len(forms) >= 5
    for action, fields in forms:
        if fields.get("_method") == "PUT":
            fields.setdefault("priority", "1")  # as the button does that is clicked
        answer = await served.ask("POST", action, ZOE, fields)
        assert answer.status == 302, (action, fields, answer)


@twisted_test()
async def test_nobody_is_shown_forms_that_would_be_refused(served: Served) -> None:
    for path in ("", "/rev/abcdef123456", "/build/12", f"/request/{PENDING.id}"):
        assert not Forms((await served.ask("GET", DAY + path)).text).posting()


@pytest.mark.parametrize("path", ["", "/build/11", f"/request/{PENDING.id}", "/rev/abcdef123456"])
@twisted_test()
async def test_hostile_texts_are_shown_as_they_are(served: Served, path: str) -> None:
    known = served.builds
    hostile = {"buildername": HOSTILE, "reason": HOSTILE}
    for brid, of_request in known.requests.items():
        request = replace(of_request.request, **hostile)
        known.requests[brid] = attrs.evolve(of_request, request=request)
    for bid, details in known.builds.items():
        requests = [replace(r, **hostile) for r in details.build.requests]
        known.builds[bid] = attrs.evolve(details, build=replace(details.build, requests=requests))
    answer = await served.ask("GET", DAY + path, ZOE)
    assert answer.status == 200
    assert answer.text.count("<script") == 1
    assert "&lt;script&gt;alert(" in answer.text


@twisted_test()
async def test_the_job_page_tells_what_came_of_it(served: Served) -> None:
    job = (await served.ask("POST", f"{DAY}/build", ZOE | JSON, {"build_id": 11})).json
    page = (await served.ask("GET", f"/self-serve/jobs/{job['request_id']}")).text
    assert "rebuild build" in page
    assert "queued" in page
    assert (
        f'href="/self-serve/jobs/{job["request_id"]}"'
        in (await served.ask("GET", "/self-serve/jobs")).text
    )


@twisted_test()
async def test_the_style_sheet_is_kept_by_what_is_in_it(served: Served) -> None:
    page = (await served.ask("GET", DAY)).text
    link = re.findall(r'<link rel="stylesheet" href="([^"]*)">', page)[0]
    answer = await served.ask("GET", link)
    assert (answer.status, answer.headers["content-type"]) == (200, "text/css; charset=utf-8")
    assert "immutable" in answer.headers["cache-control"]
    assert (await served.ask("GET", "/static/nope.css")).status == 404
    for other in ("/static/buildapi.css", "/static/buildapi.css?v=12345678"):
        answer = await served.ask("GET", other)
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-cache"), other
    assert "http" not in re.sub(r"<a [^>]*>", "", page), "nothing is fetched from elsewhere"


@twisted_test()
async def test_modules_are_kept_by_what_is_in_all_of_them(serve: Serve) -> None:
    served = serve(prefix="/buildapi")
    page = (await served.ask("GET", "/buildapi/self-serve")).text
    (entry,) = re.findall(r'<script type="module" src="([^"]*)">', page)
    paths = re.findall(r'<link rel="modulepreload" href="([^"]*)">', page)
    assert entry in paths
    assert [path.rpartition("/")[0] for path in paths] == [entry.rpartition("/")[0]] * len(paths)
    for path in paths:
        answer = await served.ask("GET", path)
        assert (answer.status, answer.headers["content-type"]) == (200, SCRIPT_TYPE)
        assert "immutable" in answer.headers["cache-control"]
        for name in re.findall(r'^import .*"\./(.*)";$', answer.text, re.MULTILINE):
            assert f"{path.rpartition('/')[0]}/{name}" in paths, "is fetched late"
    other = await served.ask("GET", "/buildapi/static/scripts/any/buildapi.js")
    assert (other.status, other.headers["cache-control"]) == (200, "no-cache")
    assert other.headers["etag"] == (await served.ask("GET", entry)).headers["etag"]
    assert (await served.ask("GET", "/buildapi/static/scripts/any/package.json")).status == 404
    old = await served.ask("GET", "/buildapi/static/buildapi.js?v=12345678")
    assert (old.status, old.headers["cache-control"]) == (200, "no-cache")
    assert "scripts/any/buildapi.js" in old.text


@twisted_test()
async def test_the_form_that_cancels_a_revision_previews_and_acts_without_dry_run(
    served: Served,
) -> None:
    """A script that posts the fields it finds gets a preview, and drops one to act at once."""
    page = await served.ask("GET", "/self-serve/try/rev/abcdef123456", ZOE)
    forms = Forms(page.text).posting("/rev/abcdef123456")
    ((action, fields),) = [f for f in forms if f[1].get("_method") == "DELETE"]
    preview = await served.ask("POST", action, ZOE, fields)
    assert preview.status == 200
    assert not served.jobs.jobs
    for dropped in (
        {k: v for k, v in fields.items() if k != "dry_run"},
        {**fields, "dry_run": "0"},
    ):
        before = len(served.jobs.jobs)
        assert (await served.ask("POST", action, ZOE, dropped)).status == 302
        assert len(served.jobs.jobs) == before + 1
