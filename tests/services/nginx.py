"""A private nginx on loopback that shares requests among processes of ours."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.services.mariadb import free_port
from tests.services.policy import program
from tests.services.rabbitmq import Group

# docs/deploys.md tells what matters here, and why.
CONFIG = """\
daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    upstream buildapi {{
{servers}
        keepalive 16;
        keepalive_timeout 1s;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://buildapi;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream error timeout;
        }}
    }}
}}
"""


@contextmanager
def nginx_before(folder: Path, ports: Sequence[int]) -> Iterator[int]:
    """Run nginx before processes on these ports; give its own port."""
    command, port = program("nginx"), free_port()
    servers = "\n".join(f"        server 127.0.0.1:{p} max_fails=0;" for p in ports)
    path = folder / "nginx.conf"
    path.write_text(CONFIG.format(folder=folder, servers=servers, port=port))
    log = folder / "nginx.out"
    running = Group.start([command, "-p", str(folder), "-c", str(path)], {}, log)
    try:
        _wait(port, log)
        yield port
    finally:
        running.end(signal.SIGTERM, 5)


def _wait(port: int, log: Path) -> None:
    end = time.monotonic() + 180
    while not _listens(port):
        assert time.monotonic() < end, f"nginx did not start: {log.read_text()}"
        time.sleep(0.05)


def _listens(port: int) -> bool:
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex(("127.0.0.1", port)) == 0
