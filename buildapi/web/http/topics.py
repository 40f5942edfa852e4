"""What cached answers tell about, and how often a change drops them."""

from __future__ import annotations

from collections.abc import Callable, Hashable

import attrs

from buildapi.model.revisions import revision_key
from buildapi.reactor_time import DelayedCall, ReactorTime

JOB_LISTS = "job lists"
"""Lists of job requests."""

FARM = "farm"
"""What is not of one branch: pending and running builds of the farm, its summary, ..."""

DROP_SECONDS = 0.25
"""Seconds between two drops of a topic: a farm that finishes many jobs computes its answers four
times a second, not once for each of them."""


def job_topic(job_id: int) -> Hashable:
    """Return the topic of one job request."""
    return "job", job_id


def branch_topic(name: str) -> Hashable:
    """Return the topic of the builds and build requests of a branch, but for single revisions."""
    return "branch", name


def revisions_topic(branch: str) -> Hashable:
    """Return the topic of all single revisions of a branch."""
    return "revisions", branch


def revision_topic(branch: str, revision: str) -> Hashable:
    """Return the topic of one revision of a branch, however it is spelled."""
    return "revision", branch, revision_key(revision)


@attrs.define
class TopicDrops:
    """Drop the answers of changed topics: at once, but each topic once per ``DROP_SECONDS``.

    A change that comes sooner than that after a drop is followed by one at its end.  ``forget``
    drops the answers of a topic.
    """

    _reactor: ReactorTime
    _forget: Callable[[Hashable], None]
    _pauses: dict[Hashable, DelayedCall] = attrs.field(factory=dict, init=False)
    _changed: set[Hashable] = attrs.field(factory=set, init=False)
    _closed: bool = attrs.field(default=False, init=False)

    def changed(self, topic: Hashable) -> None:
        """Drop the answers of a topic, now or at the end of its pause."""
        if topic in self._pauses:
            self._changed.add(topic)
            return
        self._forget(topic)
        if self._closed:  # the last results come when nobody is answered any more
            return
        self._pauses[topic] = self._reactor.callLater(DROP_SECONDS, self._resume, topic)

    def close(self) -> None:
        """End all pauses, and begin none (at shutdown)."""
        self._closed = True
        for pause in self._pauses.values():
            pause.cancel()
        self._pauses.clear()

    def _resume(self, topic: Hashable) -> None:
        del self._pauses[topic]
        if topic in self._changed:
            self._changed.remove(topic)
            self.changed(topic)
