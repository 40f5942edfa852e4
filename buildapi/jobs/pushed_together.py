"""Show revisions that were pushed together as one push.

A push to Mercurial or Git has several revisions, each of which the farm stores as a change, and the
schedulers have builds made of the last one.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from buildapi.jobs.push_summary import PushSummary


def joined(found: Sequence[PushSummary]) -> Sequence[PushSummary]:
    """Return pushes, newest first, those without jobs as ``others`` of one that has some.

    They belong together if branch, author and second are the same.  If none has jobs, the last
    change stands for all.
    """
    together: dict[tuple[str, str, int], list[PushSummary]] = {}
    for one in found:
        push = one.push
        together.setdefault((push.branch.name, push.first.author, push.when), []).append(one)
    shown = [one for group in together.values() for one in _joined(group)]
    return sorted(shown, key=lambda one: one.push.place, reverse=True)


def _joined(group: Sequence[PushSummary]) -> Sequence[PushSummary]:
    # Change sources store the revisions of a push in their order.
    ordered = sorted(group, key=lambda one: one.push.first.id, reverse=True)
    shown = [one for one in ordered if one.counts or one.omits_jobs] or ordered[:1]
    others = [one.push for one in ordered if one not in shown]
    return [attrs.evolve(shown[0], others=others), *shown[1:]] if others else shown
