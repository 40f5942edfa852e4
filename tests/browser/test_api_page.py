"""The page of the OpenAPI document, under our Content-Security-Policy and from this host alone."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit

pytestmark = pytest.mark.chromium


def test_operations_are_listed_and_can_be_tried(visit: Visit) -> None:
    """The visitor fails the test for anything that the policy blocks, or that another host has."""
    page = visit().open("/docs")
    operation = page.locator("#operations-tokens-get_whoami")
    operation.get_by_role("button").first.click()
    operation.get_by_role("button", name="Try it out").click()
    operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table .response .response-col_status")).to_have_text(
        "200"
    )
    expect(operation.locator(".live-responses-table")).to_contain_text('"who"')
