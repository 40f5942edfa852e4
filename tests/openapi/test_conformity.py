"""An answer that the document does not describe is noticed."""

from __future__ import annotations

from typing import Any

import pytest

from tests.openapi.conformity import undocumented

ERROR = {"status": "FAILED", "msg": "x", "code": "not_found"}
BUILD = "/self-serve/try/build/1"


@pytest.mark.parametrize(
    ("path", "status", "media_type", "body", "found"),
    [
        (BUILD, 404, "application/json", ERROR, ""),
        ("/nowhere", 418, "text/plain", None, ""),
        (BUILD, 418, "application/json", ERROR, "418 is not documented"),
        (BUILD, 404, "text/plain", ERROR, "404 with text/plain is not documented"),
        (BUILD, 404, "application/json", {**ERROR, "more": 1}, "'more' was unexpected"),
        (BUILD, 404, "application/json", {"msg": "x", "code": "y"}, '"status" is a required'),
        ("/self-serve/jobs?num=1", 200, "application/json", {}, 'is not of type "array"'),
    ],
)
def test_what_is_not_documented_is_told(
    path: str, status: int, media_type: str, body: Any, found: str
) -> None:
    told = list(undocumented("GET", path, status, media_type, body))
    assert len(told) == bool(found)
    assert found in "".join(told)
