"""Which names of hosts are answered to: a page of another name must not reach us by rebinding.

A browser believes that a page and we are one site where the page's name suddenly has our address.
Only the ``Host`` header tells then that it is not ours [RFC 9112 3.2].
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from buildapi.errors import BadRequest, UnknownHost

_HOST = re.compile(rb"([A-Za-z0-9._~%!$&'()*+,;=-]{0,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{0,5})?")


def check_host(values: Sequence[bytes], allowed: Sequence[str], *, needed: bool) -> None:
    """Accept the values of ``Host``; with no ``allowed`` names any is.

    One that is not ``needed``, in HTTP/1.0, may be missing.

    :raises BadRequest: it is missing, repeated, or no name of a host.
    :raises UnknownHost: it is none of the allowed names.
    """
    if len(values) > 1:
        raise BadRequest(f"Header Host is given {len(values)} times, once is allowed")
    if not values:
        if needed:
            raise BadRequest("Header Host is missing")
        return
    match = _HOST.fullmatch(values[0].strip())
    if match is None:
        raise BadRequest("Header Host is no name of a host")
    name = match[1].decode("ascii").lower()
    if allowed and name.removesuffix(".") not in allowed:
        raise UnknownHost(
            f"Nobody is called {name[:100]!r} here; allowed are {', '.join(allowed)} ([web] hosts)"
        )
