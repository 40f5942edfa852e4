"""Judge from what is known without a request whether the broker and the databases respond."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from buildapi.model.health import Health, PoolStatus
from buildapi.model.messages import BrokerStatus

SLOW_SECONDS = 1.0
"""Seconds without an answer after which a database is named in a timeout error."""

RECENT_SECONDS = 60
"""Seconds for which the last error of a database makes it unhealthy."""


def away(broker: BrokerStatus, pools: Mapping[str, PoolStatus], now: float) -> Sequence[str]:
    """List the services that do not respond, and since when if that is known."""
    found: list[str] = []
    if not broker.connected or broker.blocked:
        since = broker.last_error_at
        known = f" (for {now - since:.0f} s)" if since is not None and since < now else ""
        words = f"accepts no messages: {broker.blocked}" if broker.blocked else "is not connected"
        found.append(f"the broker {words}{known}")
    for name, status in pools.items():
        failed = status.last_error_at is not None and now - status.last_error_at < RECENT_SECONDS
        if status.unanswered is not None and (failed or status.unanswered >= SLOW_SECONDS):
            found.append(f"{name} does not answer (for {status.unanswered:.0f} s)")
    return found


def of_broker(status: BrokerStatus) -> Health:
    """Return the health of the broker."""
    if status.connected and not status.blocked:
        return Health("broker", ok=True, detail="connected")
    why = status.blocked or status.last_error or "no connection yet"
    return Health("broker", ok=False, detail=why)


def of_pool(name: str, status: PoolStatus, now: float) -> Health:
    """Return the health of a database, from its last error."""
    at = status.last_error_at
    if at is None or now - at > RECENT_SECONDS:
        return Health(f"database {name}", ok=True, detail=f"queries in flight: {status.in_flight}")
    return Health(f"database {name}", ok=False, detail=status.last_error or "")
