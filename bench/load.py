"""A keep-alive HTTP client of low cost, in a process of its own.

One thread waits on all connections; an answer is read up to its Content-Length and never parsed
further.  Its own processor time is returned beside the figures of the server.
"""

from __future__ import annotations

import multiprocessing
import resource
import select
import socket
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any, TypeVar

import attrs

from bench.processes import processor_seconds

CHUNK = 262_144
ANSWER_SECONDS = 60
T = TypeVar("T")


@attrs.frozen
class Load:
    """Requests, sent one after the other on each of a number of connections.

    The load ends after ``seconds``, or once each connection has sent its share of ``count``.
    ``server`` is the process whose processor time is measured.  Connection ``n`` begins with
    request ``n`` and goes on through the list.
    """

    port: int
    requests: Sequence[bytes]
    connections: int
    server: int
    seconds: float = ANSWER_SECONDS
    count: int | None = None


@attrs.frozen
class Loaded:
    """What a load has measured; ``latencies`` are sorted seconds."""

    seconds: float
    server_seconds: float
    own_seconds: float
    statuses: Mapping[int, int]
    latencies: Sequence[float]

    @property
    def answers(self) -> int:
        """Return how many answers there were."""
        return sum(self.statuses.values())

    @property
    def rate(self) -> float:
        """Return answers per second."""
        return self.answers / self.seconds

    @property
    def cpu(self) -> float:
        """Return milliseconds of the server's processor time for each answer."""
        return self.server_seconds / self.answers * 1000

    def percentile(self, share: float) -> float:
        """Return the latency in milliseconds that this share of the answers did not exceed."""
        at = min(len(self.latencies) - 1, int(len(self.latencies) * share))
        return self.latencies[at] * 1000


class Reading:
    """Read one answer after the other from what arrives."""

    def __init__(self) -> None:
        self.left: int | None = None
        self._head = b""
        self.status = 0

    def feed(self, data: bytes) -> bool:
        """Accept data; return whether an answer is complete."""
        if self.left is None:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return False
            self.status = int(self._head[9:12])
            self.left = _length(self._head[:end], self.status) + end + 4
            data, self._head = self._head, b""
        self.left -= len(data)
        if self.left > 0:
            return False
        self.left = None
        return True


def _length(head: bytes, status: int) -> int:
    """Return the length of the body that follows a head."""
    if status == 304:
        return 0
    lower = head.lower()
    at = lower.find(b"\r\ncontent-length:")
    if at < 0:
        raise ValueError(f"an answer without Content-Length: {head[:200]!r}")
    return int(lower[at + 17 :].partition(b"\r\n")[0])


def connect(port: int) -> socket.socket:
    """Connect to a port of loopback."""
    connection = socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def run(load: Load) -> Loaded:
    """Send a load from this process."""
    sockets = [connect(load.port) for _ in range(load.connections)]
    poller = select.epoll()
    by_fd = {s.fileno(): (n, s, Reading()) for n, s in enumerate(sockets)}
    began_at: dict[int, float] = {}
    statuses, latencies = Counter[int](), list[float]()
    sent, answered, total = 0, 0, load.count
    position = list(range(load.connections))
    requests, size = load.requests, len(load.requests)
    own, server = time.process_time(), processor_seconds(load.server)
    began = time.perf_counter()
    end = began + load.seconds

    def send(fd: int, number: int, connection: socket.socket) -> None:
        nonlocal sent
        began_at[fd] = time.perf_counter()
        connection.sendall(requests[position[number] % size])
        position[number] += load.connections
        sent += 1

    for fd, (number, connection, _) in by_fd.items():
        poller.register(fd, select.EPOLLIN)
        if total is None or sent < total:
            send(fd, number, connection)
    while answered < sent:
        events = poller.poll(ANSWER_SECONDS)
        if not events:
            raise TimeoutError(f"no answer within {ANSWER_SECONDS} s")
        for fd, _ in events:
            number, connection, reading = by_fd[fd]
            data = connection.recv(CHUNK)
            if not data:
                raise ConnectionError("the server closed a connection")
            if not reading.feed(data):
                continue
            now = time.perf_counter()
            answered += 1
            statuses[reading.status] += 1
            latencies.append(now - began_at[fd])
            if now < end and (total is None or sent < total):
                send(fd, number, connection)
    seconds = time.perf_counter() - began
    found = Loaded(
        seconds,
        processor_seconds(load.server) - server,
        time.process_time() - own,
        dict(statuses),
        sorted(latencies),
    )
    poller.close()
    for connection in sockets:
        connection.close()
    return found


def get(path: str, *headers: str) -> bytes:
    """Return the bytes of a GET request."""
    lines = [f"GET {path} HTTP/1.1", "Host: localhost", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def post(path: str, body: bytes, *headers: str) -> bytes:
    """Return the bytes of a POST request with a JSON body."""
    lines = [f"POST {path} HTTP/1.1", "Host: localhost", *headers]
    lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body


def allow_many_files() -> None:
    """Raise the number of open files of this process to what is allowed."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


class Elsewhere:
    """Run functions in other processes, which begin without anything of this one."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(2, self._context, initializer=allow_many_files)

    def send(self, load: Load) -> Loaded:
        """Send a load."""
        return self.run(run, load)

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function; return its result."""
        return self.begin(function, *arguments).result()

    def begin(self, function: Callable[..., T], *arguments: Any) -> Future[T]:
        """Begin a function; its result comes later."""
        return self._pool.submit(function, *arguments)

    def once(self, function: Callable[..., T], *arguments: Any) -> T:
        """Run a function in a process that does nothing else before and after."""
        with ProcessPoolExecutor(1, self._context) as pool:
            return pool.submit(function, *arguments).result()

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)
