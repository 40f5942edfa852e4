"""Find the page of a revision, build, build request or job without knowing its branch."""

from __future__ import annotations

from collections.abc import Sequence
from operator import attrgetter

import attrs

from buildapi.errors import BadRequest, NotFound
from buildapi.interfaces import Builds, Directory, FarmReads
from buildapi.model.farm_rows import BranchFilter
from buildapi.model.revisions import RevisionMatch
from buildapi.parameters.read_parameters import FOUND_KIND, LOOKUP_KINDS, SHORTEST, SOUGHT
from buildapi.parameters.texts import id_of_path
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.path_converter import segment
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.selfserve.documents import FoundDocument


@attrs.frozen
class Lookup:
    """Redirect people to the page that they look for."""

    _directory: Directory
    _builds: Builds
    _reads: FarmReads

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        return [
            Route("GET", "/self-serve/lookup", self.lookup, LOOKUP, (FOUND_KIND, SOUGHT, FORMAT))
        ]

    async def lookup(self, call: Call) -> Reply:
        """Find pages by kind and text; redirect if there is exactly one."""
        kind = FOUND_KIND.of(call)
        text = SOUGHT.of(call).strip()
        found = await self._found(kind, text) if text else []
        told: FoundDocument = {"found": found}
        document = JSONBody.of(told)
        title = f"Matches for {text[:60]}" if text else "Find"
        page = Page("lookup.html", title, {"found": found, "kinds": LOOKUP_KINDS})
        # Only HTML clients are redirected: programs read the list (docs/api.md, "Reads").
        return Reply(document, page, location=found[0] if len(found) == 1 else None)

    async def _found(self, kind: str, text: str) -> list[str]:
        return await (self._revision(text) if kind == "revision" else self._id(kind, text))

    async def _revision(self, text: str) -> list[str]:
        if len(text) < SHORTEST:
            raise BadRequest(f"Bad q: a revision needs at least {SHORTEST} characters")
        wanted = RevisionMatch(text)
        # Here alone any beginning finds a revision (docs/compatibility.md, "Revisions"): people
        # choose from the result, and nothing is done with it.
        if wanted.prefix is None:
            wanted = RevisionMatch(text, search=True)
        entries = await self._reads.revision(BranchFilter(), wanted)
        # A tag or a number may be the beginning of others: typed in full it is meant alone.
        exact = [e for e in entries if e.revision == text]
        meant, _ = wanted.choose(exact or entries, attrgetter("revision"))
        branches = self._directory.branches()
        places = {(branches.owner(e.branch), e.revision) for e in meant}
        found = sorted((b, r) for b, r in places if b is not None and r)
        if not found:
            raise NotFound(f"No revision on a known branch begins with {text[:60]}")
        return [f"/self-serve/{segment(b)}/rev/{segment(r)}" for b, r in found]

    async def _id(self, kind: str, text: str) -> list[str]:
        id_ = id_of_path(text)
        if id_ is None:
            raise BadRequest(f"Bad q: {text[:40]!r} is not a {kind} id (expected a number)")
        if kind == "job":
            # Not looked up: the page of the job answers 404 itself.
            return [f"/self-serve/jobs/{id_}"]
        stored = await self._builds.branch_of(kind, id_)
        branch = self._directory.branches().owner(stored)
        if branch is None:
            raise NotFound(f"{kind.capitalize()} {id_} not found on any known branch")
        return [f"/self-serve/{segment(branch)}/{kind}/{id_}"]


LOOKUP = "Find the page of a revision, build, request or job on any branch."
