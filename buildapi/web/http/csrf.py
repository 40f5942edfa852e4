"""Protect job requests from pages of other sites, by browser headers and a token in forms.

A browser adds the user's cookies or password to every request to our address, also to one that a
page of another site makes it send (cross-site request forgery). So a change needs a sign that our
own page sent it: the browser's word in ``Sec-Fetch-Site`` [Fetch Metadata] or ``Origin`` [RFC 6454
7], or a token that only pages of ours hold. Bearer tokens are exempt: no browser adds them by
itself.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import attrs

from buildapi.atomic_file import replace_file
from buildapi.errors import BadRequest
from buildapi.web.http.form import Form

if TYPE_CHECKING:
    from buildapi.web.http.request import BuildAPIRequest

FIELD = "csrf_token"
"""The name of the hidden field in every form of ours."""

SECRET_BYTES = 32
DIGEST_BYTES = hashlib.sha256().digest_size


@attrs.frozen
class CSRFTokens:
    """Make and check CSRF tokens; all processes behind one address share the secret."""

    _secret: bytes = attrs.field(repr=False)

    def of(self, who: str) -> str:
        """Return a token for a user, masked at random so that compression does not leak it."""
        pad = os.urandom(DIGEST_BYTES)
        return (pad + _mixed(pad, self._digest(who))).hex()

    def fits(self, token: str, who: str) -> bool:
        """Return whether a token was made for this user."""
        try:
            given = bytes.fromhex(token)
        except ValueError:
            return False
        pad, mixed = given[:DIGEST_BYTES], given[DIGEST_BYTES:]
        if len(mixed) != DIGEST_BYTES:
            return False
        # In constant time: how long a comparison takes would tell how much of a guess is right.
        return hmac.compare_digest(_mixed(pad, mixed), self._digest(who))

    def _digest(self, who: str) -> bytes:
        return hmac.digest(self._secret, who.encode(errors="surrogatepass"), "sha256")


def _mixed(pad: bytes, text: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(pad, text, strict=True))


def kept_secret(path: Path) -> bytes:
    """Return the secret of this host; create the file, readable by its owner only, if missing."""
    # A damaged file is replaced, too: forms that are open then count as expired.
    try:
        return bytes.fromhex(path.read_text("ascii"))
    except (FileNotFoundError, ValueError):
        pass
    path.parent.mkdir(parents=True, exist_ok=True)
    secret = secrets.token_bytes(SECRET_BYTES)
    replace_file(path, secret.hex().encode(), mode=0o600)
    return secret


def refusal_of(
    request: BuildAPIRequest,
    who: str,
    origins: Sequence[str],
    tokens: CSRFTokens,
    own_pages: bool,
) -> str:
    """Return why a change of a user without a bearer token is refused; empty if it is allowed.

    With ``own_pages`` the token of a form is needed.
    """
    form = request.body
    token = form.get(FIELD) if isinstance(form, Form) else None
    if token is not None:  # a page of another site cannot know it
        return "" if tokens.fits(str(token), who) else OUT_OF_DATE
    if is_cross_site(request, origins):
        return CROSS_SITE
    return NO_FORM if own_pages else ""


CROSS_SITE = "Requests from pages of other sites are refused ([web] allowed_origins)"
NO_FORM = (
    "A csrf_token is required: the forms of BuildAPI send it;"
    " programs read it from /self-serve/whoami"
)
OUT_OF_DATE = "This form has expired or belongs to another user: reload its page"


def is_cross_site(request: BuildAPIRequest, origins: Sequence[str]) -> bool:
    """Return whether the request comes from a page of another site that is not configured.

    Browsers omit Sec-Fetch-Site over plain HTTP; then Origin, or else Referer, must match Host.
    Programs other than browsers send none of these, and carry nobody else's credentials.

    :raises BadRequest: the Referer is needed, and is not a URL.
    """
    origin, site = request.text_header("origin"), request.text_header("sec-fetch-site")
    if origin in origins:
        return False
    if site:
        # same-site is another host of our domain; none is a person's own act, such as a bookmark
        # [Fetch Metadata, Sec-Fetch-Site].
        return site not in ("same-origin", "none")
    origin = origin or _origin_of(request.text_header("referer"))
    return bool(origin) and origin not in origins and not _is_own(origin, request)


def may_be_read_by_others(request: BuildAPIRequest, origins: Sequence[str]) -> bool:
    """Return whether a page of another, configured, site may read the answer [Fetch, CORS]."""
    origin = request.text_header("origin")
    return origin in origins and not _is_own(origin, request)


def _is_own(origin: str, request: BuildAPIRequest) -> bool:
    # Without the scheme: behind a proxy that ends TLS, requests arrive here over HTTP.
    return bool(origin.partition("://")[2] == request.text_header("host"))


def _origin_of(referer: str) -> str:
    try:
        parts = urlsplit(referer)
    except ValueError as e:
        raise BadRequest("Header Referer is not a URL") from e
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else ""
