"""The scheduler master of the recorded farm: what it does with the changes it is sent."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tests.buildbot.pbmaster import Change, Hook, PBMaster, Python2Error, stores
from tests.buildbot.seed import Seed

PB_PORT = 15300
"""Where it took changes when the cases were recorded."""


def scheduler(databases: tuple[Path, ...], *, refuses: bool) -> PBMaster:
    """Make one that puts changes into each of some copies of its database, or refuses them."""
    master = PBMaster()
    if refuses:
        master.error = Python2Error(b"exceptions.IOError", b"No space left on device")
    else:
        master.hook = _stores_in(databases)
    return master


def _stores_in(databases: tuple[Path, ...]) -> Hook:
    def store(change: Change) -> None:
        for path in databases:
            with contextlib.closing(Seed(f"sqlite:///{path}")) as seed:
                stores(seed)(change)

    return store
