"""Everything is reached and done with the keyboard alone, and the focus is always seen."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visit
from tests.browser.service import BRANCH, quick_today, submit
from tests.e2e.service import Client, Service

pytestmark = pytest.mark.chromium

FOCUS = """() => {
    const at = document.activeElement;
    const style = getComputedStyle(at), box = at.getBoundingClientRect();
    return {
        tag: at.localName, id: at.id, name: at.getAttribute("name"), type: at.getAttribute("type"),
        value: at.value ?? "", row: at.closest("tr")?.id ?? "",
        outline: style.outlineStyle !== "none" && parseFloat(style.outlineWidth) > 0,
        seen: box.width > 0 && box.height > 0 && box.bottom > 0 && box.top < innerHeight
            && box.right > 0 && box.left < innerWidth,
    };
}"""
STEPS = 400


def focus(page: Page) -> dict[str, Any]:
    """Return what has the focus; it must be something, and be seen.

    A script moves it on in the turn after the one in which it takes a row away.
    """
    page.wait_for_function("!['BODY', 'HTML'].includes(document.activeElement.tagName)")
    at: dict[str, Any] = page.evaluate(FOCUS)
    assert at["tag"] not in ("body", "html"), "the focus is lost"
    assert at["outline"], f"the focus is not seen: {at}"
    assert at["seen"], f"what has the focus is out of sight: {at}"
    return at


def go_to(page: Page, key: str = "Tab", **wanted: str) -> None:
    """Press a key until the focus is on the element wanted."""
    for _ in range(STEPS):
        page.keyboard.press(key)
        at = focus(page)
        if all(at[name] == value for name, value in wanted.items()):
            return
    raise AssertionError(f"{key} does not come to {wanted}")


def test_a_build_is_found_and_built_again(visit: Visit, client: Client) -> None:
    build = quick_today(client)
    page = visit().open(f"/self-serve/{BRANCH}")
    go_to(page, type="search", name="q")
    page.keyboard.type(f"{build['buildername']} success")
    expect(page.locator("#list tbody tr").first).to_contain_text(build["buildername"])
    page.wait_for_url("**q=**success")
    row = f"build-{build['build_id']}"
    go_to(page, row=row, value="rebuild")

    page.keyboard.press("Enter")

    expect(page.get_by_role("status").locator(".state")).to_have_text("done", timeout=180_000)
    assert focus(page)["row"] == row
    go_to(page, tag="a", row="")  # the way on is not shut
    expect(page.get_by_role("status").get_by_role("link")).to_have_count(1)


LIST_READ_AGAIN = """() => {
    const real = window.fetch;
    window.fetch = async (...asked) => {
        const answer = await real(...asked);
        if (asked[1]?.method !== "POST") return answer;
        const at = document.activeElement.closest("tr");
        const row = at ?? document.querySelector("#list tbody tr:has(:disabled)");
        const copy = row.cloneNode(true);
        for (const control of copy.querySelectorAll(":disabled")) control.disabled = false;
        row.closest("tbody").replaceChildren(copy);
        return answer;
    };
}"""
"""Read the list again before the answer to a job request comes, as a search does.

Only the row of the request is in it then.
"""


def test_the_focus_stays_on_a_build_whose_list_is_read_again(visit: Visit, client: Client) -> None:
    build = quick_today(client)
    row = f"build-{build['build_id']}"
    page = visit().open(f"/self-serve/{BRANCH}?q={build['buildername']}+success")
    page.evaluate(LIST_READ_AGAIN)
    go_to(page, row=row, value="rebuild")

    page.keyboard.press("Enter")

    expect(page.get_by_role("status").get_by_role("link")).to_have_count(1)
    at = focus(page)
    assert (at["row"], at["value"]) == (row, "rebuild")


ROW_GONE = """row => {
    const real = window.fetch;
    window.fetch = async (...asked) => {
        const answer = await real(...asked);
        if (asked[1]?.method === "POST") document.getElementById(row)?.remove();
        return answer;
    };
}"""
"""Take a row away before the answer to a job request comes, as an event may."""


@pytest.mark.parametrize("gone", [False, True], ids=["answer first", "event first"])
def test_a_request_is_cancelled_and_the_focus_goes_on(
    visit: Visit, farm: Service, *, gone: bool
) -> None:
    builder = f"by keyboard {gone:d}"
    first, second = submit(farm, 2, builder=builder)
    page = visit().open(f"/pending?q={builder.replace(' ', '+')}")
    if gone:
        page.evaluate(ROW_GONE, f"request-{second}")
    go_to(page, row=f"request-{second}", value="cancel")

    page.keyboard.press("Space")

    expect(page.get_by_role("dialog")).to_be_visible()
    assert focus(page)["value"] == "no", "what cannot be undone is not what Enter does"
    go_to(page, "Shift+Tab", value="yes")
    page.keyboard.press("Enter")
    expect(page.locator(f"#request-{second}")).to_have_count(0)
    page.wait_for_function(
        "row => document.activeElement.closest('tr')?.id === row", arg=f"request-{first}"
    )
    assert focus(page)["row"] == f"request-{first}"


def test_rows_are_selected_and_the_selection_is_cancelled(visit: Visit, farm: Service) -> None:
    requests = submit(farm, 2, builder="select by keyboard")
    page = visit().open("/pending?q=select+by+keyboard")
    for request_id in sorted(requests, reverse=True):
        go_to(page, row=f"request-{request_id}", name="item")
        page.keyboard.press("Space")
    go_to(page, name="act", value="cancel")
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    go_to(page, "Shift+Tab", value="yes")
    page.keyboard.press("Space")
    for request_id in requests:
        expect(page.locator(f"#request-{request_id}")).to_have_count(0)
    focus(page)


def test_the_first_key_skips_to_the_content(visit: Visit) -> None:
    page = visit().open("/pending")
    page.keyboard.press("Tab")
    focus(page)
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/", "/self-serve", f"/self-serve/{BRANCH}/new", "/pushes"])
def test_every_stop_is_seen(visit: Visit, path: str, scheme: str) -> None:
    page = visit(color_scheme=scheme).open(path)
    one_each = "a[href]:visible, button:visible, input:visible:not([type=radio])"
    stops = page.locator(one_each).count()  # of radio buttons a whole group is one
    for _ in range(min(stops, 40)):
        page.keyboard.press("Tab")
        focus(page)
