"""``buildapi names``: names that no rule of the classification matches."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from buildapi.cli.command_error import CommandError, ServiceRefusal
from buildapi.cli.connection_options import with_client
from buildapi.cli.service_client import ServiceClient
from buildapi.cli.terminal import printable
from buildapi.exit_codes import FAILED

REPORT = "/reports/names"
SECONDS = 180


@click.command()
@click.option(
    "--hours",
    type=click.IntRange(1, 9600),
    default=168,
    show_default=True,
    help="Of how long until now.",
)
@click.option("--json", "as_json", is_flag=True, help="Print what the service answers.")
@with_client
def names(*, client: ServiceClient, hours: int, as_json: bool) -> None:
    """List names of builders and slaves that no rule of the classification matches."""
    document = _asked(client, hours)
    if as_json:
        click.echo(json.dumps(document, indent=2, sort_keys=True))
        return
    for group, found in document["unmatched"].items():
        for name in found:
            click.echo(f"{group}\t{printable(name)}")
    count = len({name for found in document["unmatched"].values() for name in found})
    total = document["builders"] + document["slaves"]
    click.echo(f"{count} of {total} names are without a rule", err=True)


def _asked(client: ServiceClient, hours: int) -> Mapping[str, Any]:
    """Ask for the report; :raises CommandError: there is none, with the code 1 it always had."""
    where = f"{client.settings.url}{REPORT}"
    patient = max(SECONDS - client.settings.timeout, 0)
    try:
        document = client.get("reports", "names", patience=patient, format="json", hours=hours)
    except ServiceRefusal as e:
        raise CommandError(f"{where} answered {e.status} {e.said}".strip()) from e
    except CommandError as e:
        raise CommandError(f"{where}: {e.message}", FAILED) from e
    if not _is_report(document):
        raise CommandError(f"{where} answered 200 with something else")
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
