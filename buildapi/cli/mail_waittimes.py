"""``buildapi mail-waittimes``: mail the wait-time report of the service."""

from __future__ import annotations

import smtplib
import socket
import time
import zoneinfo
from collections.abc import Callable, Mapping, Sequence
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from urllib.parse import quote

import attrs
import click
import httpx

from buildapi.cli import param_types
from buildapi.cli.command_help import command
from buildapi.model.json_types import JSONObject, JSONValue
from buildapi.reports.wait_mail import Mail, NoReportError, mail_of, read_report

FETCH_SECONDS, SMTP_SECONDS = 30, 30
REPORT = "/reports/waittimes"
SENT, NOTHING_SENT, SOME_REFUSED = 0, 1, 2


@attrs.frozen
class Envelope:
    """The mail server, sender and receivers of a mail."""

    server: tuple[str, int]
    sender: str
    to: Sequence[str]
    bcc: Sequence[str]


@command("mail-waittimes", example="buildapi mail-waittimes -a sheriffs@example.org -p testpool")
@click.option(
    "-S",
    "--smtp",
    type=param_types.mail_server,
    metavar="HOST[:PORT]",
    default="localhost",
    show_default=True,
    help="Mail server.",
)
@click.option(
    "-f",
    "--from",
    "sender",
    type=param_types.mail_address,
    metavar="ADDRESS",
    help="Sender. Default: buildapi@ this host.",
)
@click.option(
    "-a",
    "--address",
    "to",
    type=param_types.mail_address,
    metavar="ADDRESS",
    multiple=True,
    help="Receiver; repeatable.",
)
@click.option(
    "-b",
    "--BCC",
    "bcc",
    type=param_types.mail_address,
    metavar="ADDRESS",
    multiple=True,
    help="Hidden receiver; repeatable.",
)
@click.option(
    "-W",
    "--wt",
    "base",
    type=param_types.http_url,
    metavar="URL",
    default=f"http://localhost:8010{REPORT}",
    show_default=True,
    help="URL of the report.",
)
@click.option("-p", "--pool", default="buildpool", show_default=True, help="Pool of the report.")
@click.option(
    "-m",
    "--minutes-per-block",
    "mpb",
    type=click.IntRange(0),
    default=15,
    show_default=True,
    help="Minutes per block; 0: the default of the service.",
)
@click.option(
    "-x",
    "--max-block",
    "maxb",
    type=click.IntRange(0),
    default=90,
    show_default=True,
    help="Minutes of the last block; 0: the default of the service.",
)
@click.option(
    "-s",
    "--start-time",
    "starttime",
    type=float,
    help="Start in epoch seconds. Default: a day ago.",
)
@click.option("-e", "--end-time", "endtime", type=float, help="End in epoch seconds. Default: now.")
@click.option(
    "-t",
    "--tries",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Maximum number of tries.",
)
@click.option(
    "-z",
    "--sleep",
    "pause",
    type=click.FloatRange(0),
    default=10,
    show_default=True,
    help="Seconds between tries.",
)
@click.option(
    "--timezone",
    "zone",
    type=param_types.time_zone,
    metavar="ZONE",
    default="UTC",
    show_default=True,
    help="Time zone of the mail, such as US/Pacific.",
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

    Exit codes: 0 sent to all receivers, 1 nothing was sent, 2 some receivers were refused (or the
    command line is wrong).
    """
    if not to and not bcc:
        raise click.UsageError("--address or --BCC is required")
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


def retry(once: Callable[[], Sequence[str]], tries: int, pause: float) -> Sequence[str] | None:
    """Call a function until it succeeds, with pauses; return None after ``tries`` failures.

    Each failure is printed.
    """
    for attempt in range(1, tries + 1):
        try:
            refused = once()
        # ValueError: EmailMessage refuses headers that it cannot encode.
        except (*FAILURES, MessageError, ValueError) as e:
            click.echo(f"try {attempt} of {tries}: nothing sent: {reason(e)}", err=True)
        else:
            return refused
        if attempt < tries:
            time.sleep(pause)
    return None


def reason(error: Exception) -> str:
    """Describe an error in one line."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return f"refused: {', '.join(map(str, error.recipients))}"
    return f"{type(error).__name__}: {error}".replace("\n", " ")


def fetch_report(base: str, pool: str, asked: Mapping[str, float | None]) -> JSONValue:
    """Fetch the report; the service chooses parameters that are zero or missing.

    :raises httpx.HTTPError: there is no answer, or a refusal.
    :raises NoReportError: the answer is not a report.
    """
    # Zero and missing are left to the service, as in the script of the Pylons program; 15 digits
    # keep whole seconds without an exponent.
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


def made(document: JSONObject, base: str, zone: zoneinfo.ZoneInfo) -> Mail:
    """Return the mail of a report; it links the pending page beside the reports."""
    # The base URL may have a mount prefix, which the pending page has too.
    root = base.removesuffix(REPORT) if base.endswith(REPORT) else base.rpartition("/")[0]
    return mail_of(read_report(document), zone, pending_page=f"{root}/pending", now=time.time())


def message(mail: Mail, envelope: Envelope) -> EmailMessage:
    """Return the message, plain text first, without the hidden receivers."""
    made = EmailMessage()
    made["Subject"] = mail.subject
    made["From"] = envelope.sender
    # A group without members (RFC 5322, section 3.4): hidden receivers stay hidden.
    made["To"] = ", ".join(envelope.to) or "undisclosed-recipients:;"
    made["Date"] = formatdate()
    made["Message-ID"] = make_msgid("buildapi", socket.getfqdn())
    # RFC 3834, section 5: keeps out-of-office answers away.
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(_storable(mail.text))
    # Last: of alternatives readers show the last one they know (RFC 2046, section 5.1.4).
    made.add_alternative(_storable(mail.html), subtype="html")
    return made


def _storable(text: str) -> str:
    # Lone surrogates in names would make the message impossible to encode.
    return text.encode(errors="replace").decode()


def send_mail(mail: Mail, envelope: Envelope) -> Sequence[str]:
    """Send a mail; return the addresses that were refused if others were accepted.

    :raises smtplib.SMTPException: no receiver was accepted.
    """
    # Hidden receivers are in the envelope only, and nobody gets the mail twice.
    everybody = list(dict.fromkeys([*envelope.to, *envelope.bcc]))
    with smtplib.SMTP(*envelope.server, timeout=SMTP_SECONDS) as server:
        return list(server.send_message(message(mail, envelope), envelope.sender, everybody))
