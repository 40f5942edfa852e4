"""Texts that mean harm are shown as texts: nothing runs, no element comes of them."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.chromium import Visitor
from tests.browser.conftest import Visit, running
from tests.browser.hostile import BRANCH, TEXTS, Hostile, hostile_farm
from tests.browser.markup import faults

pytestmark = pytest.mark.chromium

# Charts are scripts of ours, their data, and a canvas whose size the library sets; of the rows of
# pushes our scripts set whether the browser may put off to draw them.
FOREIGN = """() => [...document.querySelectorAll(
    "img, iframe, object, embed, svg, b, base, meta[http-equiv], script, [srcdoc],"
    + ":not(canvas, tr.push)[style]")]
    .filter((e) => !(e.localName === "script"
        && (e.type === "application/json"
            || new URL(e.src, "x:/").pathname.startsWith("/static/"))))
    .map((e) => e.outerHTML)"""
HANDLERS = """() => [...document.querySelectorAll("*")]
    .filter((e) => [...e.attributes].some((a) => a.name.startsWith("on")
        || /^(href|src|action|formaction)$/.test(a.name)
            && /^\\s*(javascript|vbscript):/i.test(a.value)))
    .map((e) => e.outerHTML)"""
EVENTS = "/self-serve/events"
SIDEWAYS = "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"


@pytest.fixture(scope="module")
def hostile(browser: Browser) -> Iterator[Hostile]:
    del browser
    folder = Path(tempfile.mkdtemp(prefix="buildapi-hostile-"))
    try:
        farm = hostile_farm(folder)
        with running(farm.service):
            yield farm
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def segment(text: str) -> str:
    return quote(text, safe="")


def harmless(page: Page, *texts: str) -> None:
    """Check that nothing came of any text, and that these are shown."""
    assert page.evaluate(FOREIGN) == []
    assert page.evaluate(HANDLERS) == []
    shown = page.locator("body").text_content() or ""
    for text in texts:
        assert text in shown, f"{text!r} is not shown on {page.url}"


def open_all(visitor: Visitor, paths: dict[str, tuple[str, ...]]) -> None:
    page = visitor.context.new_page()
    for path, texts in paths.items():
        response = page.goto(path)
        assert response is not None
        assert response.status in (200, *visitor.refusals), path
        assert not (found := faults(response.text())), (path, found)
        harmless(page, *texts)


@pytest.mark.parametrize("name", TEXTS)
def test_stored_texts_are_texts(visit: Visit, hostile: Hostile, name: str) -> None:
    text, branch = TEXTS[name], f"/self-serve/{BRANCH}"
    strange = f"/self-serve/{segment(text)}"
    open_all(
        visit(at=hostile.service),
        {
            f"{strange}?date={hostile.day}": (text,),
            f"{branch}/build/{hostile.builds[name]}": (f"a {text}", "1 step, "),
            f"{branch}/build/{hostile.builds[name]}/steps": (),
            f"{branch}/request/{hostile.requests[name]}": (text,),
            f"{branch}/rev/{segment(text)}": (text[:12],),
            f"{branch}/rev/{segment(text)}/is_done": (),
            f"{branch}/user/{segment(text)}": (text,),
            f"{branch}/new?revision={segment(text)}&builder={segment(text)}": (),
            f"/revision/{BRANCH}/{segment(text)}": (text[:40],),
            f"/recent/{segment(text)}": (text,),
        },
    )


def test_long_names_do_not_widen_pages(visit: Visit, hostile: Hostile) -> None:
    """What is too wide for the window scrolls by itself, or goes on in the next line."""
    text = TEXTS["long"]
    branch = f"/self-serve/{BRANCH}"
    visitor = visit(user=text, at=hostile.service)
    visitor.refusals.add(404)
    page = visitor.context.new_page()
    wide = {}
    for path in (
        "/",
        "/self-serve",
        "/pushes",
        f"/self-serve/{text}",
        f"{branch}/build/{hostile.builds['long']}",
        f"{branch}/builders",
        f"{branch}/rev/{text}",
        f"{branch}/pushes?show=all",
        f"/self-serve/user/{text}",
        f"/nowhere/{text}",
        f"/self-serve/lookup?kind=revision&q={text}",
    ):
        page.goto(path)
        if (pixels := page.evaluate(SIDEWAYS)) > 1:
            wide[path.replace(text, "LONG")] = pixels
    assert wide == {}


def test_lists_of_the_farm_and_of_a_branch_show_them_all(visit: Visit, hostile: Hostile) -> None:
    texts, branch = tuple(TEXTS.values()), f"/self-serve/{BRANCH}"
    open_all(
        visit(at=hostile.service),
        {
            f"{branch}?date={hostile.day}": texts,
            f"{branch}/builders": texts,
            f"{branch}/pushes?show=all": texts,
            "/self-serve/pushes?show=all": texts,
            "/": texts,
            "/self-serve": texts,
            "/pending": texts,
            "/running": texts,
            "/recent?numbuilds=100": (),
            "/pushes": texts,
        },
    )


@pytest.mark.parametrize("name", TEXTS)
def test_what_the_address_says_is_a_text(visit: Visit, hostile: Hostile, name: str) -> None:
    text = segment(TEXTS[name])
    visitor = visit(at=hostile.service)
    visitor.refusals |= {400, 404}
    open_all(
        visitor,
        {
            f"/self-serve/{BRANCH}?date={hostile.day}&q={text}": (),
            f"/self-serve/{BRANCH}?date={text}": (),
            f"/self-serve/{BRANCH}?state={text}&sort={text}&page={text}": (),
            f"/self-serve/lookup?kind=revision&q={text}": (),
            f"/self-serve/lookup?kind={text}&q=1": (),
            f"/self-serve/jobs?who={text}&branch={text}&since={text}": (),
            f"/self-serve/{text}/build/1": (),
            f"/self-serve/{text}/pushes": (),
            f"/self-serve/{BRANCH}/pushes?author={text}&builder={text}&since={text}": (),
            f"/self-serve/{BRANCH}/pushes?builder={text}&revision={text}&author={text}": (),
            f"/self-serve/user/{text}?builder={text}": (),
            f"/nowhere/{text}": (),
            f"/pushes/{text}?q={text}": (),
            f"/self-serve/{BRANCH}/rev/%ED%A0%80?q=%ED%A0%80": (),
        },
    )


@pytest.mark.parametrize("name", ["script", "attribute", "statement", "template", "long"])
def test_a_user_and_what_they_ask_for_are_texts(visit: Visit, hostile: Hostile, name: str) -> None:
    text = TEXTS[name]
    visitor = visit(text, at=hostile.service)
    request = f"/self-serve/{BRANCH}/request/{hostile.requests[name]}"
    page = visitor.open(request)
    page.locator("input[name=priority]").fill("7")
    page.locator("input[type=submit][value=set]").click()
    link = page.get_by_role("status").get_by_role("link")
    expect(link).to_be_visible()
    harmless(page, text)
    job = link.get_attribute("href") or ""

    open_all(visitor, {job: (text,), "/self-serve/jobs": (text,)})


@pytest.mark.parametrize("name", TEXTS)
def test_rows_that_scripts_put_in_are_texts(visit: Visit, hostile: Hostile, name: str) -> None:
    text = TEXTS[name]
    page = visit(at=hostile.service).open("/pending")
    request_id = hostile.submit(text)

    row = page.locator(f"#request-{request_id}")

    expect(row).to_be_visible()
    harmless(page, text)
    cancel = row.locator("input[type=submit][value=cancel]")
    expect(cancel).to_have_attribute("aria-label", f"cancel request {request_id}, {text}")
    row.locator("input[type=submit][value=cancel]").click()
    harmless(page, text)
    page.locator("dialog[open] button[value=no]").click()


@pytest.mark.parametrize(
    "name",
    [
        "build-1/../../../self-serve/jobs",
        "//evil.example.org/build-1",
        "javascript:alert(1)",
        "build-<img src=x onerror=alert(1)>",
        'request-1"],a',
        "request-1%22%5D",
        "build--1",
    ],
)
def test_an_address_names_no_other_panel_than_that_of_a_job(
    visit: Visit, hostile: Hostile, name: str
) -> None:
    page = visit(at=hostile.service).open(f"/self-serve/{BRANCH}/pushes#job={name}")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.evaluate("() => { location.hash = ''; }")
    page.evaluate("(name) => { location.hash = `#job=${name}`; }", name)
    expect(page.locator("#pushes tr.push").first).to_be_visible()
    assert page.locator("#panel").count() == 0
    # The list reads itself, and what happens to it.
    own = {
        f"{hostile.service.client.url}{path}" for path in (f"/self-serve/{BRANCH}/pushes", EVENTS)
    }
    assert {url.partition("?")[0].partition("#")[0] for url in asked} <= own
    harmless(page)


@pytest.mark.parametrize("name", TEXTS)
def test_a_job_of_hostile_names_is_shown_beside_the_list_as_text(
    visit: Visit, hostile: Hostile, name: str
) -> None:
    page = visit(at=hostile.service).open(f"/self-serve/{BRANCH}/pushes?show=all")
    page.locator(f'a.job[data-job="build-{hostile.builds[name]}"]').first.click()
    expect(page.locator("#panel-content")).to_be_visible()
    harmless(page, TEXTS[name])
    base = f"{page.evaluate('() => location.origin')}/"
    links = page.locator("#panel a").evaluate_all("(all) => all.map((a) => a.href)")
    forms = page.locator("#panel form").evaluate_all("(all) => all.map((f) => f.action)")
    assert all(to.startswith(base) for to in forms)
    assert all(to.startswith(("http://", "https://")) for to in links)
