"""Which brokers have quorum queues."""

from __future__ import annotations

from typing import Any

import pytest

from buildapi.mq.topology import has_quorum_queues


@pytest.mark.parametrize(
    ("server", "has"),
    [
        ({"product": "RabbitMQ", "version": "3.8.0"}, True),
        ({"product": "RabbitMQ", "version": "3.10.8"}, True),
        ({"product": "RabbitMQ", "version": "4.1.0-rc.1"}, True),
        ({"product": "RabbitMQ", "version": "3.7.28"}, False),
        ({"product": "RabbitMQ", "version": "2.8.4"}, False),
        ({"product": "Other", "version": "4.0.0"}, False),
        ({"product": "RabbitMQ", "version": b"\xff"}, False),
        ({}, False),
    ],
)
def test_quorum_queues_are_asked_for_only_where_they_are_known(
    server: dict[str, Any], has: bool
) -> None:
    assert has_quorum_queues(server) is has
