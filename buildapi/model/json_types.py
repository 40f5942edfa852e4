"""Name the types of JSON values.

A value that comes from outside is ``object`` until it is checked, and so is a value on its way out:
``Mapping[str, object]`` is the type of a document that is only made, passed on or written.
:data:`JSONObject` is for readers that take a document apart whose keys and types are settled
elsewhere: it was checked when it came in, or we wrote it ourselves.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

# Any: what a key holds depends on the key, and to narrow every value a second time would only
# repeat the check that the document has passed.
JSONValue: TypeAlias = Any
"""A JSON value whose reader knows its shape."""

JSONObject: TypeAlias = Mapping[str, JSONValue]
"""A JSON object whose reader knows its keys and what they hold."""
