"""The ten job requests, and what is recorded of each."""

from __future__ import annotations

import json
from typing import Any

import pytest

REVISION = "abcdef123456" + "0" * 28
BUILD, REQUEST = "/self-serve/try/build", "/self-serve/try/request"
REV = f"/self-serve/try/rev/{REVISION}"
BUILDER = f"/self-serve/try/builders/Linux%20try%20talos%2Ftp5/{REVISION}"

Case = tuple[str, str, dict[str, Any]]
THINGS: dict[str, Case] = {
    "reprioritize": ("PUT", f"{REQUEST}/21", {"priority": 7}),
    "cancel_request": ("DELETE", f"{REQUEST}/21", {}),
    "cancel_build": ("DELETE", f"{BUILD}/12", {}),
    "rebuild_build": ("POST", BUILD, {"build_id": 11}),
    "rebuild_request": ("POST", REQUEST, {"request_id": 21}),
}
NEW: dict[str, Case] = {
    "new_build_at_revision": ("POST", REV, {"priority": 3}),
    "new_pgobuild_at_revision": ("POST", f"{REV}/pgo", {"priority": 3}),
    "new_nightly_at_revision": ("POST", f"{REV}/nightly", {"priority": -3}),
    "new_build_for_builder": (
        "POST",
        BUILDER,
        {"priority": 3, "properties": json.dumps({"a": 1}), "files": json.dumps(["f"])},
    ),
}
FOLLOWED: dict[str, Case] = THINGS | {"cancel_revision": ("DELETE", REV, {})}
ALL = FOLLOWED | NEW

AT = {"branch": "try", "revision": REVISION}
WHAT: dict[str, dict[str, Any]] = {
    "reprioritize": {"brid": 21, "priority": 7},
    "cancel_request": {"brid": 21},
    "cancel_build": {"bid": 12},
    "rebuild_build": {"bid": 11, "priority": 0, "count": 1},
    "rebuild_request": {"brid": 21, "priority": 0, "count": 1},
    "cancel_revision": {"branch": "try", "revision": "abcdef123456"},
    "new_build_at_revision": AT,
    "new_pgobuild_at_revision": AT | {"priority": 3},
    "new_nightly_at_revision": AT | {"priority": -3},
    "new_build_for_builder": {
        "branch": "try-selfserve",
        "revision": REVISION,
        "priority": 3,
        "builder_name": "Linux try talos/tp5",
        "properties": {"a": 1},
        "files": ["f"],
    },
}
each = pytest.mark.parametrize("name", ALL)
each_thing = pytest.mark.parametrize("name", THINGS)
each_followed = pytest.mark.parametrize("name", FOLLOWED)
each_new = pytest.mark.parametrize("name", NEW)
