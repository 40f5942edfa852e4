"""Render the wait-time report as a mail: subject, text and HTML [docs/commands.md]."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, tzinfo

import attrs
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from buildapi.model.json_types import JSONObject

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

PENDING_MAX = 20
"""Maximum number of waiting jobs that the mail names."""

ROUNDED = "The number on the left is how many minutes a build waited to start, rounded down."
NO_REBUILDS = "Rebuilds and forced builds are not counted."

_environment = Environment(
    loader=PackageLoader("buildapi.reports"),
    autoescape=select_autoescape(default=True),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class NoReportError(ValueError):
    """Report why a document is not a wait-time report."""


@attrs.frozen
class Block:
    """Jobs that waited from ``minutes`` on, up to the next block or, in the last, any time.

    ``percent`` is their share of all jobs, None if there are none.
    """

    minutes: int
    count: int
    percent: float | None
    last: bool

    @property
    def label(self) -> str:
        """Return the minutes, with ``+`` for the last block."""
        return f"{self.minutes}{'+' if self.last else ''}"

    @property
    def share(self) -> str:
        """Return the percentage with two decimals; empty if there is none."""
        return "" if self.percent is None else f"{self.percent:.2f}%"


@attrs.frozen
class Waits:
    """Waits of the jobs of one platform, or of all."""

    name: str
    total: int
    blocks: Sequence[Block]


@attrs.frozen
class MailedWaitTimes:
    """The values of a wait-time report; times are seconds since the epoch."""

    pool: str
    starttime: float
    endtime: float
    overall: Waits
    platforms: Sequence[Waits]
    no_changes: int
    pending: Sequence[str]
    otherplatforms: Sequence[str]
    unknownbuilders: Sequence[str]

    @property
    def at_once(self) -> float:
        """Return the percentage of jobs in the first block; 0 if there is none."""
        first = [b.percent or 0.0 for b in self.overall.blocks if b.minutes == 0]
        return first[0] if first else 0.0


@attrs.frozen
class Mail:
    """Subject and bodies of a mail."""

    subject: str
    text: str
    html: str


# --- reading


def read_report(document: JSONObject) -> MailedWaitTimes:
    """Read the JSON document of a report; unknown keys are ignored.

    :raises NoReportError: it is not a wait-time report.
    """
    try:
        maxb = int(document.get("maxb") or 0)
        named = document.get("platforms") or {}
        return MailedWaitTimes(
            pool=_line(document["pool"]),
            starttime=float(document["starttime"]),
            endtime=float(document["endtime"]),
            overall=_waits("all", document, maxb),
            platforms=[_waits(_line(name), named[name], maxb) for name in sorted(named)],
            no_changes=int(document.get("no_changes") or 0),
            pending=_lines(document, "pending"),
            otherplatforms=_lines(document, "otherplatforms"),
            unknownbuilders=_lines(document, "unknownbuilders"),
        )
    except (AttributeError, LookupError, TypeError, ValueError, OverflowError) as e:
        raise NoReportError(f"not a wait-time report: {type(e).__name__}: {e}") from e


def _waits(name: str, part: JSONObject, maxb: int) -> Waits:
    total = int(part["total"])
    counts = {int(minutes): int(block["total"]) for minutes, block in part["wt"].items()}
    return Waits(name, total, [_block(m, counts[m], total, maxb) for m in sorted(counts)])


def _block(minutes: int, count: int, total: int, maxb: int) -> Block:
    percent = 100 * count / total if total else None
    # A maxb of 0 means no limit, so that the last block has an end like the others.
    return Block(minutes, count, percent, last=maxb > 0 and minutes == maxb)


def _lines(document: JSONObject, key: str) -> Sequence[str]:
    return sorted(map(_line, document.get(key) or ()))


def _line(value: object) -> str:
    """Join the lines of a text: it may go into a mail header."""
    return " ".join(str(value).split())


# --- showing


def mail_of(times: MailedWaitTimes, zone: tzinfo, *, pending_page: str, now: float) -> Mail:
    """Render the mail about a report, with times in a zone."""
    subject = f"Wait: {times.overall.total}/{times.at_once:.2f}% ({times.pool})"
    facts = {
        "times": times,
        "subject": subject,
        "start": shown(times.starttime, zone),
        "end": shown(times.endtime, zone),
        "notes": [ROUNDED, f"Builds with no changes: {times.no_changes}", NO_REBUILDS],
        "lists": list(_listed(times)),
        "pending_page": pending_page,
        "generated": f"Generated at {shown(now, zone)}. All times are {zone}.",
    }
    html = _environment.get_template("waittimes.html").render(facts)
    return Mail(subject, _text(facts), html)


def _text(facts: JSONObject) -> str:
    times: MailedWaitTimes = facts["times"]
    platforms = ["\n".join([f"{p.name}: {p.total}", *_rows(p)]) for p in times.platforms]
    blocks = [
        f"Wait time report for {times.pool}\nfrom {facts['start']}\nto   {facts['end']}",
        f"Total Jobs: {times.overall.total}",
        "\n".join(["Wait Times", *_rows(times.overall)]),
        "\n\n".join(["Platform break down", *platforms]),
        "\n".join(facts["notes"]),
        *(f"{title}: {', '.join(names)}" for title, names in facts["lists"]),
        f"Pending jobs: {facts['pending_page']}",
        facts["generated"],
    ]
    return "\n\n".join(blocks) + "\n"


def _rows(waits: Waits) -> Iterator[str]:
    for block in waits.blocks:
        share = "" if block.percent is None else f" {block.percent:8.2f}%"
        yield f"{block.minutes:3}{'+' if block.last else ''}: {block.count:8}{share}"


def _listed(times: MailedWaitTimes) -> Iterator[tuple[str, Sequence[str]]]:
    """Yield title and names of each list that is not empty."""
    pending = times.pending
    if pending:
        more = ["..."] if len(pending) > PENDING_MAX else []
        yield f"Jobs still waiting ({len(pending)})", [*pending[:PENDING_MAX], *more]
    if times.otherplatforms:
        yield "Other platforms", times.otherplatforms
    if times.unknownbuilders:
        yield "Unknown builders", times.unknownbuilders


def shown(moment: float, zone: tzinfo) -> str:
    """Format a time as in mail headers, with its zone; in English in every locale."""
    try:
        at = datetime.fromtimestamp(int(moment), UTC).astimezone(zone)
    except (ValueError, OverflowError, OSError):
        return f"{moment:.0f}"
    day = f"{DAYS[at.weekday()]}, {at.day:02} {MONTHS[at.month - 1]} {at.year:04}"
    return f"{day} {at:%H:%M:%S %z} ({at:%Z})"
