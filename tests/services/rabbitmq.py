"""A private RabbitMQ node on loopback, with its own epmd, cookie, ports and data folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import attrs
import pytest

from tests.services.certificates import Certificates
from tests.services.policy import program

SCRIPTS = Path("/usr/lib/rabbitmq/bin")
"""Debian's /usr/sbin scripts switch to another user; the ones here run as whoever calls them."""

CONFIG = """\
listeners.tcp.1 = 127.0.0.1:{port}
listeners.ssl.1 = 127.0.0.1:{tls_port}
ssl_options.cacertfile = {tls}/ca.pem
ssl_options.certfile = {tls}/server.pem
ssl_options.keyfile = {tls}/server.key
ssl_options.verify = verify_none
disk_free_limit.absolute = 1MB
log.file.level = warning
"""

WATCH = '"$@" & read -r _; kill -KILL 0'
"""The shell over each program: the end of its input, even by our sudden death, kills the group."""


def free_ports(count: int) -> list[int]:
    """Find free TCP ports of loopback."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in sockets]
    for s in sockets:
        s.close()
    return ports


@attrs.define
class Group:
    """A program in a process group of its own that cannot outlive us."""

    process: subprocess.Popen[bytes]

    @classmethod
    def start(cls, command: list[str], env: dict[str, str], log: Path) -> Group:
        """Start it with both outputs appended to a file."""
        with log.open("ab") as out:
            return cls(
                subprocess.Popen(
                    ["/bin/sh", "-c", WATCH, "sh", *command],
                    env=env,
                    cwd=log.parent,  # Mnesia leaves its dumps where it runs
                    stdin=subprocess.PIPE,
                    stdout=out,
                    stderr=out,
                    start_new_session=True,
                )
            )

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal to all of the group; tell whether there still was one."""
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return False
        return True

    def end(self, number: signal.Signals, seconds: float) -> None:
        """End it, at the latest after ``seconds`` with SIGKILL."""
        if number != signal.SIGKILL:
            self.signal(number)
            end = time.monotonic() + seconds
            while self._runs() and time.monotonic() < end:
                time.sleep(0.05)
        self.signal(signal.SIGKILL)
        self.process.wait(10)
        if self.process.stdin:
            self.process.stdin.close()

    def _runs(self) -> bool:
        self.process.poll()
        try:
            os.killpg(self.process.pid, 0)
        except ProcessLookupError:
            return False
        return True


@attrs.define
class RabbitMQ:
    """One node; user ``guest`` with password ``guest`` and vhost ``/`` are there."""

    folder: Path
    port: int
    tls_port: int
    certificates: Certificates
    _dist_port: int
    _epmd_port: int
    _epmd: Group | None = None
    _node: Group | None = None

    host = "127.0.0.1"
    user = "guest"
    password = "guest"

    @classmethod
    def in_folder(cls, folder: Path) -> RabbitMQ:
        """Prepare a node in an empty folder; nothing runs yet."""
        port, tls_port, dist, epmd = free_ports(4)
        for name in ("home", "data", "log", "tls"):
            (folder / name).mkdir()
        node = cls(folder, port, tls_port, Certificates.make(), dist, epmd)
        node.certificates.write(folder / "tls")
        (folder / "enabled_plugins").write_text("[].\n")
        config = CONFIG.format(port=port, tls_port=tls_port, tls=folder / "tls")
        (folder / "rabbitmq.conf").write_text(config)
        cookie = folder / "home" / ".erlang.cookie"
        cookie.write_text(f"BUILDAPITEST{epmd}")
        cookie.chmod(0o400)
        return node

    @property
    def name(self) -> str:
        """Name the Erlang node."""
        return f"test{self.port}@localhost"

    @property
    def environment(self) -> dict[str, str]:
        """Return the variables that keep the node apart from any other on the machine."""
        at = self.folder
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith("RABBITMQ_")},
            "HOME": str(at / "home"),
            "LC_ALL": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_CRASH_DUMP_BYTES": "0",
            "RABBITMQ_NODENAME": self.name,
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(at / "data"),
            "RABBITMQ_LOG_BASE": str(at / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(at / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(at / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": str(at / "none.conf"),
            "RABBITMQ_GENERATED_CONFIG_DIR": str(at / "data" / "generated"),
            "RABBITMQ_PID_FILE": str(at / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": (
                "+S 2:2 +sbwt none +sbwtdcpu none +sbwtdio none"
                " -kernel inet_dist_use_interface {127,0,0,1}"
            ),
        }

    def start(self) -> None:
        """Start the node and wait until it takes connections."""
        if self._epmd is None:
            command = [program("epmd"), "-port", str(self._epmd_port), "-address", "127.0.0.1"]
            self._epmd = Group.start(command, self.environment, self.folder / "epmd.out")
        self._node = Group.start([_script("rabbitmq-server")], self.environment, self._out)
        self._wait(300)

    def stop(self) -> None:
        """Stop the node in good order; its data stay."""
        self._end_node(signal.SIGTERM)

    def kill(self) -> None:
        """Stop the node as a power cut would."""
        self._end_node(signal.SIGKILL)

    def restart(self) -> None:
        """Stop in good order and start again."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End everything, quickly."""
        self.kill()
        if self._epmd is not None:
            self._epmd.end(signal.SIGKILL, 5)
            self._epmd = None

    def ctl(self, *args: str) -> str:
        """Run rabbitmqctl and give its output; takes a second or two, so call it in a thread."""
        done = subprocess.run(
            [_script("rabbitmqctl"), "-q", "-n", self.name, *args],
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, f"rabbitmqctl {args[0]}: {done.stdout}{done.stderr}"
        return done.stdout

    @property
    def _out(self) -> Path:
        return self.folder / "node.out"

    def _end_node(self, number: signal.Signals) -> None:
        if self._node is not None:
            self._node.end(number, 20)
            self._node = None

    def _wait(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while not self._answers():
            if time.monotonic() > end:
                text = self._out.read_text(errors="replace")[-2000:]
                self.close()
                pytest.fail(f"RabbitMQ did not start in {seconds} s: {text}", pytrace=False)
            time.sleep(0.1)

    def _answers(self) -> bool:
        """Ask for the AMQP greeting: the listener opens last, when the node is ready."""
        try:
            with socket.create_connection((self.host, self.port), 1) as s:
                s.settimeout(5)
                s.sendall(b"AMQP\x00\x00\x09\x01")
                return s.recv(1) == b"\x01"
        except OSError:
            return False


def start_rabbitmq(folder: Path) -> RabbitMQ:
    """Start a node in an empty folder, or skip where RabbitMQ is not installed."""
    program("rabbitmq-server")
    program("epmd")
    node = RabbitMQ.in_folder(folder)
    node.start()
    return node


def rabbitmq_server() -> Iterator[RabbitMQ]:
    """Serve as the body of a session fixture."""
    # Not in pytest's folders: they are private to the user, and Erlang wants short paths.
    folder = Path(tempfile.mkdtemp(prefix="buildapi-rabbitmq-"))
    try:
        node = start_rabbitmq(folder)
        try:
            yield node
        finally:
            node.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _script(name: str) -> str:
    own = SCRIPTS / name
    return str(own) if own.exists() else program(name)
