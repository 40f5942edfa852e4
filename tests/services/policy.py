"""Skip what a machine cannot run, unless it must: BUILDAPI_REQUIRE_SERVICES=1 makes it fail."""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest


def missing(what: str, remedy: str) -> NoReturn:
    """Skip with the reason and the command that installs it, or fail where all must run."""
    reason = f"{what} is not installed; run: {remedy}"
    if os.environ.get("BUILDAPI_REQUIRE_SERVICES") == "1":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def program(*names: str, remedy: str = "make services") -> str:
    """Find a program, looking in the sbin directories too."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin:/sbin"
    for name in names:
        if found := shutil.which(name, path=path):
            return found
    missing(names[0], remedy)
