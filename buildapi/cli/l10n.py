"""``buildapi l10n-report``: which localised builds went wrong, out of dumps."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from buildapi.atomic_file import AtomicFile
from buildapi.reports.failed_locales import LocaleEntry, report

GZIP_MAGIC = b"\x1f\x8b"


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
