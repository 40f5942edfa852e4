"""``buildapi mail-waittimes``: fetch the wait-time report of the service and mail it."""

from __future__ import annotations

import smtplib
import socket
import time
import zoneinfo
from collections.abc import Mapping, Sequence
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from typing import Any
from urllib.parse import quote

import attrs
import click
import httpx

from buildapi.cli import param_types
from buildapi.reports.wait_mail import Mail, NoReportError, mail_of, read_report

FETCH_SECONDS, SMTP_SECONDS = 30, 30
REPORT = "/reports/waittimes"
SENT, NOTHING_SENT, SOME_REFUSED = 0, 1, 2


@attrs.frozen
class Envelope:
    """Who sends a mail to whom, by which server."""

    server: tuple[str, int]
    sender: str
    to: Sequence[str]
    bcc: Sequence[str]


@click.command("mail-waittimes")
@click.option(
    "-S",
    "--smtp",
    type=param_types.mail_server,
    metavar="HOST[:PORT]",
    default="localhost",
    show_default=True,
    help="The mail server.",
)
@click.option(
    "-f",
    "--from",
    "sender",
    type=param_types.mail_address,
    metavar="ADDRESS",
    help="Default: buildapi@ this host.",
)
@click.option(
    "-a",
    "--address",
    "to",
    type=param_types.mail_address,
    metavar="ADDRESS",
    multiple=True,
    help="To whom; repeatable.",
)
@click.option(
    "-b",
    "--BCC",
    "bcc",
    type=param_types.mail_address,
    metavar="ADDRESS",
    multiple=True,
    help="To whom, unseen; repeatable.",
)
@click.option(
    "-W",
    "--wt",
    "base",
    type=param_types.http_url,
    metavar="URL",
    default=f"http://localhost:8010{REPORT}",
    show_default=True,
    help="Where the report is.",
)
@click.option("-p", "--pool", default="buildpool", show_default=True)
@click.option(
    "-m",
    "--minutes-per-block",
    "mpb",
    type=click.IntRange(0),
    default=15,
    show_default=True,
    help="0: as the service likes.",
)
@click.option(
    "-x",
    "--max-block",
    "maxb",
    type=click.IntRange(0),
    default=90,
    show_default=True,
    help="Minutes of the last block; 0: as the service likes.",
)
@click.option(
    "-s", "--start-time", "starttime", type=float, help="Epoch seconds. Default: a day ago."
)
@click.option("-e", "--end-time", "endtime", type=float, help="Epoch seconds. Default: now.")
@click.option(
    "-t",
    "--tries",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="How often to try before giving up.",
)
@click.option(
    "-z",
    "--sleep",
    "pause",
    type=click.FloatRange(0),
    default=10,
    show_default=True,
    help="Seconds between two tries.",
)
@click.option(
    "--timezone",
    "zone",
    type=param_types.time_zone,
    metavar="ZONE",
    default="UTC",
    show_default=True,
    help="Zone of the times in the mail, such as US/Pacific.",
)
def mail_waittimes(
    *,
    smtp: tuple[str, int],
    sender: str | None,
    to: Sequence[str],
    bcc: Sequence[str],
    base: str,
    pool: str,
    tries: int,
    pause: float,
    zone: zoneinfo.ZoneInfo,
    **asked: float | None,
) -> None:
    """Mail the wait-time report of a pool.

    Exit codes: 0 all receivers were accepted, 1 nothing was sent, 2 some were refused (or the
    command line is wrong).
    """
    if not to and not bcc:
        raise click.UsageError("nobody to send to: give --address or --BCC")
    envelope = Envelope(smtp, sender or f"buildapi@{socket.getfqdn()}", to, bcc)

    def once() -> Sequence[str]:
        mail = made(fetch_report(base, pool, asked), base, zone)
        return send_mail(mail, envelope)

    refused = retry(once, tries, pause)
    if refused is None:
        raise SystemExit(NOTHING_SENT)
    if refused:
        click.echo(f"refused: {', '.join(refused)}", err=True)
        raise SystemExit(SOME_REFUSED)


FAILURES = (httpx.HTTPError, httpx.InvalidURL, smtplib.SMTPException, OSError, NoReportError)


def retry(once: Any, tries: int, pause: float) -> Sequence[str] | None:
    """Try until it works, with pauses between; None: it never did, and each time said why."""
    for attempt in range(1, tries + 1):
        try:
            refused: Sequence[str] = once()
        except (*FAILURES, MessageError, ValueError) as e:
            click.echo(f"try {attempt} of {tries}: nothing sent: {reason(e)}", err=True)
        else:
            return refused
        if attempt < tries:
            time.sleep(pause)
    return None


def reason(error: Exception) -> str:
    """Say why it failed, in one line."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"refused: {', '.join(map(str, error.recipients))}"
    return f"{type(error).__name__}: {error}".replace("\n", " ")


def fetch_report(base: str, pool: str, asked: Mapping[str, float | None]) -> Any:
    """Fetch the report; parameters that are zero or not given are left to the service.

    :raises httpx.HTTPError: it cannot be had.
    :raises NoReportError: what is there is something else.
    """
    params = {"format": "json", **{k: f"{v:.15g}" for k, v in asked.items() if v}}
    answer = httpx.get(
        f"{base}/{quote(pool, safe='')}",
        params=params,
        timeout=FETCH_SECONDS,
        follow_redirects=True,
        headers={"Accept": "application/json"},
    )
    answer.raise_for_status()
    try:
        return answer.json()
    except (ValueError, RecursionError) as e:
        raise NoReportError(f"not a wait-time report: {e}") from e


def made(document: Any, base: str, zone: zoneinfo.ZoneInfo) -> Mail:
    """Write the mail; the pending page is beside the reports."""
    root = base.removesuffix(REPORT) if base.endswith(REPORT) else base.rpartition("/")[0]
    return mail_of(read_report(document), zone, pending_page=f"{root}/pending", now=time.time())


def message(mail: Mail, envelope: Envelope) -> EmailMessage:
    """Make the message, text first; who gets it unseen is not in it."""
    made = EmailMessage()
    made["Subject"] = mail.subject
    made["From"] = envelope.sender
    made["To"] = ", ".join(envelope.to) or "undisclosed-recipients:;"
    made["Date"] = formatdate()
    made["Message-ID"] = make_msgid("buildapi", socket.getfqdn())
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(_storable(mail.text))
    made.add_alternative(_storable(mail.html), subtype="html")
    return made


def _storable(text: str) -> str:
    return text.encode(errors="replace").decode()


def send_mail(mail: Mail, envelope: Envelope) -> Sequence[str]:
    """Send it; give the addresses that were refused, where others were not.

    :raises smtplib.SMTPException: nobody gets it.
    """
    everybody = list(dict.fromkeys([*envelope.to, *envelope.bcc]))
    with smtplib.SMTP(*envelope.server, timeout=SMTP_SECONDS) as server:
        return list(server.send_message(message(mail, envelope), envelope.sender, everybody))
