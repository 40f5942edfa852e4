"""Collections of garbage leave out what a program keeps for good."""

from __future__ import annotations

import gc
import subprocess
import sys

from buildapi.ops.garbage import permanent_objects


def test_what_exists_at_the_end_is_permanent_and_collections_go_on_as_before() -> None:
    threshold = gc.get_threshold()
    try:
        with permanent_objects():
            kept = [{"n": n} for n in range(100)]
        assert gc.get_freeze_count() >= 100
        assert not any(one is kept for one in gc.get_objects())
        assert (gc.get_threshold(), gc.isenabled()) == (threshold, True)
    finally:
        gc.unfreeze()


def test_a_process_without_a_sample_farm_does_not_load_one() -> None:
    listed = "import sys, buildapi.assembly; print('buildapi.sample' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", listed], capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"
