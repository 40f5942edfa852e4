"""Check the Host header, against DNS rebinding by pages of other sites.

If the name of a page's host suddenly resolves to our address, its browser takes both for one
site.  Only the ``Host`` header then tells that the name is not ours [RFC 9112 3.2].
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from buildapi.errors import BadRequest, UnknownHost

# A name, which may be empty, or an IP literal in brackets, and a port [RFC 3986 3.2.2].
_HOST = re.compile(rb"([A-Za-z0-9._~%!$&'()*+,;=-]{0,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")


def check_host(
    values: Sequence[bytes],
    allowed: Sequence[str],
    *,
    needed: bool,
    authority: bytes | None = None,
) -> None:
    """Check the values of ``Host``; any name is accepted if ``allowed`` is empty.

    The header may be missing unless it is ``needed`` (it is not in HTTP/1.0). The ``authority`` of
    a target in absolute form replaces its name.

    :raises BadRequest: it is missing, repeated, or not a host name.
    :raises UnknownHost: it is not an allowed name.
    """
    # 400 for a missing header in HTTP/1.1, and for repeated or malformed ones [RFC 9112 3.2].
    if len(values) > 1:
        raise BadRequest(f"Header Host is given {len(values)} times (max 1)")
    if not values and needed:
        raise BadRequest("Header Host is missing")
    name = _name(values[0].strip(), "Header Host") if values else None
    # A server has to ignore Host where the target names one itself [RFC 9112 3.2.2].
    if authority is not None:
        name = _name(authority, "The host of the URL")
    # A fully qualified name may end with a dot, and is the same name [RFC 3986 3.2.2].
    if name is not None and allowed and name.removesuffix(".") not in allowed:
        raise UnknownHost(
            f"Unknown host {name[:100]!r}; allowed are {', '.join(allowed)} ([web] hosts)"
        )


def _name(text: bytes, what: str) -> str:
    match = _HOST.fullmatch(text)
    if match is None:
        raise BadRequest(f"{what} is not a host name")
    return match[1].decode("ascii").lower()
