"""Cancel, rebuild or reprioritize builds and build requests selected on a page."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import ClassVar
from urllib.parse import unquote

import attrs

from buildapi.errors import AccessDenied, BadRequest, NotFound, Unavailable
from buildapi.parameters.job_parameters import DRY_RUN, NEW_PRIORITY, count
from buildapi.parameters.param import Param, Place
from buildapi.parameters.texts import id_of_path
from buildapi.parameters.types import Choice, ParamType, Schema, Switch, Values
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import Route
from buildapi.web.selfserve.batch import ENTRIES_MAX, Batch, BatchAnswer, JobCall, numbered
from buildapi.web.selfserve.job_routes import JobRoute

_ITEM = re.compile(r"([^/]+)/(build|request)/([0-9]{1,30})", re.ASCII)


@attrs.frozen
class SelectedItem:
    """A selected build or request; ``branch`` is percent-encoded, as in its path."""

    branch: str
    kind: str
    id: str

    @classmethod
    def of(cls, text: object) -> SelectedItem:
        """Parse ``BRANCH/build/ID`` or ``BRANCH/request/ID``; :raises BadRequest: it is neither."""
        match = _ITEM.fullmatch(text) if isinstance(text, str) else None
        if match is None:
            raise BadRequest(
                f"Bad item: {str(text)[:60]!r} (expected BRANCH/build/ID or BRANCH/request/ID)"
            )
        return cls(*match.groups())

    @property
    def id_name(self) -> str:
        """Return the name that its id has in job requests."""
        return f"{self.kind}_id"

    @property
    def path(self) -> str:
        """Return the path of its page."""
        return f"/self-serve/{self.branch}/{self.kind}/{self.id}"

    @property
    def words(self) -> str:
        """Return its name in messages."""
        return f"{self.kind} {self.id} on {self.branch_name}"

    @property
    def branch_name(self) -> str:
        """Return the name of the branch."""
        return unquote(self.branch, errors="replace")


JobValues = tuple[dict[str, str], dict[str, object]]
"""Values for the path of a job request beside the branch, and the parameters of its body."""

About = Callable[[str, str, int], Awaitable[str]]
"""Return builder and revision as text, given branch, kind and id."""

NAMED = 30
"""Items that a confirmation names with their builders; it names the others by id alone."""


@attrs.frozen
class BulkActions:
    """Run one action on all selected items; ``job_routes`` has the route of each act and kind."""

    _batch: Batch
    _job_routes: Mapping[tuple[str, str], JobRoute]
    _about: About

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        return [Route("POST", "/self-serve/selection", self.act, ACT, PARAMS, job=True)]

    async def act(self, call: Call) -> Reply:
        """Run the action; HTML clients confirm a cancel first, since it cannot be undone.

        With ``confirm=0`` they confirm any action.
        """
        items, act = ITEMS.of(call), ACT_PARAM.of(call)
        dry_run = DRY_RUN.of(call)
        sure = dry_run or CONFIRM.of(call)
        # Without scripts no dialog asks before a cancel; programs are not asked (docs/api.md, "Bulk
        # actions").
        asks = act == "cancel" or bool(CONFIRM.sent(call))
        if asks and call.html and not sure:
            return await self._question(call, act, items)
        call.count_jobs(len(items))
        return _told(items, await self._submit(call, act, items, dry_run=dry_run))

    async def _submit(
        self, call: Call, act: str, items: Sequence[SelectedItem], *, dry_run: bool
    ) -> Sequence[BatchAnswer]:
        """Submit an act on each item; :raises BadRequest: a build has no priority."""
        builds = [item for item in items if item.kind == "build"]
        if act == "priority" and builds:
            raise BadRequest(
                f"The priority of {builds[0].words} cannot be changed: it is not a request"
            )

        def job_call(number: int) -> JobCall:
            item = items[number]
            route = self._job_routes[act, item.kind]
            in_path, in_body = ACTS[act](item, call)
            values = {"branch": _decoded(item.branch)} | in_path
            body = in_body | ({"dry_run": True} if dry_run else {})
            # Each item needs a key of its own: one key with other content is answered 422.
            return route, route.call(numbered(call, number), values, body)

        return await self._batch.run(len(items), job_call)

    async def _question(self, call: Call, act: str, items: Sequence[SelectedItem]) -> Reply:
        document = JSONBody.of({"status": "OK", "confirm": [item.path for item in items]})
        verb, of_many = VERBS[act]
        title = f"{verb} {counted(items)}"
        named = {COUNT.name: COUNT.raw(call), PRIORITY.name: PRIORITY.raw(call)}
        context = {
            "items": items,
            "warnings": await self._warnings(call, act, items),
            # Each name is a query, and the page waits for all of them.
            "about": await self._named(items[:NAMED]),
            "act": act,
            "fields": {name: value for name, value in named.items() if value is not None},
            "button": title if len(items) == 1 else of_many,
        }
        return Reply(document, Page("confirm.html", f"{title}?", context), fresh=True)

    async def _named(self, items: Sequence[SelectedItem]) -> Mapping[SelectedItem, str]:
        """Return builder and revision of the items that are found; the question is asked anyway."""
        found = {}
        # Outside of the loop: a database that is down costs one deadline, not one for each item.
        with contextlib.suppress(Unavailable):
            for item in items:
                id_ = id_of_path(item.id)
                with contextlib.suppress(NotFound, BadRequest):
                    found[item] = await self._about(item.branch_name, item.kind, id_ or 0)
        return found

    async def _warnings(self, call: Call, act: str, items: Sequence[SelectedItem]) -> Sequence[str]:
        """List the warnings of an act on the items, and what is not permitted, each once."""
        answers = await self._submit(call, act, items, dry_run=True)
        refused = [a.body["msg"] for a in answers if a.status == AccessDenied.status]
        plans = [answer.body.get("plan", {}) for answer in answers]
        warned = [words for plan in plans for words in plan.get("warnings", ())]
        return list(dict.fromkeys([*refused, *warned]))


class SelectedItems(ParamType[Sequence[SelectedItem]]):
    """The selected items: a form repeats the name, a JSON body has one list."""

    repeats: ClassVar[bool] = True

    def parse(self, name: str, values: Values) -> Sequence[SelectedItem] | None:  # noqa: ARG002
        """Return the items, each once."""
        items = list(dict.fromkeys(map(SelectedItem.of, values)))
        if len(items) > ENTRIES_MAX:
            raise BadRequest(
                f"Too many builds and requests selected: {len(items)} (max {ENTRIES_MAX})"
            )
        return items or None

    def missing(self, name: str) -> BadRequest:
        """Return the error for no items."""
        return BadRequest(f"Bad {name}: no build or request is selected")

    def schema(self) -> Schema:
        """Return the JSON schema."""
        item = {"type": "string", "pattern": f"^{_ITEM.pattern}$"}
        return {"type": "array", "items": item, "minItems": 1, "maxItems": ENTRIES_MAX}

    def words(self) -> str:
        """Return how they are written."""
        return f"BRANCH/build/ID or BRANCH/request/ID, up to {ENTRIES_MAX}"


def _cancel(item: SelectedItem, _call: Call) -> JobValues:
    return {item.id_name: item.id}, {}


def _rebuild(item: SelectedItem, call: Call) -> JobValues:
    return {}, {item.id_name: item.id, "count": COUNT.raw(call)}


def _prioritize(item: SelectedItem, call: Call) -> JobValues:
    return {item.id_name: item.id}, {"priority": PRIORITY.raw(call)}


VERBS = {
    "cancel": ("Cancel", "Cancel selected"),
    "rebuild": ("Rebuild", "Rebuild selected"),
    "priority": ("Set the priority of", "Set the priority"),
}
"""What the confirmation asks, and its button for several items, by act."""

ACTS = {"cancel": _cancel, "rebuild": _rebuild, "priority": _prioritize}


def _decoded(branch: str) -> str:
    try:
        return unquote(branch, errors="strict")
    except UnicodeDecodeError as e:
        raise BadRequest("The path is not UTF-8") from e


def counted(items: Sequence[SelectedItem]) -> str:
    """Return the name of a single item, or the numbers of builds and requests."""
    if len(items) == 1:
        return f"{items[0].kind} {items[0].id}"
    counts = [(kind, sum(item.kind == kind for item in items)) for kind in ("build", "request")]
    return " and ".join(f"{n} {kind}{'s' if n > 1 else ''}" for kind, n in counts if n)


def _told(items: Sequence[SelectedItem], answers: Sequence[BatchAnswer]) -> Reply:
    told = [
        {"item": item.path, "status": answer.status, "body": answer.body}
        for item, answer in zip(items, answers, strict=True)
    ]
    page = Page("selection.html", "Submitted job requests", {"told": told, "items": items})
    return Reply(JSONBody.of(told), page, fresh=True)


ACT = f"Cancel, rebuild or reprioritize up to {ENTRIES_MAX} builds and requests."
ITEMS = Param(
    "item", "a build or request; repeated, or a JSON list", SelectedItems(), Place.BODY, needed=True
)
ACT_PARAM = Param("act", "what to do", Choice(tuple(ACTS)), Place.BODY, needed=True)
COUNT = count().changed(meaning="number of rebuilds of each")
# Needed only to set one, which the job request itself refuses.
PRIORITY = Param(
    "priority", "the new priority, for pending requests only", NEW_PRIORITY.type, Place.BODY
)
CONFIRM = Param(
    "confirm",
    "1 skips the confirmation page of HTML clients, 0 shows it for any act",
    Switch(),
    Place.BODY,
    default=False,
)
PARAMS = (ITEMS, ACT_PARAM, COUNT, PRIORITY, CONFIRM, DRY_RUN)
