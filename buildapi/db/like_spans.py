"""Add to the LIKE of an SQLite statement the spans of an index that hold all it can match.

SQLite reads no index for a LIKE that ignores case if the index tells cases apart [SQLite, "The
SQLite Query Optimizer Overview", "The LIKE Optimization"].
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from buildapi.db.sql import BY_INDEX, Params

SPANS_MAX = 8
"""Maximum number of spans for one pattern: three letters, each in both cases."""

_LIKE = re.compile(rf"(\w+\.(\w+)) LIKE :(\w+) {re.escape(BY_INDEX)} (\w+) \*/")
_LAST = "\U0010ffff"  # after every character of a text


def with_spans(text: str, params: Params) -> tuple[str, Params]:
    """Return a statement, and its parameters, with spans for each LIKE with :data:`BY_INDEX`."""
    if BY_INDEX not in text:
        return text, params
    more: dict[str, object] = dict(params)

    def spelled(found: re.Match[str]) -> str:
        qualified, column, name, table = found.groups()
        spans = spans_of(str(params[name]))
        for i, (low, end) in enumerate(spans):
            more[f"{name}_from{i}"], more[f"{name}_end{i}"] = low, end
        # One OR of plain terms, of which SQLite reads each by the index. A SELECT of its own, since
        # without statistics SQLite reads all rows of a state sooner than those within spans.
        within = " OR ".join(
            f"({column} >= :{name}_from{i} AND {column} < :{name}_end{i})"
            for i in range(len(spans))
        )
        return (
            f"{qualified} IN (SELECT {column} FROM {table}"  # noqa: S608  # names of our statements
            f" WHERE ({within}) AND {column} LIKE :{name} ESCAPE '|')"
        )

    return _LIKE.sub(spelled, text), more


def spans_of(pattern: str) -> list[tuple[str, str]]:
    """Return spans ``[low, end)`` of texts, in the order of code points, that hold all matches.

    They may hold others as well. No text has a NUL, and only ASCII letters match in both cases, as
    in SQLite.
    """
    literal, is_prefix = _literal(pattern)
    heads, rest = [""], literal
    while rest and len(heads) * len(cases := _cases(rest[0])) <= SPANS_MAX:
        heads = [head + one for head in heads for one in cases]
        rest = rest[1:]
    end = _LAST if is_prefix else "\0"
    return [(head + rest.translate(_UPPER), head + rest.translate(_LOWER) + end) for head in heads]


_UPPER: Mapping[int, int] = {ord(c): ord(c.upper()) for c in "abcdefghijklmnopqrstuvwxyz"}
_LOWER: Mapping[int, int] = {upper: lower for lower, upper in _UPPER.items()}


def _cases(letter: str) -> list[str]:
    return sorted({letter.translate(_UPPER), letter.translate(_LOWER)})


def _literal(pattern: str) -> tuple[str, bool]:
    """Return what each match begins with, and whether more may follow."""
    # Up to the first wildcard; after "|" it is none.
    found = re.match(r"(?:[^|%_]|\|.)*", pattern, re.DOTALL)
    literal = found[0] if found else ""
    return re.sub(r"\|(.)", r"\1", literal, flags=re.DOTALL), len(literal) < len(pattern)
