"""Whether a case is as it should be: equal, or different exactly as the table says."""

from __future__ import annotations

from typing import Any

from tests.golden.cases import Case
from tests.golden.client import Answer
from tests.golden.difference import EFFECTS, Difference
from tests.golden.differences import difference


def check(case: Case, found: dict[str, str], answer: Answer, now: Any) -> None:
    """Fail with all that differs and is not listed, or is listed and does not differ.

    ``now`` is what the listed difference looks at.
    """
    listed = difference(case.name)
    if listed is None:
        assert not found, _lines(found)
    else:
        _check_listed(listed, case, found, answer, now)


def _check_listed(
    listed: Difference, case: Case, found: dict[str, str], answer: Answer, now: Any
) -> None:
    gone = EFFECTS if EFFECTS.isdisjoint(listed.respects) and _refused(answer) else frozenset()
    assert found.keys() - gone == listed.respects, _lines(found) or "it is equal now: unlist it"
    assert listed.status in (None, answer.status), answer
    assert listed.msg.encode() in answer.body, answer
    assert listed.agree is None or listed.agree(case.recorded, now), now


def _refused(answer: Answer) -> bool:
    """Return whether it had no effect, which the replay has made sure of."""
    return answer.status not in (202, 302)


def _lines(found: dict[str, str]) -> str:
    return "\n".join(f"{respect} {text}" for respect, text in found.items())
