"""Times are those of the reader, with the farm's in their titles; ages go on."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.places import Places
from tests.browser.service import BRANCH, ZONE, day_of_rows, submit
from tests.e2e.service import Client, Service

pytestmark = pytest.mark.chromium

TOKYO = "Asia/Tokyo"
AGE = re.compile(r"^(\d+ (s|min)|\d+ (h|d) [\d h]+) ago$")


def written(seconds: int, zone: str) -> str:
    return f"{datetime.fromtimestamp(seconds, ZoneInfo(zone)):%Y-%m-%d %H:%M:%S}"


@pytest.mark.parametrize("scripts", [True, False])
def test_a_time_in_a_list_is_an_age_with_the_time_in_its_title(
    visit: Visit, client: Client, scripts: bool
) -> None:
    day, items = day_of_rows(client)
    build = next(i for i in items if i.get("status") == 0)
    page = visit(timezone_id=TOKYO, java_script_enabled=scripts).open(
        f"/self-serve/{BRANCH}?date={day}"
    )

    time = page.locator(f"#build-{build['build_id']} td[data-f=started] time")

    started = build["starttime"]
    expect(time).to_have_text(AGE)
    here = f"{written(started, TOKYO)} {TOKYO}, " if scripts else ""
    expect(time).to_have_attribute("title", f"{here}{written(started, ZONE)} {ZONE}")
    stamp = datetime.fromisoformat(time.get_attribute("datetime") or "")
    assert stamp == datetime.fromtimestamp(started, UTC)


@pytest.mark.parametrize("scripts", [True, False])
def test_a_time_of_one_thing_is_the_readers_and_the_farms_in_its_title(
    visit: Visit, client: Client, places: Places, scripts: bool
) -> None:
    started = client.get(f"/self-serve/{BRANCH}/build/{places.build}").body["starttime"]
    page = visit(timezone_id=TOKYO, java_script_enabled=scripts).open(
        f"/self-serve/{BRANCH}/build/{places.build}"
    )
    time = page.locator(f"time[data-at='{started}']").first
    expect(time).to_have_text(written(started, TOKYO if scripts else ZONE))
    expect(time).to_have_attribute("title", f"{written(started, ZONE)} {ZONE}")


def test_rows_that_scripts_put_in_have_the_same_times(visit: Visit, farm: Service) -> None:
    page = visit(timezone_id=TOKYO).open("/pending")
    (request_id,) = submit(farm, 1, builder="a time")
    time = page.locator(f"#request-{request_id} td[data-f=submitted] time")
    expect(time).to_be_visible()
    at = farm.client.get(f"/self-serve/{BRANCH}/request/{request_id}").body["submittime"]
    expect(time).to_have_text(AGE)
    title = f"{written(at, TOKYO)} {TOKYO}, {written(at, ZONE)} {ZONE}"
    expect(time).to_have_attribute("title", title)


def test_ages_go_on(visit: Visit, farm: Service) -> None:
    (request_id,) = submit(farm, 1, builder="an age")
    visitor = visit()
    visitor.context.clock.install()
    page = visitor.open("/pending?q=an+age")
    age = page.locator(f"#request-{request_id} td[data-f=took]")
    submitted = page.locator(f"#request-{request_id} td[data-f=submitted]")
    expect(age).to_have_text(re.compile(r"^waiting \d+ s$"))
    expect(submitted).to_have_text(AGE)

    page.clock.fast_forward("02:00:00")

    expect(age).to_have_text("waiting 2 h 00")
    expect(submitted).to_have_text("2 h 00 ago")
