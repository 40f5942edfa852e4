"""Which names of parameters a request knows: the others are refused, or warned about.

A misspelled narrowing parameter would otherwise be passed over, and a job request do more than
its sender meant.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from buildapi.errors import BadRequest, UnknownParameter
from buildapi.web.form import Form
from buildapi.web.routes import WHOLE_BODY, Param

SENT_ALONG = ("format", "_method")
"""What any client may add; these may be given once, as others."""

NOISE = re.compile(r"_(?!method$)|csrf", re.IGNORECASE)
"""How names begin that libraries add by themselves, such as the ``_`` of jQuery."""

BUTTONS = ("submit", "rebuild", "cancel", "reprioritize")
"""Submit buttons of the old pages, which were named by their value."""

VIEW = ("q", "state", "sort", "page", "rows")
"""What pages of any list take, to search, sort and page it."""

NAME_SHOWN = 60
NAMED_MOST = 5
"""How many unknown names one answer tells."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_.:-]")


def check(params: Sequence[Param], query: Mapping[str, Sequence[str]], form: Form) -> None:
    """Accept the parameters of a request that changes something, or say what is wrong with them.

    :raises UnknownParameter: it knows no such parameter.
    :raises BadRequest: one is given several times, or in the query though it is read from the body.
    """
    known = {p.name: p for p in params}
    body = Form({}) if WHOLE_BODY in known else form
    names = list(dict.fromkeys([*query, *body.values, *body.nulls]))
    unknown = unknown_names(names, known)
    if unknown:
        raise UnknownParameter("; ".join(told(name, known) for name in unknown[:NAMED_MOST]))
    for name in names:
        param = known.get(name) or Param(name, "", repeats=name not in SENT_ALONG, in_query=True)
        _check_places(param, len(query.get(name, ())), len(body.values.get(name, ())))


def _check_places(param: Param, in_query: int, in_body: int) -> None:
    """Refuse a parameter that stands where it is not read, or more often than it may."""
    times = in_query + in_body
    if not param.repeats and in_query and in_body:
        raise BadRequest(f"Parameter {param.name} is given in the query and in the body")
    if not param.repeats and times > 1:
        raise BadRequest(f"Parameter {param.name} is given {times} times, once is allowed")
    if in_query and not (param.in_query or param.needed):
        raise BadRequest(f"Bad {param.name}: it is taken from the body, not from the query")


def unknown_names(given: Iterable[str], known: Iterable[str]) -> Sequence[str]:
    """List the names that are neither known nor sent along by clients of old."""
    names = {*known}
    return [name for name in given if name not in names and is_content(name)]


def is_content(name: str) -> bool:
    """Tell whether a parameter says what to do: those that clients send along do not."""
    return name not in (*SENT_ALONG, *BUTTONS) and not NOISE.match(name)


def told(name: str, known: Iterable[str]) -> str:
    """Say that a parameter is unknown, with the nearest one that is known."""
    allowed = [n for n in known if n.isidentifier()]
    shown = repr(name[:NAME_SHOWN])
    near = nearest(name, allowed)
    if near:
        return f"unknown parameter {shown}: did you mean '{near}'?"
    listed = f"known are {', '.join(allowed)}" if allowed else "this request takes none"
    return f"unknown parameter {shown}: {listed}"


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """Find the known name that is nearest to a misspelled one, None where none is near."""
    plain = {_plain(n): n for n in allowed}
    found = difflib.get_close_matches(_plain(name[:NAME_SHOWN]), plain, n=1)
    return plain[found[0]] if found else None


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def warnings(names: Sequence[str]) -> Sequence[str]:
    """Write a ``Warning`` header for each of the first unknown names [RFC 7234 5.5]."""
    shown = [_UNSAFE.sub("?", name[:NAME_SHOWN]) for name in names[:NAMED_MOST]]
    return [f'299 buildapi "unknown parameter {name}"' for name in shown]


def known_of(params: Sequence[Param], path: Mapping[str, Any]) -> Sequence[str]:
    """List the names that a read knows: its own, those of its path, and those of list pages."""
    return (*(p.name for p in params), *path, *VIEW)
