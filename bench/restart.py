"""Restart the API processes in turn, under load, and tell what clients notice.

    python -m bench.restart [--restarts 6] [--clients 6]

Two API processes share one socket, as under systemd, and two agents take the jobs; databases and
broker are a private MariaDB and RabbitMQ.  One request of five is a job request.  No client tries
again.
"""

from __future__ import annotations

import argparse
import socket
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.e2e.restarting import Load, Site
from tests.services.mariadb import start_mariadb
from tests.services.rabbitmq import start_rabbitmq


def measure(site: Site, restarts: int, clients: int) -> None:
    """Restart and print."""
    apis, _ = site.start()
    began, stops = time.monotonic(), list[float]()
    with Load(apis[0].port, clients) as load:
        for number in range(restarts):
            load.until(20)
            api = apis[number % 2]
            stops.append(api.end())
            api.up()
        load.until(20)
    took = time.monotonic() - began
    for job_id in load.accepted.values():
        apis[0].client.wait_job(job_id, 60)
    counts = site.rebuilt()
    wrong = [who for who in load.accepted if counts.get(who) != 1]
    print(f"{restarts} restarts in {took:.1f} s, {clients} clients")
    print(f"{load.answered} requests answered, {len(load.failures)} failed")
    print(f"longest answer {load.longest:.2f} s, longest stop {max(stops):.2f} s")
    print(f"{len(load.accepted)} jobs accepted, {len(wrong)} lost or done twice")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--restarts", type=int, default=6)
    parser.add_argument("--clients", type=int, default=6)
    given = parser.parse_args()
    with ExitStack() as ends:
        server = start_mariadb()
        ends.callback(server.remove)
        # Erlang wants short paths
        folder, other = (Path(ends.enter_context(tempfile.TemporaryDirectory())) for _ in "12")
        broker = start_rabbitmq(other)
        ends.callback(broker.close)
        shared = ends.enter_context(socket.create_server(("127.0.0.1", 0), backlog=128))
        site = Site.over(folder, server, broker, shared)
        ends.callback(site.end)
        measure(site, given.restarts, given.clients)


if __name__ == "__main__":
    main()
