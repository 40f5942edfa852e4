"""HTML of the rows of a list of pushes.

In Python, since a page has 15,000 jobs, and a template takes many times as long for them.  Text of
others is escaped where it is taken in, at the head of a function: what stands in the pieces below
is escaped, a number, or a constant.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

import attrs
from markupsafe import Markup

from buildapi.jobs.build_states import CLAIMED, FAILED, OPEN, PENDING, RUNNING, STATES
from buildapi.jobs.push_selection import FOLDED, JobGroup, groups
from buildapi.jobs.push_summary import PushJob, PushSummary
from buildapi.model.pushes import Push
from buildapi.model.revisions import short_revision
from buildapi.web.http.path_converter import segment
from buildapi.web.http.template_filters import ago, in_utc, in_zone, lasting
from buildapi.web.selfserve.row_markup import escape

COUNTED = (
    *FAILED,
    *(state for state in STATES if state not in {*FAILED, *FOLDED}),
    *reversed(FOLDED),
)
"""States in the order in which a push counts its jobs: what went wrong first."""


@attrs.frozen
class PushMarkup:
    """How the pushes of one page are written.

    Ages are as of ``now``, full times in ``zone``.  Groups of many jobs are folded if it ``folds``;
    rows name their branch if it ``names_branch``.
    """

    now: int
    zone: ZoneInfo
    mount: str
    folds: bool = True
    names_branch: bool = False

    def rows(self, pushes: Sequence[PushSummary]) -> Markup:
        """Return the rows; scripts find a push by its id, a job by ``data-job``."""
        # Escaped piece by piece, see above.
        return Markup("\n".join(map(self._row, pushes)))  # noqa: S704

    def _row(self, one: PushSummary) -> str:
        push = one.push
        branch, revision = escape(push.branch.name), escape(push.revision)
        base = f"{escape(self.mount)}/self-serve/{segment(push.branch.name)}"
        of_revision = f"{base}/rev/{segment(push.revision)}"
        return (
            f'<tr class="push" id="{push_id(push.branch.name, push.revision)}"'
            f' data-branch="{branch}" data-revision="{revision}" tabindex="-1">\n'
            f'<td class="of">{self._of(one, base, of_revision)}</td>\n'
            f'<td class="sum">{self._sum(one, of_revision)}</td>\n'
            f'<td class="jobs">{self._jobs(one, base, of_revision)}</td>\n</tr>'
        )

    def _of(self, one: PushSummary, base: str, of_revision: str) -> str:
        push, first = one.push, one.push.first
        short, revision = escape(short_revision(push.revision)), escape(push.revision)
        author, subject = escape(first.author), escape(first.subject)
        branch = f'<a class="branch" href="{base}/pushes">{escape(push.branch.name)}</a> '
        mine = f"{escape(self.mount)}/self-serve/user/{segment(first.author)}"
        return (
            f'<span class="rev">{branch if self.names_branch else ""}'
            f'<a class="mono" href="{of_revision}">{short}</a>'
            f' <button type="button" class="copy" data-copy="{revision}"'
            f' aria-label="Copy revision {short}" hidden>copy</button></span>'
            f' <span class="when soft">{self._ago(push.when)}</span>'
            f' <a class="author" href="{mine}">{author}</a>'
            f' <span class="subject" title="{subject}">{subject}</span>{_others(one.others, base)}'
        )

    def _jobs(self, one: PushSummary, base: str, of_revision: str) -> str:
        found: list[str] = []
        platform = None
        for group in groups(one.jobs, folds=self.folds):
            if group.platform != platform:
                found.append("</div>" if found else "")
                platform = group.platform
                found.append(f'<div class="platform"><span class="name">{escape(platform)}</span>')
            found.append(self._group(group, base, of_revision))
        if not found:
            words = "too many jobs to list" if one.omits_jobs else "no jobs"
            return f'<span class="soft">{words}</span>'
        return "".join([*found, "</div>"])

    def _group(self, group: JobGroup, base: str, of_revision: str) -> str:
        jobs = [self._job(job, base) for job in group.jobs]
        jobs += [
            f'<a class="job {state} many" href="{of_revision}?{urlencode({"state": state})}"'
            f' title="{count} more: {state}">+{count}</a>'
            for state, count in group.folded.items()
        ]
        kind = f'<span class="kind">{escape(group.kind)}</span>'
        return f' <span class="group">{kind} {" ".join(jobs)}</span>'

    def _job(self, job: PushJob, base: str) -> str:
        symbol, builder, state = escape(job.of.symbol), escape(job.builder), job.state
        kind, id_ = ("build", job.build_id) if job.build_id is not None else _request(job)
        requests = " ".join(map(str, job.requests))
        return (
            f'<a class="job {state}" href="{base}/{kind}/{id_}" data-job="{kind}-{id_}"'
            f' data-requests="{requests}" title="{builder}: {state}{self._took(job)}">{symbol}</a>'
        )

    def _took(self, job: PushJob) -> str:
        if job.started is not None and job.ended is not None:
            return f", {lasting(job.ended - job.started)}"
        if job.state == RUNNING and job.started is not None:
            return f" for {lasting(self.now - job.started)}"
        if job.state in (PENDING, CLAIMED):
            return f", waiting {lasting(self.now - job.submitted)}"
        return ""

    def _sum(self, one: PushSummary, of_revision: str) -> str:
        if not one.counts:
            return ""
        counts = " ".join(
            f'<a class="count" href="{of_revision}?{urlencode({"state": state})}"'
            f' title="{one.counts[state]} {state}">{one.counts[state]}'
            f' <span class="state {state}">{state}</span></a>'
            for state in COUNTED
            if state in one.counts
        )
        word, kind = done_word(one)
        # More words than these take a second line where a job gets another state.
        many = " many" if len(one.counts) > WORDED else ""
        return (
            f'<span class="done {kind}">{word}</span> <span class="counts{many}">{counts}</span>'
            f" {self._times(one)}"
        )

    def _times(self, one: PushSummary) -> str:
        parts: list[str] = []
        if one.started is not None:
            parts.append(
                f'<span class="took" title="from the first start to the last end">'
                f"in {lasting(one.ended - one.started)}</span>"
                if one.ended is not None
                else f'<span class="took" title="since the first start">for <span'
                f' data-since="{one.started}">{lasting(self.now - one.started)}</span></span>'
            )
        if one.expected is not None:
            parts.append(
                '<span class="left" title="by the median durations of the builders">('
                f"about {lasting(one.expected)} left)</span>"
            )
        if not one.complete:
            parts.append(notify_button(one.push.branch.name, one.push.revision))
        return " ".join(parts)

    def _ago(self, seconds: int) -> str:
        full = f"{in_zone(seconds, self.zone)} {escape(self.zone.key)}"
        return (
            f'<time datetime="{in_utc(seconds)}" data-at="{seconds}" data-ago title="{full}">'
            f"{ago(seconds, self.now, self.zone)}</time>"
        )


def _others(pushes: Sequence[Push], base: str) -> str:
    """Return the revisions that were pushed with one, to be opened."""
    if not pushes:
        return ""
    items = "".join(
        f'<li><a class="mono" href="{base}/rev/{segment(push.revision)}">'
        f"{escape(short_revision(push.revision))}</a> {escape(push.first.subject)}</li>"
        for push in pushes
    )
    word = "revision" if len(pushes) == 1 else "revisions"
    return (
        f' <details class="others"><summary>and {len(pushes)} more {word}</summary>'
        f'<ul class="plain">{items}</ul></details>'
    )


def _request(job: PushJob) -> tuple[str, int]:
    return "request", job.requests[0]


def done_word(one: PushSummary) -> tuple[str, str]:
    """Return whether a push is done in words, and as a class: ``yes``, ``no`` or ``not``."""
    if one.complete:
        return ("done, all passed", "yes") if one.passed else ("done, not all passed", "no")
    if not any(state in OPEN for state in one.counts):
        return "ended just now", "not"
    if one.started is None:
        return "not started yet", "not"
    return "under way", "not"


WORDED = 4
"""States whose counts have words beside their signs; of more, the words are only read aloud."""


def notify_button(branch: str, revision: str) -> Markup:
    """Return the button that asks the browser for a notification; scripts show it."""
    named = f'data-branch="{escape(branch)}" data-revision="{escape(revision)}"'
    # Escaped in the line above.
    return Markup(f'<button type="button" class="notify" {named} hidden>notify when done</button>')  # noqa: S704


def push_id(branch: str, revision: str) -> str:
    """Return the id of a push's row, different for each push."""
    return f"push-{_safe(branch)}.{_safe(revision)}"


def _safe(text: str) -> str:
    coded = quote(text, safe="", errors="replace")
    return coded.replace("_", "_5F").replace(".", "_2E").replace("%", "_")
