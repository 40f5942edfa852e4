"""HTML of the rows of lists, and of the forms that act on a row.

In Python, since a page has 250 rows of some forty values each, and a template takes eight times as
long for them.  Text of others is escaped where it is taken from the row, at the head of a function:
what stands in the pieces below is escaped, a number, or a constant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from zoneinfo import ZoneInfo

import attrs
from markupsafe import Markup
from markupsafe import escape as escaped

from buildapi.model.pushes import short_author
from buildapi.model.revisions import short_revision
from buildapi.web.farm.master_links import MasterLinks
from buildapi.web.http.page_permissions import OPEN, PagePermissions
from buildapi.web.http.path_converter import segment
from buildapi.web.http.template_filters import ago, in_utc, in_zone, lasting, master_host
from buildapi.web.selfserve.builder_name import parted
from buildapi.web.selfserve.listing import ListRow

# Names of builders, branches and users repeat in a page and from page to page. Typed, since a text
# and the markup of the same characters are equal, and only one of them is to be escaped.
escape = lru_cache(maxsize=10_000, typed=True)(escaped)


@lru_cache(maxsize=10_000)
def _parted(builder: str) -> tuple[Markup, Markup]:
    start, end = parted(builder)
    return escaped(start), escaped(end)


@attrs.frozen
class RowMarkup:
    """How the rows of one page are written.

    ``acts`` is whether there is a user, whose forms have the CSRF ``token``, unless it is empty.
    Ages are as of ``now``, times in ``zone``.  ``masters`` are the pages of masters by name.
    """

    columns: Sequence[str]
    now: int
    zone: ZoneInfo
    mount: str
    acts: bool
    token: str
    masters: Mapping[str, MasterLinks]
    permissions: PagePermissions = OPEN

    def rows(self, rows: Sequence[ListRow]) -> Markup:
        """Return the rows; scripts fill copies of them, by the names of the cells."""
        # Escaped piece by piece, see above.
        return Markup("\n".join(map(self._row, rows)))  # noqa: S704

    def _row(self, row: ListRow) -> str:
        base = f"{escape(self.mount)}/self-serve/{segment(row.place)}"
        state, builder = escape(row.state), escape(row.builder)
        requests = " ".join(map(str, row.requests))
        found = [
            f'<tr id="{row.key}" data-kind="{row.kind}" data-id="{row.id}" data-state="{state}"'
            f' data-requests="{requests}">'
        ]
        if self.acts:
            box = (
                f'<input type="checkbox" name="item" value="{row.path}" form="selection"'
                f' aria-label="Select {builder}, {row.kind} {row.id}" data-label="Select {{}}">'
            )
            found.append(f"<td>{box if row.place else ''}</td>")
        found += [CELLS[column](self, row, base) for column in self.columns]
        if self.acts:
            forms = actions(row, base, self.token, self.permissions) if row.place else ""
            found.append(f'<td class="acts">{forms}</td>')
        found.append("</tr>")
        return "\n".join(found)

    def _state(self, row: ListRow, _base: str) -> str:
        state = escape(row.state)
        return f'<td data-f="state"><span class="state {state}">{state}</span></td>'

    def _branch(self, row: ListRow, base: str) -> str:
        branch = escape(row.branch)
        inner = f'<a href="{base}/pushes">{branch}</a>' if row.place else branch
        return f'<td data-f="branch">{inner}</td>'

    def _builder(self, row: ListRow, base: str) -> str:
        start, end = _parted(row.builder)
        tag = f'a href="{base}/{row.kind}/{row.id}"' if row.place else "span"
        # Scripts make the same (static/scripts/row_cells.js).
        return (
            f'<td data-f="builder" title="{escape(row.builder)}"><{tag} class="parted">'
            f"<span>{start}</span><span>{end}</span></{tag.split(' ', 1)[0]}></td>"
        )

    def _revision(self, row: ListRow, base: str) -> str:
        short = escape(short_revision(row.revision))
        if row.revision and row.place:
            to = f"{base}/rev/{segment(row.revision)}"
            return f'<td data-f="revision"><a class="mono" href="{to}">{short}</a></td>'
        return f'<td data-f="revision"><span class="mono">{short}</span></td>'

    def _push(self, row: ListRow, _base: str) -> str:
        if not row.author and not row.subject:
            return '<td data-f="push"></td>'
        author, subject = escape(row.author), escape(row.subject)
        to = f"{escape(self.mount)}/self-serve/user/{segment(row.author)}"
        # Scripts make the same (static/scripts/row_cells.js).
        link = f'<a href="{to}">{escape(short_author(row.author))}</a>' if row.author else ""
        return f'<td data-f="push" title="{author}: {subject}">{link} {subject}</td>'

    def _submitted(self, row: ListRow, _base: str) -> str:
        return f'<td data-f="submitted">{self._time(row.submitted)}</td>'

    def _started(self, row: ListRow, _base: str) -> str:
        return f'<td data-f="started">{self._time(row.started)}</td>'

    def _took(self, row: ListRow, _base: str) -> str:
        if row.ended is not None:
            inner = lasting(row.took)
        elif row.state == "abandoned":
            inner = '<span class="soft">never ended</span>'
        elif row.started is not None:
            inner = self._since(row.started)
        elif row.state == "claimed":
            master = escape(master_host(row.master) or "a master")
            inner = f'<span class="soft">claimed by {master}, starting</span>'
        else:
            inner = f'<span class="soft">waiting {self._since(row.submitted)}</span>'
        return f'<td class="num" data-f="took">{inner}</td>'

    def _master(self, row: ListRow, _base: str) -> str:
        master = escape(row.master)
        inner = str(master)
        if row.number is not None and row.master in self.masters:
            links = self.masters[row.master]
            to, label = escape(links.build(row.builder, row.number)), escape(links.label)
            inner = f'<a href="{to}" rel="noreferrer" title="{master}">{label}</a>'
        return f'<td data-f="master">{inner}</td>'

    def _worker(self, row: ListRow, _base: str) -> str:
        worker = escape(row.worker)
        to = f"{escape(self.mount)}/recent/{segment(row.worker)}?greedy=false"
        link = f'<a href="{to}">{worker}</a>' if row.worker else ""
        return f'<td data-f="worker">{link}</td>'

    def _reason(self, row: ListRow, _base: str) -> str:
        reason = escape(row.reason)
        return f'<td data-f="reason" title="{reason}">{reason}</td>'

    def _time(self, seconds: int | None) -> str:
        if seconds is None:
            return ""
        local, zone = in_zone(seconds, self.zone), escape(self.zone.key)
        return (
            f'<time datetime="{in_utc(seconds)}" data-at="{seconds}" data-ago'
            f' title="{local} {zone}">{ago(seconds, self.now, self.zone)}</time>'
        )

    def _since(self, seconds: int) -> str:
        return f'<span data-since="{seconds}">{lasting(self.now - seconds)}</span>'


CELLS: Mapping[str, Callable[[RowMarkup, ListRow, str], str]] = {
    "state": RowMarkup._state,
    "branch": RowMarkup._branch,
    "builder": RowMarkup._builder,
    "revision": RowMarkup._revision,
    "push": RowMarkup._push,
    "submitted": RowMarkup._submitted,
    "started": RowMarkup._started,
    "took": RowMarkup._took,
    "master": RowMarkup._master,
    "worker": RowMarkup._worker,
    "reason": RowMarkup._reason,
}
"""Columns by name; scripts find a cell by its ``data-f``."""


Off = Callable[[str], str]
"""Return the attributes that disable the control of an action; empty if it is permitted."""


def actions(row: ListRow, base: str, token: str, permissions: PagePermissions = OPEN) -> Markup:
    """Return the forms that act on a row, below the path ``base`` of its branch.

    Scripts of others know these forms by their fields and buttons (docs/compatibility.md,
    "Developers and sheriffs").
    """
    field = f'<input type="hidden" name="csrf_token" value="{escape(token)}">' if token else ""
    builder, id_ = escape(row.builder), row.id
    revision = escape(f" at {row.revision[:12]}" if row.revision else "")
    of = f' data-thing="{row.kind} {id_}" data-about="{builder}{revision} on {escape(row.branch)}"'
    forms = _of_build if row.kind == "build" else _of_request
    off = _always if permissions.is_open else _off(row, permissions)
    return Markup(forms(row, base, field, of, off))  # noqa: S704  # escaped, see above


def _always(_action: str) -> str:
    return ""


def _off(row: ListRow, permissions: PagePermissions) -> Off:
    # A row that scripts fill later has no builder yet, and "-" for its branch on pages of all.
    branch = "" if row.place == "-" else row.place
    return lambda action: permissions.off(action, branch, row.builder)


def _of_build(row: ListRow, base: str, field: str, of: str, off: Off) -> str:
    builder = escape(row.builder)
    id_, hidden = row.id, "" if row.is_open else " hidden"
    return f"""\
<form class="inline" method="POST" action="{base}/build" data-go="build"{of}>
{field}
<input type="hidden" name="build_id" value="{id_}">
<span aria-hidden="true">&times;</span><input type="number" name="count" value="1" min="1"\
 max="100" aria-label="Number of rebuilds of {builder}" data-label="Number of rebuilds of {{}}">
<input type="submit"{off("rebuild_build")} value="rebuild" aria-label="rebuild {builder}"\
 data-label="rebuild {{}}">
</form>
<form class="inline" method="POST" action="{base}/build/{id_}" data-go="build/ID" data-open{of}
 data-ask="Its work so far is lost. It can only be rebuilt from the start."{hidden}>
{field}
<input type="hidden" name="_method" value="DELETE">
<input class="danger" type="submit"{off("cancel_build")} value="cancel"\
 aria-label="cancel build {id_}, {builder}" data-label="cancel build {{id}}, {{}}">
</form>"""


def _of_request(row: ListRow, base: str, field: str, of: str, off: Off) -> str:
    builder = escape(row.builder)
    id_, priority = row.id, row.priority
    fixed = off("reprioritize")
    hidden = " hidden" if row.state == "claimed" else ""
    action = (
        f'<form class="inline" method="POST" action="{base}/request/{id_}" data-go="request/ID"'
    )
    return f"""\
{action}{of} data-pending{hidden}>
{field}
<input type="hidden" name="_method" value="PUT">
<span aria-hidden="true">priority</span><input type="number" name="priority" value="{priority}"\
 aria-label="Priority of {builder}" data-label="Priority of {{}}">
<input type="submit"{fixed} value="set" aria-label="set the priority of {builder}"\
 data-label="set the priority of {{}}">
</form>
{action}>
{field}
<input type="hidden" name="_method" value="PUT">
<button{fixed} name="priority" value="{priority + 1}" aria-label="raise the priority of {builder}"\
 data-label="raise the priority of {{}}" data-step="1">raise</button>
<button{fixed} name="priority" value="{priority - 1}" aria-label="lower the priority of {builder}"\
 data-label="lower the priority of {{}}" data-step="-1">lower</button>
</form>
{action}{of}
 data-ask="A new request goes to the end of the queue.">
{field}
<input type="hidden" name="_method" value="DELETE">
<input class="danger" type="submit"{off("cancel_request")} value="cancel"\
 aria-label="cancel request {id_}, {builder}" data-label="cancel request {{id}}, {{}}">
</form>"""
