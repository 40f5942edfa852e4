"""Generate SQL conditions that select rows of branches [docs/compatibility.md, "Branches"].

Case-insensitive databases find too many rows through an index; beside it stands the exact
comparison, which uses no index.
"""

from __future__ import annotations

import attrs

from buildapi.db.sql import any_of, exact, like_prefix
from buildapi.model.branches import Branch, begins
from buildapi.model.farm_rows import BranchFilter


def let_through(column: str, branches: BranchFilter) -> tuple[str, dict[str, object]]:
    """Return the condition "the filter includes this stored branch", and its parameters."""
    if branches.is_open:
        return "1 = 1", {}
    spelling = _Spelling(column)
    parts = [spelling.belongs(b) for b in branches.branches]
    parts += [spelling.contains(text) for text in branches.texts]
    return f"({' OR '.join(parts)})", spelling.params


@attrs.define
class _Spelling:
    """Build conditions on one column, and collect their parameters."""

    column: str
    params: dict[str, object] = attrs.field(factory=dict)

    def belongs(self, branch: Branch) -> str:
        """Return ``Branch.owns`` in SQL: our name fits, and no longer one of another branch."""
        fits = " OR ".join(self._fits(branch, name) for name in branch.names)
        return f"({self._indexed(branch.names)} AND ({fits}))"

    def contains(self, text: str) -> str:
        """Return the condition that the column contains a text, in any case."""
        # ESCAPE is named everywhere: SQLite has none by default (LIKE), and the backslash of MySQL
        # is one of string literals too (String Comparison Functions).
        return f"{self.column} LIKE :{self._named(f'%{like_prefix(text)}')} ESCAPE '|'"

    def _indexed(self, names: tuple[str, ...]) -> str:
        """Return a condition that an index serves: all that fits, and what differs in case."""
        equal, params = any_of(f"branch{len(self.params)}_", names)
        self.params |= params
        likes = [
            f"{self.column} LIKE :{self._named(like_prefix(f'{name}-'))} ESCAPE '|'"
            for name in names
        ]
        return f"({' OR '.join([f'{self.column} IN ({equal})', *likes])})"

    def _fits(self, branch: Branch, name: str) -> str:
        # The longest text wins [docs/compatibility.md, "Branches"].
        longer = [self._begins(rival) for rival in branch.rivals if begins(rival, name)]
        ours = self._begins(name)
        return f"({ours} AND NOT ({' OR '.join(longer)}))" if longer else ours

    def _begins(self, text: str) -> str:
        """Return ``begins`` in SQL, case-sensitively."""
        # SUBSTR, because LIKE of SQLite ignores the case of ASCII letters under any collation.
        stored, equal, more = exact(self.column), self._named(text), self._named(f"{text}-")
        return f"({stored} = :{equal} OR SUBSTR({stored}, 1, {len(text) + 1}) = :{more})"

    def _named(self, value: str) -> str:
        name = f"branch{len(self.params)}"
        self.params[name] = value
        return name
