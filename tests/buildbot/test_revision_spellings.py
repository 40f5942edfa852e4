"""Revisions are found by any spelling of theirs, however many look alike."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from buildapi.buildbot.v08.revision_spellings import Spellings
from buildapi.model.revisions import same_revision

DIGITS = st.text("aB0", min_size=10, max_size=15) | st.builds(
    str.__mul__, st.sampled_from(["a", "A", "0"]), st.integers(11, 64)
)
TEXTS = DIGITS | st.sampled_from(["tip", "TIP", "release-2026-01-01-a", "release-2026-01-01-b", ""])


@given(st.lists(TEXTS), TEXTS)
def test_those_are_found_that_are_the_same_revision(revisions: Sequence[str], stored: str) -> None:
    found = Spellings.of(revisions).meant_by(stored)
    assert sorted(found) == sorted({one for one in revisions if same_revision(one, stored)})


def test_no_revision_is_meant_by_none() -> None:
    assert Spellings.of(["tip"]).meant_by(None) == ()


def test_very_many_that_begin_alike_are_told_apart() -> None:
    """Comparing each with each would take minutes."""
    for form in ("{:040}", "release-2026-01-{}"):
        revisions = [form.format(n) for n in range(30_000)]
        spellings = Spellings.of(revisions)
        assert all(list(spellings.meant_by(one)) == [one] for one in revisions)
