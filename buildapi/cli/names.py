"""``buildapi names``: names that no rule of the classification matches."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
import httpx

from buildapi.cli import values

REPORT = "/reports/names"
SECONDS = 180


@click.command()
@click.option(
    "-u",
    "--url",
    type=values.url,
    metavar="URL",
    envvar="BUILDAPI_URL",
    default="http://localhost:8010",
    show_default=True,
    show_envvar=True,
    help="Where the service is.",
)
@click.option(
    "--hours",
    type=click.IntRange(1, 9600),
    default=168,
    show_default=True,
    help="Of how long until now.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what the service answers.")
def names(*, url: str, hours: int, as_json: bool) -> None:
    """List names of builders and slaves that no rule of the classification matches."""
    document = _asked(url, hours)
    if as_json:
        click.echo(json.dumps(document, indent=2, sort_keys=True))
        return
    for group, found in document["unmatched"].items():
        for name in found:
            click.echo(f"{group}\t{printable(name)}")
    count = len({name for found in document["unmatched"].values() for name in found})
    total = document["builders"] + document["slaves"]
    click.echo(f"{count} of {total} names are without a rule", err=True)


def _asked(url: str, hours: int) -> Mapping[str, Any]:
    """Ask for the report; :raises click.ClickException: there is none."""
    try:
        answer = httpx.get(url + REPORT, params={"format": "json", "hours": hours}, timeout=SECONDS)
        document = answer.json()
    except (httpx.HTTPError, ValueError) as e:
        raise click.ClickException(f"{url}{REPORT}: {printable(str(e) or type(e).__name__)}") from e
    if answer.status_code != httpx.codes.OK or not _is_report(document):
        said = document.get("msg", "") if isinstance(document, dict) else ""
        status = f"{answer.status_code} {printable(str(said))}".strip()
        raise click.ClickException(f"{url}{REPORT} answered {status}")
    found: Mapping[str, Any] = document
    return found


def _is_report(document: Any) -> bool:
    if not isinstance(document, dict) or not isinstance(document.get("unmatched"), dict):
        return False
    counts = [document.get("builders"), document.get("slaves")]
    return all(isinstance(c, int) for c in counts) and all(
        isinstance(found, list) for found in _lists(document)
    )


def _lists(document: Mapping[str, Any]) -> Sequence[Any]:
    return list(document["unmatched"].values())


def printable(text: Any) -> str:
    """Write a text so that a terminal shows it, and does nothing else."""
    return "".join(c if c.isprintable() else "\ufffd" for c in str(text))
