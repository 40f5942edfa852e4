"""The two parts of a builder's name, of which a narrow column cuts the first one short.

Names of builders begin with the platform and end with what tells those of one platform apart, as in
"Ubuntu VM 12.04 x64 try debug test mochitest-3".
"""

from __future__ import annotations

END = 24
"""Characters of a name that are always shown, at most."""

BOUNDARIES = (" ", "-", "_", ".")
"""Where a name is parted: at the first of these that its end has."""


def parted(name: str) -> tuple[str, str]:
    """Return the start of a name and its end, which together are the name.

    The end has whole words, and :data:`END` characters at most. Scripts part names in the same
    way (static/scripts/builder_name.js).
    """
    if len(name) <= END:
        return "", name
    # With the character before: a boundary there makes all of the end whole words.
    around = name[-END - 1 :]
    for boundary in BOUNDARIES:
        at = around.find(boundary, 0, -1)
        if at >= 0:
            cut = len(name) - len(around) + at + 1
            return name[:cut], name[cut:]
    return name[:-END], name[-END:]
