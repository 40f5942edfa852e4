"""Charts of reports are drawn, follow the scheme, are printed on white, and have their table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visit
from tests.browser.places import Places

pytestmark = pytest.mark.chromium

# How many colours the pixels of each canvas have, beside those that are seen through.
COLOURS = """() => [...document.querySelectorAll("canvas")].map((canvas) => {
    const {width, height} = canvas;
    const copy = Object.assign(document.createElement("canvas"), {width, height});
    const context = copy.getContext("2d", {willReadFrequently: true});
    context.drawImage(canvas, 0, 0);
    const {data} = context.getImageData(0, 0, width, height);
    const seen = new Set();
    for (let i = 0; i < data.length; i += 4)
        if (data[i + 3] > 200) seen.add(`${data[i]},${data[i + 1]},${data[i + 2]}`);
    return [...seen];
})"""
TWO_FRAMES = "() => new Promise((r) => requestAnimationFrame(() => requestAnimationFrame(r)))"
INK_LIGHT, INK_DARK = "28,33,41", "230,233,238"

CHARTED = (
    "/reports/waittimes/testpool",
    "/reports/pushes",
    "/reports/builders/{branch}",
    "/reports/builder/{builder}?hours=96",
    "/reports/endtoend/{branch}",
    "/reports/revision/{branch}/{revision}",
    "/reports/slaves",
    "/reports/slaves/1",
    "/reports/status_builders",
    "/reports/testruns",
    "/reports/idlejobs?int_size=7200",
)


def colours(page: Page) -> Sequence[Sequence[str]]:
    found: Sequence[Sequence[str]] = page.evaluate(COLOURS)
    return found


@pytest.mark.parametrize("path", CHARTED)
def test_every_chart_is_drawn(visit: Visit, places: Places, path: str) -> None:
    page = visit().open(places.path(path))
    drawn = page.locator("figure.chart.drawn")
    expect(drawn).to_have_count(page.locator("figure.chart").count())
    assert drawn.count() > 0
    assert all(len(found) > 2 for found in colours(page))


def test_charts_follow_the_scheme_and_paper_is_white(visit: Visit) -> None:
    page = visit(color_scheme="dark").open("/reports/waittimes/testpool")
    expect(page.locator("figure.chart.drawn").first).to_be_visible()
    assert all(INK_DARK in found for found in colours(page))

    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    assert all(INK_LIGHT in found and INK_DARK not in found for found in colours(page))
    page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    page.emulate_media(color_scheme="light")
    page.evaluate(TWO_FRAMES)
    assert all(INK_LIGHT in found for found in colours(page))


def test_printing_leaves_out_what_cannot_be_clicked_on_paper(visit: Visit) -> None:
    page = visit().open("/reports/waittimes/testpool")
    page.emulate_media(media="print")
    expect(page.locator("canvas").first).to_be_visible()
    expect(page.locator("main form").first).to_be_hidden()
    expect(page.locator("header nav")).to_be_hidden()


def test_without_scripts_tables_say_it_all_and_forms_work(visit: Visit) -> None:
    page = visit(java_script_enabled=False).open("/reports/waittimes")
    expect(page.locator("canvas").first).to_be_hidden()
    page.locator("summary").first.click()
    expect(page.locator("figure table").first).to_be_visible()

    page.locator("select[name=pool]").select_option("testpool")
    page.locator("input[name=mpb]").fill("30")
    page.locator("form").first.locator("input[type=submit]").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Wait times of testpool")
    expect(page.locator("input[name=mpb]")).to_have_value("30")


def test_the_csv_of_a_chart_and_of_the_table_can_be_had(visit: Visit) -> None:
    page = visit().open("/reports/slaves")
    for link in page.get_by_role("link", name="CSV of").all():
        with page.expect_download() as download:
            link.click()
        text = download.value.path().read_text(encoding="utf-8")
        head, *rows = csv.reader(io.StringIO(text, newline=""))
        assert rows, download.value.suggested_filename
        assert all(len(row) == len(head) for row in rows)


def leave(page: Page, control: Locator) -> None:
    """Click on what leads to another page, and wait until that is whole."""
    page.evaluate("() => { window.__left = true; }")
    control.click()
    page.wait_for_function("() => !window.__left && document.readyState === 'complete'")


def test_the_table_is_searched_and_sorted_and_the_report_stays_as_asked(visit: Visit) -> None:
    page = visit().open("/reports/slaves?hours=48")
    page.locator("#find input[name=q]").fill("tst-linux64")
    leave(page, page.locator("#find input[type=submit]"))
    names = page.locator("#list tbody tr td:first-child").all_text_contents()
    assert names
    assert all("tst-linux64" in name for name in names)

    leave(page, page.get_by_role("link", name="Builds").last)
    assert "hours=48" in page.url
    counts = page.locator("#list td[data-f=builds]").all_text_contents()
    assert [int(c) for c in counts] == sorted(map(int, counts))


def test_bad_values_are_told_on_a_page(visit: Visit) -> None:
    visitor = visit()
    visitor.refusals.add(400)
    text = "<img src=x onerror=alert(1)>"
    page = visitor.open(f"/reports/waittimes?mpb={quote(text)}")
    expect(page.locator("main")).to_contain_text(f"Bad mpb: '{text}'")


# The chart of a canvas, as the library has it.
AXES = """() => [...document.querySelectorAll("canvas")].map((canvas) => {
    const {scales, data} = Chart.getChart(canvas);
    const radii = data.datasets.map((one) => [].concat(one.pointRadius));
    return {min: scales.x.min, max: scales.x.max, y: scales.y.min,
            labels: scales.x.ticks.map((tick) => String(tick.label)), radii};
})"""


def test_one_point_is_seen_on_an_axis_as_long_as_what_was_asked_for(visit: Visit) -> None:
    page = visit().open("/load?step=86400")
    expect(page.locator("figure.chart.drawn")).to_have_count(2)
    for axis in page.evaluate(AXES):
        assert 86_400 <= axis["max"] - axis["min"] <= 2 * 86_400
        assert all(radii[-1] > 0 for radii in axis["radii"])
        assert axis["y"] == 0


@pytest.mark.parametrize(
    "path", ["/load?step=60", "/reports/endtoend/{branch}", "/load?step=86400"]
)
def test_no_two_marks_of_an_axis_of_times_are_equal(
    visit: Visit, places: Places, path: str
) -> None:
    page = visit().open(places.path(path))
    expect(page.locator("figure.chart.drawn").first).to_be_visible()
    for axis in page.evaluate(AXES):
        assert len(axis["labels"]) > 1
        assert len(set(axis["labels"])) == len(axis["labels"]), axis["labels"]
