"""Create what takes the results of job requests, and what nobody else deals with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from twisted.application.service import Service

from buildapi.agent.dead_letter_review import DeadLetterReview
from buildapi.agent.reconciler import Reconciler, SweepLimits
from buildapi.agent.result_consumer import Changed, ResultConsumer
from buildapi.assembly.adapters import Clock
from buildapi.config import Config
from buildapi.interfaces import Broker, JobStore, ProcessRegistry, Trail, TrailStore
from buildapi.model.messages import SettledLetter
from buildapi.model.wire import FINISHED, REQUESTS


@attrs.frozen
class ResultServices:
    """Hold what a process needs that accepts job requests."""

    results: ResultConsumer
    reconciler: Reconciler
    dead_letters: DeadLetterReview

    def services(self) -> Sequence[Service]:
        """List the services in starting order."""
        return [self.results, self.reconciler, self.dead_letters]


def result_services(
    config: Config,
    clock: Clock,
    *,
    broker: Broker,
    store: JobStore,
    trail: Trail,
    trails: TrailStore,
    processes: ProcessRegistry,
    changed: Changed,
    settled: Callable[[SettledLetter], None],
) -> ResultServices:
    """Create what takes the agents' results, and finds jobs and letters that nobody deals with.

    ``changed`` is called for each result with the branch and the revision of its job, each None if
    it is not known;
    ``settled`` with each dead letter that is settled.
    """
    queues = config.broker
    return ResultServices(
        ResultConsumer(
            clock.reactor,
            broker,
            store,
            queue=queues.web_queue,
            drain_seconds=config.service.drain_seconds,
            now=clock.now,
            changed=changed,
            trail=trail,
        ),
        Reconciler(
            clock.reactor,
            broker,
            store,
            clock.now,
            trail,
            trails,
            processes,
            queues.agent_queue,
            config.agent.tries,
            SweepLimits.of(config.web.answer_seconds, config.service.heartbeat_seconds),
        ),
        DeadLetterReview(
            clock.reactor,
            broker,
            store,
            {REQUESTS: queues.agent_queue, FINISHED: queues.web_queue},
            clock.now,
            trail,
            settled,
        ),
    )
