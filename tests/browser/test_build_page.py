"""The page of a build: what is unfolded there stays so, and is for everybody."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

from buildapi.model.results import FAILURE
from tests.browser.accessibility import violations
from tests.browser.conftest import Visit
from tests.browser.service import BRANCH, days, seed_of
from tests.e2e.service import Client, Service

pytestmark = pytest.mark.chromium

FARM_MS = 60_000


def failed_build(client: Client) -> int:
    """Find a build of the sample that failed: those of other tests have no steps."""
    found = (i for day in days() for i in client.get(f"/self-serve/{BRANCH}?date={day}").body)
    of_sample = (i for i in found if i["requests"][0]["reason"] == "scheduler")
    return next(int(i["build_id"]) for i in of_sample if i.get("status") == FAILURE)


def test_steps_that_are_unfolded_stay_so_when_the_page_follows(
    visit: Visit, client: Client
) -> None:
    page = visit().open(f"/self-serve/{BRANCH}/build/{failed_build(client)}")
    expect(page.locator(".note.bad")).to_contain_text("failed after")
    steps = page.locator("details[data-key=steps]")
    expect(steps.get_by_role("table")).to_be_hidden()
    steps.locator("summary").click()
    expect(steps.get_by_role("table")).to_be_visible()
    assert violations(page) == []
    page.get_by_role("button", name=re.compile("rebuild")).click()
    expect(page.locator("dl.about")).to_contain_text("Rebuilt as", timeout=FARM_MS)
    expect(steps.get_by_role("table")).to_be_visible()


def test_the_boxes_of_results_are_reached_by_keyboard_and_say_what_they_are(
    visit: Visit, client: Client
) -> None:
    page = visit().open(f"/self-serve/{BRANCH}/build/{failed_build(client)}")
    this = page.locator(".strip a[aria-current=true]")
    expect(this).to_have_accessible_name(re.compile(r"^build \d+: failure, [0-9a-f]{12}, "))
    this.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Build ")


# Where the button is before and after the age grows, in one turn of the page.
GROWN = """() => {
    const [age, button] = ["[data-since]", "input[value=rebuild]"]
        .map((one) => document.querySelector(`.headline ${one}`));
    const before = button.getBoundingClientRect().left;
    age.textContent = "23 h 59";
    return [before, button.getBoundingClientRect().left];
}"""


def test_an_age_grows_without_moving_the_actions_beside_it(visit: Visit, farm: Service) -> None:
    seed, now = seed_of(farm), int(time.time())
    request = seed.request(BRANCH, "a" * 40, builder="with an age", at=now)
    page = visit().open(f"/self-serve/{BRANCH}/build/{seed.run(request, at=now)}")
    before, after = page.evaluate(GROWN)
    assert before == after > 0
    seed.close()
