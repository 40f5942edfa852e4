"""Check parameter names: a change refuses unknown ones, a read warns of them.

If a misspelled filter were ignored, a job request could do more than its sender meant.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence

from buildapi.errors import BadRequest, UnknownParameter
from buildapi.parameters.param import AnyParam, Param, Place
from buildapi.parameters.texts import in_both, repeated
from buildapi.parameters.types import AnyType, Text, Texts
from buildapi.web.http.form import FIELDS_MAX, Form
from buildapi.web.http.routes import WHOLE_BODY

# Existing clients send these and the names below (docs/compatibility.md, Bots and scripts).
SENT_ALONG = ("format", "_method")
"""Names that any client may add, each once."""

NOISE = re.compile(r"_|csrf", re.IGNORECASE)
"""Names that libraries add by themselves, such as the ``_`` of jQuery."""

BUTTONS = ("submit", "rebuild", "cancel", "reprioritize")
"""Submit buttons of the old pages, named by their value."""

VIEW = ("q", "state", "sort", "page", "rows")
"""Parameters that search, filter, sort and page any list."""

NAME_SHOWN = 60
NAMED_MOST = 5
"""Maximum unknown names reported in one answer."""

_UNSAFE = re.compile(r"[^A-Za-z0-9_.:-]")


def check(params: Sequence[AnyParam], query: Mapping[str, Sequence[str]], form: Form) -> None:
    """Check the parameters of a request that changes something.

    :raises UnknownParameter: one is unknown.
    :raises BadRequest: one is repeated, or is in the query but read from the body.
    """
    known = {p.name: p for p in params}
    # Such a body is checked by its handler: that of a batch, for each of its entries.
    body = Form({}) if WHOLE_BODY in known else form
    names = list(dict.fromkeys([*query, *body.values, *body.nulls]))
    unknown = unknown_names(names, known)
    if unknown:
        raise UnknownParameter("; ".join(told(name, known) for name in unknown[:NAMED_MOST]))
    for name in names:
        param = known.get(name) or _sent_along(name)
        _check_places(param, len(query.get(name, ())), len(body.values.get(name, ())))


def _sent_along(name: str) -> AnyParam:
    kind: AnyType = Text() if name in SENT_ALONG else Texts(FIELDS_MAX)
    return Param(name, "", kind, Place.EITHER)


def _check_places(param: AnyParam, in_query: int, in_body: int) -> None:
    """Raise BadRequest for a parameter that is repeated, or in the query but read from the body."""
    times = in_query + in_body
    if not param.repeats and in_query and in_body:
        raise in_both(param.name)
    if not param.repeats and times > 1:
        raise repeated(param.name, times)
    if in_query and not (param.in_query or param.needed):
        raise BadRequest(f"Bad {param.name}: send it in the body, not in the query")


def unknown_names(given: Iterable[str], known: Iterable[str]) -> Sequence[str]:
    """List the names that are neither known nor sent along by existing clients."""
    names = {*known}
    return [name for name in given if name not in names and is_content(name)]


def is_content(name: str) -> bool:
    """Return whether a parameter says what to do, and is not just sent along by clients."""
    return name not in (*SENT_ALONG, *BUTTONS) and not NOISE.match(name)


def told(name: str, known: Iterable[str]) -> str:
    """Return the message for an unknown parameter, with the nearest known name."""
    # WHOLE_BODY, a placeholder, is left out.
    allowed = [n for n in known if n.isidentifier()]
    shown = repr(name[:NAME_SHOWN])
    near = nearest(name, allowed)
    if near:
        return f"unknown parameter {shown}: did you mean '{near}'?"
    listed = f"allowed are {', '.join(allowed)}" if allowed else "this request has no parameters"
    return f"unknown parameter {shown}: {listed}"


def nearest(name: str, allowed: Iterable[str]) -> str | None:
    """Return the allowed name nearest to a misspelled one, None if none is near."""
    plain = {_plain(n): n for n in allowed}
    found = difflib.get_close_matches(_plain(name[:NAME_SHOWN]), plain, n=1)
    return plain[found[0]] if found else None


def _plain(name: str) -> str:
    return name.lower().replace("-", "_")


def warnings(names: Sequence[str]) -> Sequence[str]:
    """Return a ``Warning`` header value for each of the first unknown names [RFC 7234 5.5]."""
    # RFC 9111 5.5 made the header obsolete; programs can still log it (docs/compatibility.md, Bots
    # and scripts). The name must not end its quoted string.
    shown = [_UNSAFE.sub("?", name[:NAME_SHOWN]) for name in names[:NAMED_MOST]]
    return [f'299 buildapi "unknown parameter {name}"' for name in shown]


def known_of(params: Sequence[AnyParam], path: Mapping[str, object]) -> Sequence[str]:
    """List the known names of a read: its own, those of its path, and those of lists."""
    return (*(p.name for p in params), *path, *VIEW)
