"""Report failed localised (l10n) builds from dumps of ended builds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import attrs

from buildapi.model.results import RESULT_WORDS, RETRY, SUCCESS

NOT_REPORTED = (SUCCESS, RETRY)
PASSED_OVER = ("android",)
"""Platforms whose localised builds are not reported."""

WORDS = {code: word.upper() for code, word in RESULT_WORDS.items()} | {SUCCESS: "OK"}
"""The words for results in this report."""

NO_PACKAGE = "no package"
NEEDED = ("branch", "platform", "locale", "log_url")


@attrs.frozen
class LocaleEntry:
    """The four lines of the report about a build."""

    text: str


@attrs.frozen
class MissingLocale:
    """Why a build that belongs into the report is left out."""

    text: str


def report(builds: Iterable[object]) -> Iterator[LocaleEntry | MissingLocale]:
    """Yield an entry, or what is lacking, for each build that belongs into the report."""
    for build in builds:
        properties = build.get("properties") if isinstance(build, dict) else None
        if not isinstance(build, dict) or not isinstance(properties, dict):
            yield MissingLocale(f"not a build with properties: {str(build)[:80]}")
        elif _concerns(build, properties):
            yield _entry(build, properties)


def _concerns(build: Mapping[str, object], properties: Mapping[str, object]) -> bool:
    name, platform = properties.get("buildername"), properties.get("platform")
    if name is None or platform is None or "l10n" not in str(name):
        return False
    return platform not in PASSED_OVER and build.get("result") not in NOT_REPORTED


def _entry(
    build: Mapping[str, object], properties: Mapping[str, object]
) -> LocaleEntry | MissingLocale:
    missing = [name for name in NEEDED if properties.get(name) is None]
    if missing:
        named = f"build {build.get('id')} ({properties['buildername']})"
        return MissingLocale(f"{named} has no {', '.join(missing)}")
    branch, platform, locale, log_url = (_line(properties[name]) for name in NEEDED)
    package = properties.get("packageUrl")
    told = (
        result_word(build.get("result")),
        log_url,
        NO_PACKAGE if package is None else _line(package),
    )
    return LocaleEntry("\n    ".join((f"{branch} {platform} {locale}", *told)) + "\n")


def _line(value: object) -> str:
    # An entry has exactly four lines (docs/commands.md, "`buildapi l10n-report`"): a line feed in a
    # property must not add one.
    return " ".join(str(value).split())


def result_word(code: object) -> str:
    """Return the word of a result code, ``UNKNOWN (code)`` for others."""
    # Not isinstance(): JSON's true equals 1, the code of warnings.
    if type(code) is int and code in RESULT_WORDS:
        return WORDS[code]
    return f"UNKNOWN ({_line(code)})"
