"""Compare an answer with the one that a page shows: in its shape, not in its values."""

from __future__ import annotations

import re
from typing import Any

EXACT = ("status", "code", "state", "action", "type")
"""Keys whose texts are words that programs compare."""


def differences(shown: Any, real: Any, at: str = "$") -> list[str]:
    """List where what is shown is not what comes; a null on either side may be anything.

    Every key that is shown must be there; a page need not show all of them.  Of lists, each real
    element must have the shape of one that is shown.
    """
    if shown is None or real is None:
        return []
    if _kind(shown) != _kind(real):
        return [f"{at}: {_kind(shown)} is shown, {_kind(real)} comes: {str(real)[:80]}"]
    if isinstance(shown, dict):
        return _object(shown, real, at)
    if isinstance(shown, list) and shown:
        return [d for n, each in enumerate(real) for d in _closest(shown, each, f"{at}[{n}]")]
    return []


def _object(shown: dict[str, Any], real: dict[str, Any], at: str) -> list[str]:
    found = [f"{at}.{key}: is shown and does not come" for key in shown if key not in real]
    for key in shown.keys() & real.keys():
        one, other = shown[key], real[key]
        if key in EXACT and isinstance(one, str) and isinstance(other, str) and one != other:
            found.append(f"{at}.{key}: {one!r} is shown, {other!r} comes")
        found += differences(one, other, f"{at}.{key}")
    return found


def _closest(shown: list[Any], real: Any, at: str) -> list[str]:
    return min((differences(each, real, at) for each in shown), key=len)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "a truth value"
    if isinstance(value, int | float):
        return "a number"
    return {str: "a text", dict: "an object", list: "a list"}[type(value)]


def output_differs(shown: str, real: str) -> str | None:
    """List how printed lines differ from those shown, where ``...`` is anything, also lines."""
    pattern = re.escape(shown.strip()).replace(re.escape("..."), r"[\s\S]*?")
    lines = [line.rstrip() for line in real.strip().splitlines()]
    text = "\n".join(lines)
    if re.fullmatch(pattern, text):
        return None
    return f"shown:\n{shown.strip()}\n\nprinted:\n{text}"
