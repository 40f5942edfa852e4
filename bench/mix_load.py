"""The clients of a busy farm: pollers, listeners of events, and users who ask for rebuilds.

Each function runs in a process of its own, with one thread that waits on all connections.
"""

from __future__ import annotations

import heapq
import select
import socket
import time
from collections import Counter
from collections.abc import Mapping, Sequence

import attrs

from bench.load import CHUNK, Reading, connect, get


@attrs.frozen
class Schedule:
    """``clients`` connections, each of which sends a request every ``every`` seconds."""

    port: int
    requests: Sequence[bytes]
    clients: int
    every: float
    seconds: float


@attrs.frozen
class Answered:
    """What came back: counts by status (0: the connection was closed), and sorted seconds."""

    statuses: Mapping[int, int]
    latencies: Sequence[float]
    own_seconds: float

    def percentile(self, share: float) -> float:
        """Return the latency in milliseconds that this share of the answers did not exceed."""
        if not self.latencies:
            return 0.0
        at = min(len(self.latencies) - 1, int(len(self.latencies) * share))
        return self.latencies[at] * 1000


class Clients:
    """Send requests when they are due, whether or not others are answered."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._poller = select.epoll()
        self._open: dict[int, tuple[int, socket.socket, Reading]] = {}
        self._sent: dict[int, float] = {}
        self._due: list[tuple[float, int]] = []
        self._statuses, self._latencies = Counter[int](), list[float]()

    def run(self) -> Answered:
        """Connect, spread the first requests over one interval, and go on until the end."""
        schedule, own = self._schedule, time.process_time()
        began = time.perf_counter()
        for number in range(schedule.clients):
            self._due.append((began + schedule.every * number / schedule.clients, number))
        heapq.heapify(self._due)
        end = began + schedule.seconds
        connected: dict[int, int] = {}
        while (now := time.perf_counter()) < end:
            while self._due and self._due[0][0] <= now:
                when, number = heapq.heappop(self._due)
                fd = connected.get(number)
                if fd is None or fd not in self._open:
                    fd = connected[number] = self._connect(number)
                if fd not in self._sent:
                    self._send(fd, when)
                heapq.heappush(self._due, (when + schedule.every, number))
            pause = max(0.0, min(end, self._due[0][0]) - now) if self._due else 0.1
            self._receive(pause)
        self._close()
        own = time.process_time() - own
        return Answered(dict(self._statuses), sorted(self._latencies), own)

    def _connect(self, number: int) -> int:
        connection = connect(self._schedule.port)
        fd = connection.fileno()
        self._open[fd] = (number, connection, Reading())
        self._sent.pop(fd, None)
        self._poller.register(fd, select.EPOLLIN)
        return fd

    def _send(self, fd: int, due: float) -> None:
        number, connection, _ = self._open[fd]
        requests = self._schedule.requests
        # from when it was due: what waits for this process counts as well
        self._sent[fd] = due
        connection.sendall(requests[(number + len(self._latencies)) % len(requests)])

    def _receive(self, pause: float) -> None:
        for fd, _ in self._poller.poll(pause):
            _, connection, reading = self._open[fd]
            try:
                data = connection.recv(CHUNK)
            except ConnectionError:
                data = b""
            if not data:
                self._lost(fd)
            elif reading.feed(data):
                self._statuses[reading.status] += 1
                self._latencies.append(time.perf_counter() - self._sent.pop(fd))

    def _lost(self, fd: int) -> None:
        self._poller.unregister(fd)
        _, connection, _ = self._open.pop(fd)
        connection.close()
        if self._sent.pop(fd, None) is not None:
            self._statuses[0] += 1

    def _close(self) -> None:
        self._poller.close()
        for _, connection, _ in self._open.values():
            connection.close()


def poll(schedule: Schedule) -> Answered:
    """Be all pollers."""
    return Clients(schedule).run()


def listen(port: int, path: str, count: int, seconds: float) -> Mapping[str, int]:
    """Be all listeners of events; return how many streams there were, events and bytes."""
    poller, found = select.epoll(), Counter[str]()
    streams: dict[int, socket.socket] = {}
    request = get(path, "Accept: text/event-stream")
    for _ in range(count):
        connection = connect(port)
        connection.sendall(request)
        streams[connection.fileno()] = connection
        poller.register(connection.fileno(), select.EPOLLIN)
    end = time.perf_counter() + seconds
    while (left := end - time.perf_counter()) > 0:
        for fd, _ in poller.poll(left):
            data = streams[fd].recv(CHUNK)
            found["bytes"] += len(data)
            found["events"] += data.count(b"\nevent: ")
            found["streams"] += data.startswith(b"HTTP/1.1 200 ")
            if not data:
                poller.unregister(fd)
                found["ended"] += 1
    poller.close()
    for connection in streams.values():
        connection.close()
    return dict(found)
