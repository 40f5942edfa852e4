"""Commands for reports: ``waittimes``, ``names``, and ``l10n-report`` from dumps."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from buildapi.atomic_file import AtomicFile
from buildapi.cli import table_rows
from buildapi.cli.command_error import CommandError, ServiceRefusal
from buildapi.cli.connection_options import with_client
from buildapi.cli.output import Output, output_options, unpack
from buildapi.cli.service_client import ServiceClient
from buildapi.cli.terminal import printable
from buildapi.exit_codes import FAILED
from buildapi.reports.failed_locales import LocaleEntry, report

NAMES_PATH = "/reports/names"
NAMES_SECONDS = 180
GZIP_MAGIC = b"\x1f\x8b"


@click.command()
@click.argument("pool", default="buildpool")
@click.option("--start", "starttime", type=int, help="Epoch seconds. Default: a day ago.")
@click.option("--end", "endtime", type=int, help="Epoch seconds. Default: now.")
@click.option("--minutes-per-block", "mpb", type=click.IntRange(1), help="Width of a column.")
@with_client
@output_options
def waittimes(
    *,
    pool: str,
    starttime: int | None,
    endtime: int | None,
    mpb: int | None,
    client: ServiceClient,
    out: Output,
) -> None:
    """Show how long requests of POOL waited: how many per platform and block of minutes."""
    asked: dict[str, Any] = {"starttime": starttime, "endtime": endtime, "mpb": mpb}
    document = client.get("reports", "waittimes", pool, format="json", **asked)
    if out.as_json:
        return out.json(document)
    head, rows = unpack(table_rows.waittimes, document)
    out.line(unpack(_between, document, out))
    return out.rows(head, rows)


def _between(document: Mapping[str, Any], out: Output) -> str:
    begin, end = out.time(document["starttime"]), out.time(document["endtime"])
    still = len(document["waiting"])
    return f"pool {document['pool']} from {begin} to {end}: {document['total']} began, {still} wait"


# --- names


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
    where = f"{client.settings.url}{NAMES_PATH}"
    patient = max(NAMES_SECONDS - client.settings.timeout, 0)
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


# --- l10n-report


@click.command("l10n-report")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("-o", "--output", metavar="FILE", default="-", help="Where it goes. Default: -")
def l10n_report(files: Sequence[Path], output: str) -> None:
    """Report localised builds that went wrong, out of FILES of "dump builds", gzipped or not.

    Builds that lack a property the report needs are named on standard error.
    """
    bad = [path for path in files if not path.is_file()]
    if bad:
        raise click.ClickException(f"{bad[0]}: there is no such file")
    try:
        with AtomicFile(output) as out:
            for path in files:
                out.write(_reported(path).encode(errors="replace"))
    except OSError as e:
        raise click.ClickException(f"{output}: {e.strerror or e}") from e


def _reported(path: Path) -> str:
    text = ""
    for said in report(_builds(path)):
        if isinstance(said, LocaleEntry):
            text += said.text
        else:
            click.echo(f"{path}: {said.text}", err=True)
    return text


def _builds(path: Path) -> Sequence[Any]:
    """Read the builds of a dump; :raises click.ClickException: the file is none."""
    try:
        data = path.read_bytes()
        document = json.loads(gzip.decompress(data) if data.startswith(GZIP_MAGIC) else data)
    except (OSError, EOFError, zlib.error, ValueError, RecursionError) as e:
        raise click.ClickException(f"{path}: not a dump of builds: {e}") from e
    builds = document.get("builds") if isinstance(document, dict) else None
    if not isinstance(builds, list):
        raise click.ClickException(f"{path}: not a dump of builds")
    return builds
