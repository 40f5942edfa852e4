"""Leave secrets out of what is logged: passwords in URLs, tokens, values of ``Authorization``."""

from __future__ import annotations

import re
from urllib.parse import unquote

_SECRETS = (
    (re.compile(r"bapi_[A-Za-z0-9_-]{4,}"), "bapi_***"),
    (re.compile(r"(://[^/@:\s]*):[^/@\s]+@"), r"\1:***@"),
    (re.compile(r"((?:Basic|Bearer) )[A-Za-z0-9+/=._~-]{4,}"), r"\1***"),
)
_NAMED = re.compile(
    r"((?:^|[?&;])(?:access_|api_|csrf_)?(?:token|key|password|secret)=)[^&;#\s]+", re.IGNORECASE
)
_BETWEEN = re.compile(r"([/?&=;#,:@\s]+)")
TIMES_ENCODED = 3
"""How often a token may be percent-encoded and still be found."""


def hidden(text: str) -> str:
    """Leave out of a text what looks like a password or a token."""
    for pattern, shown in _SECRETS:
        text = pattern.sub(shown, text)
    return text


def hidden_in_url(url: str) -> str:
    """Leave out of a URL what looks like a token, percent-encoded too, or is called so."""
    plain = hidden(_NAMED.sub(r"\1***", url))
    if "%" not in plain:
        return plain
    return "".join("***" if _holds_token(part) else part for part in _BETWEEN.split(plain))


def _holds_token(part: str) -> bool:
    for _ in range(TIMES_ENCODED):
        part = unquote(part)
        if hidden(part) != part:
            return True
    return False
