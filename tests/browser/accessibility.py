"""What axe, and a look at every field, find wrong with a page as it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]  # no types
from playwright.sync_api import Page

GRAVE = ("serious", "critical")
COLOURS = ("color-contrast", "link-in-text-block")
"""The rules that depend on the scheme; all others look at elements and their names."""
SHOWN = 5

UNLABELLED = """() => [...document.querySelectorAll("input, select, textarea")]
    .filter((field) => field.type !== "hidden" && !["submit", "button"].includes(field.type))
    .filter((field) => ![...field.labels].some((label) => label.textContent.trim())
        && !field.getAttribute("aria-label") && !field.getAttribute("aria-labelledby"))
    .map((field) => field.outerHTML)"""

# Removes each row and entry that looks like one before it in its list: the same elements with the
# same classes, states and names of attributes, with texts in the same places. Axe would need
# seconds to say the same of hundreds of them.
ONE_OF_EACH = """() => {
    const look = (e) => [e.localName, e.className, e.dataset.state, e.type, e.getAttributeNames(),
        [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim())];
    for (const list of document.querySelectorAll("tbody, ul, ol, dl")) {
        const seen = new Set();
        for (const row of list.querySelectorAll(":scope > :is(tr, li)")) {
            const looks = JSON.stringify([row, ...row.querySelectorAll("*")].map(look));
            seen.has(looks) ? row.remove() : seen.add(looks);
        }
    }
}"""


def violations(page: Page, *rules: str) -> Sequence[Mapping[str, Any]]:
    """Run axe on a page; with rules, only these."""
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if rules:
        options["runOnly"] = {"type": "rule", "values": rules}
    found: Sequence[Mapping[str, Any]] = Axe().run(page, options=options).response["violations"]
    return found


def told(found: Sequence[Mapping[str, Any]], scheme: str) -> list[str]:
    """List violations: the rule, how grave, where, and what would help."""
    return [_told(one, scheme) for one in found]


def grave(found: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Choose those that keep people out."""
    return [one for one in found if one["impact"] in GRAVE]


def unlabelled(page: Page) -> list[str]:
    """List fields that nothing names."""
    return [f"no label: {html}" for html in page.evaluate(UNLABELLED)]


def _told(one: Mapping[str, Any], scheme: str) -> str:
    places = [f"\n    {' '.join(map(str, n['target']))}{_why(n)}" for n in one["nodes"][:SHOWN]]
    more = len(one["nodes"]) - SHOWN
    rest = f"\n    and {more} more" if more > 0 else ""
    return f"{one['id']} ({one['impact']}, {scheme}): {one['help']}{''.join(places)}{rest}"


def _why(node: Mapping[str, Any]) -> str:
    checks = [*node["any"], *node["all"], *node["none"]]
    return "".join(f"\n        {check['message']}" for check in checks[:2])
