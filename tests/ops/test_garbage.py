"""Collections of garbage leave out what a program keeps for good."""

from __future__ import annotations

import subprocess
import sys

PERMANENT = """
import gc
from buildapi.ops.garbage import permanent_objects

threshold = gc.get_threshold()
with permanent_objects():
    kept = [{"n": n} for n in range(100)]
assert gc.get_freeze_count() >= 100
assert not any(one is kept for one in gc.get_objects())
assert (gc.get_threshold(), gc.isenabled()) == (threshold, True)
print("done")
"""
LISTED = "import sys, buildapi.assembly; print('buildapi.sample' in sys.modules)"


def said(program: str) -> str:
    """Return what a program prints, in a process of its own: what is frozen is so for all of it."""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_what_exists_at_the_end_is_permanent_and_collections_go_on_as_before() -> None:
    assert said(PERMANENT) == "done"


def test_a_process_without_a_sample_farm_does_not_load_one() -> None:
    assert said(LISTED) == "False"
