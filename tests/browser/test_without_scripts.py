"""Everything works by forms and links alone, and ends on a page that says what happened."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.service import BRANCH, USER, day_of_rows, quick, seed_of, submit
from tests.e2e.service import Client, Service

pytestmark = pytest.mark.chromium

JOB = re.compile(r"/self-serve/jobs/\d+$")
Open = Callable[[str], Page]


@pytest.fixture
def open_plain(visit: Visit) -> Open:
    """Open pages in a browser that runs no scripts."""
    return visit(java_script_enabled=False).open


def job_of(page: Page) -> int:
    """Follow the page of an accepted request to its job; give the job's id."""
    if not JOB.search(page.url):
        page.get_by_role("main").get_by_role("link", name=re.compile(r"^Show job \d+")).click()
    expect(page).to_have_url(JOB)
    return int(page.url.rpartition("/")[2])


def ended(page: Page) -> str:
    """Wait on a job's page until it has ended, by its own links; give what came of it."""
    while (link := page.get_by_role("link", name="Wait until it finishes")).count():
        link.click()
    expect(page.locator("main .state").first).to_have_text(re.compile("done|failed"))
    return page.get_by_role("main").inner_text()


def first_cells(page: Page, column: str) -> list[str]:
    # Not as they are laid out: the two parts of a builder's name are no two lines of it.
    return page.locator(f"tbody td[data-f={column}]").all_text_contents()


def test_a_build_is_built_again(open_plain: Open, client: Client) -> None:
    build = quick(client)
    page = open_plain(f"/self-serve/{BRANCH}/build/{build['build_id']}")
    page.locator("input[name=count]").first.fill("2")

    page.locator("input[type=submit][value=rebuild]").first.click()

    job = job_of(page)
    assert "done" in ended(page)
    assert client.get(f"/self-serve/jobs/{job}").body["who"] == USER
    made = page.locator("tbody tr td:nth-child(2)")
    expect(made).to_have_count(2)
    made.first.get_by_role("link").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("equest")


@pytest.mark.parametrize("at", ["list", "page"])
def test_a_request_is_cancelled(open_plain: Open, farm: Service, at: str) -> None:
    (request_id,) = submit(farm, 1)
    own = f"/self-serve/{BRANCH}/request/{request_id}"
    page = open_plain("/pending" if at == "list" else own)
    scope = page.locator(f"#request-{request_id}" if at == "list" else "main")

    scope.locator("input[type=submit][value=cancel]").click()

    assert f"{request_id}: Ok" in ended_of(page)
    assert farm.client.get(own).body["complete"] == 1


def ended_of(page: Page) -> str:
    job_of(page)
    return ended(page)


@pytest.mark.parametrize(("button", "priority"), [("set", 42), ("raise", 1), ("lower", -1)])
def test_a_priority_is_set(open_plain: Open, farm: Service, button: str, priority: int) -> None:
    (request_id,) = submit(farm, 1)
    page = open_plain("/pending")
    row = page.locator(f"#request-{request_id}")
    if button == "set":
        row.locator("input[name=priority]").fill("42")
        row.locator("input[type=submit][value=set]").click()
    else:
        row.get_by_role("button", name=re.compile(f"^{button}")).click()

    ended_of(page)

    own = f"/self-serve/{BRANCH}/request/{request_id}"
    assert farm.client.get(own).body["priority"] == priority
    page.goto(own)
    expect(page.locator("input[name=priority]").first).to_have_value(str(priority))


def test_several_are_selected_and_cancelled(open_plain: Open, farm: Service) -> None:
    requests = submit(farm, 4)
    page = open_plain("/pending")
    for request_id in requests[:3]:
        page.locator(f"#request-{request_id} input[name=item]").check()

    page.locator("#selection button[name=act][value=cancel]").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Cancel 3 requests?")
    expect(page.get_by_role("main").get_by_role("link", name="Keep them")).to_be_visible()
    expect(page.get_by_role("main")).to_contain_text(
        f"request {requests[0]} on {BRANCH}: waits for ever at ffffffffffff"
    )
    page.get_by_role("button", name="Cancel selected").click()
    rows = page.locator("#jobs tbody tr")
    expect(rows).to_have_count(3)
    jobs = [row.get_by_role("link").nth(1).get_attribute("href") or "" for row in rows.all()]
    page.goto(jobs[-1])
    assert "Ok" in ended(page)
    for path in jobs:
        assert farm.client.wait_job(int(path.rpartition("/")[2]))["state"] == "done"
    states = [
        farm.client.get(f"/self-serve/{BRANCH}/request/{r}").body["complete"] for r in requests
    ]
    assert states == [1, 1, 1, 0]


def test_nothing_selected_is_said(visit: Visit) -> None:
    visitor = visit(java_script_enabled=False)
    visitor.refusals.add(400)
    page = visitor.open("/pending")
    page.locator("#selection button[name=act][value=cancel]").click()
    expect(page.get_by_role("main")).to_contain_text("no build or request is selected")


def test_rows_are_searched_and_links_keep_the_search(
    open_plain: Open, farm: Service, client: Client
) -> None:
    # A day of the sample may have one push, and then a search for it leaves nothing out.
    seed, now = seed_of(farm), int(time.time())
    for each in ("5ea4c4" * 6 + "5ea4", "07e4" * 10):
        seed.request(BRANCH, each, builder=f"{each[:4]} is searched", at=now)
    seed.close()
    revision = "5ea4c45ea4c4"
    day, _ = day_of_rows(client)
    page = open_plain(f"/self-serve/{BRANCH}?date={day}")
    before = page.locator("#list tbody tr").count()

    page.get_by_role("searchbox").fill(revision)
    page.get_by_role("search").get_by_role("button", name="Show").click()

    expect(page.get_by_role("searchbox")).to_have_value(revision)
    found = first_cells(page, "builder")
    assert 0 < len(found) < before
    assert set(first_cells(page, "revision")) == {revision}
    page.get_by_role("columnheader", name="Submitted").get_by_role("link").click()
    assert sorted(first_cells(page, "builder")) == sorted(found)
    assert f"date={day}" in page.url


def test_rows_are_sorted_both_ways(open_plain: Open, client: Client) -> None:
    day, _ = day_of_rows(client)
    page = open_plain(f"/self-serve/{BRANCH}?date={day}")
    header = page.get_by_role("columnheader", name="Builder")

    header.get_by_role("link").click()

    assert header.get_attribute("aria-sort") == "ascending"
    names = first_cells(page, "builder")
    assert names == sorted(names, key=str.lower)
    header.get_by_role("link").click()
    assert header.get_attribute("aria-sort") == "descending"
    assert first_cells(page, "builder")[0] == names[-1]


def test_long_lists_have_pages(open_plain: Open, farm: Service) -> None:
    submit(farm, 260, builder="many")
    page = open_plain("/pending?q=many")
    pages = page.get_by_role("navigation", name="Pages of the list")
    first = set(page.locator("#list tbody tr").evaluate_all("rows => rows.map(r => r.id)"))

    pages.get_by_role("link", name="page 2").click()

    expect(pages.locator("[aria-current=page]")).to_have_text("2")
    second = set(page.locator("#list tbody tr").evaluate_all("rows => rows.map(r => r.id)"))
    assert len(first | second) == len(first) + len(second) == 260
    assert "q=many" in page.url


def test_pushes_are_selected_and_their_jobs_opened(open_plain: Open) -> None:
    page = open_plain(f"/self-serve/{BRANCH}/pushes")
    rows = page.locator("tr.push")
    before = rows.count()
    # Other tests push what nothing has been built of yet.
    built = page.locator("tr.push", has=page.locator("a.job.success"))
    author = built.locator(".author").first.inner_text()
    page.get_by_label("Author").fill(author)
    page.get_by_label("State").select_option("success")
    page.get_by_role("search").get_by_role("button", name="Show").click()
    assert 0 < rows.count() < before
    assert set(page.locator("tr.push .author").all_inner_texts()) == {author}
    expect(page.get_by_label("Author")).to_have_value(author)
    jobs = page.locator("a.job")
    assert jobs.count() == page.locator("a.job.success").count()

    page.get_by_role("link", name="show all jobs").click()
    assert jobs.count() == page.locator("a.job.success[data-job]").count()
    href = jobs.first.get_attribute("href")
    jobs.first.click()
    assert href
    assert page.url.endswith(href)

    page.get_by_role("main").get_by_role("link", name=BRANCH, exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Pushes on {BRANCH}")
    page.locator(".count", has_text="success").first.click()
    assert page.url.endswith("?state=success")
    assert set(first_cells(page, "state")) == {"success"}


def test_lists_of_pushes_go_on_by_links(open_plain: Open) -> None:
    page = open_plain("/self-serve/pushes?limit=1")
    first = page.locator("tr.push").first.get_attribute("data-revision")
    page.get_by_role("link", name="older pushes").click()
    assert page.locator("tr.push").first.get_attribute("data-revision") != first
    page.get_by_role("link", name="newest pushes").click()
    expect(page.locator("tr.push")).not_to_have_count(0)
    assert "after" not in page.url


def test_days_are_turned_by_links(open_plain: Open, client: Client) -> None:
    day, _ = day_of_rows(client)
    page = open_plain(f"/self-serve/{BRANCH}?date={day}")
    page.get_by_role("link", name=re.compile("earlier")).click()
    expect(page.get_by_role("heading", level=1)).not_to_contain_text(day)
    page.get_by_role("link", name=re.compile("later")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(day)


def test_a_whole_revision_is_cancelled_after_a_look_at_the_plan(
    open_plain: Open, farm: Service
) -> None:
    (request_id,) = submit(farm, 1)
    own = f"/self-serve/{BRANCH}/request/{request_id}"
    revision = farm.client.get(own).body["revision"]
    page = open_plain(f"/self-serve/{BRANCH}/rev/{revision}")
    page.locator("input[type=submit][value^='Cancel all']").click()
    expect(page.get_by_role("main")).to_contain_text("Nothing has been done yet")
    expect(page.get_by_role("main")).to_contain_text(f"request {request_id}")
    assert farm.client.get(own).body["complete"] == 0
    keep = page.get_by_role("main").get_by_role("link", name=re.compile("^Keep (it|them)$"))
    expect(keep).to_have_attribute("href", f"/self-serve/{BRANCH}/rev/{revision}")

    page.get_by_role("button", name=re.compile(r"^Cancel \d+ requests?")).click()

    assert "Ok" in ended_of(page)
    assert farm.client.get(own).body["complete"] == 1


def test_all_failed_builds_of_a_revision_are_built_again_after_a_look_at_them(
    open_plain: Open, farm: Service
) -> None:
    seed, revision, now = seed_of(farm), "fa11ed" * 6 + "fa11", int(time.time())
    request_id = seed.request(BRANCH, revision, builder="fails for ever", at=now - 99)
    build_id = seed.run(request_id, at=now - 90)
    seed.end(build_id, at=now - 60)
    seed.complete(request_id, results=2, at=now - 60)
    seed.close()
    page = open_plain(f"/self-serve/{BRANCH}/rev/{revision}")

    page.get_by_role("button", name="Rebuild 1 failed").click()

    expect(page.get_by_role("heading", level=1)).to_have_text(f"Rebuild build {build_id}?")
    expect(page.get_by_role("main")).to_contain_text("fails for ever at fa11edfa11ed")
    page.get_by_role("button", name=f"Rebuild build {build_id}").click()
    job = page.locator("#jobs tbody tr").get_by_role("link").nth(1).get_attribute("href") or ""
    assert farm.client.wait_job(int(job.rpartition("/")[2]))["state"] == "done"
    items = farm.client.get(f"/self-serve/{BRANCH}/rev/{revision}").body
    assert [item.get("status", "pending") for item in items] == [2, "pending"]
    page.goto(f"/self-serve/{BRANCH}/rev/{revision}")
    expect(page.get_by_role("button", name="Rebuild failed")).to_be_disabled()


def test_new_builds_are_asked_for(open_plain: Open, client: Client) -> None:
    build = quick(client)
    page = open_plain(f"/self-serve/{BRANCH}/new?revision={build['revision']}")
    page.locator("input[name=kind][value=builder]").check()
    page.locator("#builder").fill(build["buildername"])
    page.locator("#properties").fill("answer=42")
    page.get_by_role("button", name="Submit").click()
    page_text = ended_of(page)
    assert "done" in page_text


def test_nobody_can_look_but_not_act(visit: Visit, client: Client) -> None:
    day, _ = day_of_rows(client)
    visitor = visit(user=None, java_script_enabled=False)
    page = visitor.open(f"/self-serve/{BRANCH}?date={day}")
    expect(page.get_by_role("banner")).to_contain_text("not logged in")
    expect(page.locator("#list tbody tr").first).to_be_visible()
    expect(page.locator("form[method=POST], form[method=post]")).to_have_count(0)
    expect(page.locator("input[name=item]")).to_have_count(0)
