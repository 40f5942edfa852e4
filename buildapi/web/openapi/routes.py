"""Serve the OpenAPI document, and the page that shows it."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from buildapi.web.http.assets import File
from buildapi.web.http.cache import SingleFlightCache
from buildapi.web.http.call import Call
from buildapi.web.http.json_body import JSONBody
from buildapi.web.http.rendering import Page, Reply
from buildapi.web.http.routes import FORMAT, Route
from buildapi.web.openapi.document import JSON, APIDescription, document
from buildapi.web.selfserve.documents import ShownDocument

PATH = "/openapi.json"


@attrs.frozen
class OpenAPIRoutes:
    """Serve the document of some routes; it is kept for each mount prefix."""

    _routes: Sequence[Route]
    _of: APIDescription
    _answers: SingleFlightCache[JSONBody]

    def routes(self) -> Sequence[Route]:
        """List the routes."""
        return (
            Route("GET", PATH, self.document, DOCUMENT, (FORMAT,)),
            Route("GET", "/docs", self.page, DOCS, (FORMAT,)),
        )

    async def document(self, call: Call) -> Reply:
        """Send the document, which is JSON whatever the client accepts."""

        async def compute() -> JSONBody:
            # Computed again after a while, since a reload may change bounds.
            return JSONBody.of(document(self._routes, self._of, call.mount))

        kept = await self._answers.kept(("openapi", call.mount), compute)
        file = File("", JSON, kept.value.body)
        return attrs.evolve(Reply.data("OpenAPI", kept.value), attached=file)

    async def page(self, call: Call) -> Reply:
        """Show the document, which scripts of ours read."""
        shown: ShownDocument = {"document": f"{call.mount}{PATH}"}
        return Reply(JSONBody.of(shown), Page("docs.html", "API"))


DOCUMENT = "The API as an OpenAPI document, for generators of clients and for tests."
DOCS = "The API as a page, to read and to try."
