"""A private MariaDB server for tests: own data folder, own port, gone when the tests are."""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import attrs
import pymysql

from tests.services import policy, process_states

START_SECONDS = 300
REMEDY = "make services"
# Small, and without care for power cuts: the data is thrown away.
FAST = (
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=8M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-flush-method=nosync",
    "--innodb-doublewrite=0",
    "--innodb-file-per-table=0",
    "--key-buffer-size=1M",
    "--aria-pagecache-buffer-size=8M",
    "--performance-schema=OFF",
    "--skip-log-bin",
    "--skip-name-resolve",
    "--max-connections=200",
)

# Of the tables that know, the one without texts: theirs would be written to a file each time.
LOCK_WAITS = "SELECT requesting_trx_id FROM information_schema.innodb_lock_waits"

# InnoDB fills that table anew only when nobody has read it for 0.1 s (CACHE_MIN_IDLE_TIME_NS in
# trx0i_s.cc): whoever asks more often gets the same rows for ever.
LOCK_WAITS_PAUSE = 0.2  # seconds


@attrs.define(eq=False)
class MariaDB:
    """A server that listens on loopback; its user ``root`` has no password."""

    folder: Path
    port: int
    account: str
    options: tuple[str, ...] = ()
    _server: subprocess.Popen[bytes] | None = None
    _guard: subprocess.Popen[bytes] | None = None
    _numbers: itertools.count[int] = attrs.field(factory=itertools.count)
    _lock_waits: frozenset[int] = frozenset()
    _lock_waits_read_at: float = -LOCK_WAITS_PAUSE

    @property
    def socket_path(self) -> Path:
        """Return where its Unix socket is."""
        return self.folder / "sock"

    def url(self, database: str) -> str:
        """Return the URL of a database of this server."""
        return f"mysql://root@127.0.0.1:{self.port}/{database}"

    def database(self, name: str, charset: str = "utf8mb4") -> str:
        """Create an empty database whose name begins with ``name``; give its URL."""
        name = f"{name}_{next(self._numbers)}"
        self.execute(f"CREATE DATABASE `{name}` CHARACTER SET {charset}")
        return self.url(name)

    def execute(self, *statements: str, database: str | None = None) -> None:
        """Run statements as an administrator would, past the code under test."""
        with contextlib.closing(self.connect(database)) as connection:
            for statement in statements:
                connection.cursor().execute(statement)

    def lock_waits(self) -> frozenset[int]:
        """Return the ids of the transactions that waited for a lock at most 0.2 s ago."""
        if time.monotonic() - self._lock_waits_read_at > LOCK_WAITS_PAUSE:
            self._lock_waits = frozenset(int(row[0]) for row in self._rows(LOCK_WAITS))
            self._lock_waits_read_at = time.monotonic()
        return self._lock_waits

    def bytes_sent(self) -> int:
        """Return how many bytes it has sent to all clients, of running statements too."""
        ((_, value),) = self._rows("SHOW GLOBAL STATUS LIKE 'Bytes_sent'")
        return int(value)

    def _rows(self, query: str) -> tuple[tuple[str, ...], ...]:
        with contextlib.closing(self.connect()) as connection, connection.cursor() as cursor:
            cursor.execute(query)
            return cursor.fetchall()

    def connect(
        self, database: str | None = None
    ) -> pymysql.connections.Connection[pymysql.cursors.Cursor]:
        """Open a plain connection with autocommit."""
        return pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="root",
            database=database,
            charset="utf8mb4",
            autocommit=True,
            connect_timeout=30,
            read_timeout=120,
            ssl_disabled=True,
        )

    def start(self) -> None:
        """Start it and wait until it answers."""
        log = (self.folder / "server.log").open("ab")
        with log:
            self._server = subprocess.Popen(
                [
                    policy.program("mariadbd", "mysqld", remedy=REMEDY),
                    "--no-defaults",
                    f"--user={self.account}",
                    f"--datadir={self.folder / 'data'}",
                    f"--socket={self.socket_path}",
                    f"--pid-file={self.folder / 'pid'}",
                    f"--port={self.port}",
                    "--bind-address=127.0.0.1",
                    "--character-set-server=utf8mb4",
                    f"--tmpdir={self.folder / 'tmp'}",
                    *FAST,
                    *self.options,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        pid = str(self._server.pid)
        # Reads until this process is gone, however it ends, and then cleans up.
        self._guard = subprocess.Popen(
            ["sh", "-c", 'read -r _; kill -9 "$1"; rm -rf "$2"', "sh", pid, str(self.folder)],
            stdin=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._wait_until_it_answers()

    def _wait_until_it_answers(self) -> None:
        end = time.monotonic() + START_SECONDS
        while True:
            try:
                self.connect().close()
            except pymysql.Error as e:
                assert self._server is not None
                ended = self._server.poll() is not None
                if ended or time.monotonic() > end:
                    self.kill()
                    raise RuntimeError(f"MariaDB did not start: {self.log()[-2000:]}") from e
                time.sleep(0.05)
            else:
                return

    def log(self) -> str:
        """Return what the server wrote to its log."""
        return (self.folder / "server.log").read_text(errors="replace")

    def stop(self) -> None:
        """End it in good order."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """End it in good order and start it again on the same port."""
        self.stop()
        self.start()

    def suspend(self) -> None:
        """Let it accept connections and never answer, until :meth:`resume`."""
        if self._server is not None and self._server.poll() is None:
            process_states.suspend(self._server.pid)

    def resume(self) -> None:
        """Let a suspended server go on."""
        self._signal(signal.SIGCONT)

    def remove(self) -> None:
        """End it and delete its data."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _signal(self, number: int) -> None:
        if self._server is not None and self._server.poll() is None:
            self._server.send_signal(number)

    def _end(self, number: int) -> None:
        if self._server is not None:
            self._signal(signal.SIGCONT)
            self._signal(number)
            try:
                self._server.wait(20)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait()
        if self._guard is not None:
            self._guard.kill()
            self._guard.wait()
            assert self._guard.stdin is not None
            self._guard.stdin.close()
        self._server = self._guard = None


def start_mariadb(base_path: Path | None = None, *options: str) -> MariaDB:
    """Install and start a server with its data under ``base_path``; skip where there is none.

    ``options`` are further ones of its command line, not of the installation.

    Run by root the server drops to the account ``mysql``, which cannot look into pytest's own
    folders: then, and without ``base_path``, the data is in a fresh temporary folder.
    Whoever starts it calls ``remove()`` in the end.
    """
    installer = policy.program("mariadb-install-db", "mysql_install_db", remedy=REMEDY)
    policy.program("mariadbd", "mysqld", remedy=REMEDY)
    root = os.geteuid() == 0
    account = "mysql" if root else pwd.getpwuid(os.geteuid()).pw_name
    parent = base_path if base_path is not None and not root else None
    folder = Path(tempfile.mkdtemp(prefix="mariadb-", dir=parent))
    folder.chmod(0o755)
    server = MariaDB(folder, free_port(), account, options)
    try:
        (folder / "data").mkdir()
        # Servers that start side by side give temporary tables the same names: in one /tmp each
        # deletes those of the others.
        (folder / "tmp").mkdir()
        if root:
            shutil.chown(folder / "tmp", account)
        _install(installer, folder, account)
        if root:
            shutil.chown(folder, account)
        server.start()
    except BaseException:
        server.remove()
        raise
    return server


def _install(installer: str, folder: Path, account: str) -> None:
    done = subprocess.run(
        [
            installer,
            "--no-defaults",
            f"--user={account}",
            f"--datadir={folder / 'data'}",
            "--skip-test-db",
            "--auth-root-authentication-method=normal",
            f"--tmpdir={folder / 'tmp'}",
            *FAST,
        ],
        capture_output=True,
        timeout=300,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"MariaDB could not be installed: {done.stdout + done.stderr!r}")


def free_port() -> int:
    """Find a port of the loopback interface nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
