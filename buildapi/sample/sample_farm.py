"""Run the sample farm of a data folder: fill it at the first start, then simulate its masters."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from twisted.application.service import MultiService, Service
from twisted.internet import defer
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.threads import deferToThread
from twisted.logger import Logger

from buildapi.atomic_file import AtomicFile
from buildapi.db.sql import Database
from buildapi.reactor_time import ThreadedReactor
from buildapi.sample.bulk_writer import fill, is_filled, status_writer
from buildapi.sample.catalog import (
    MASTERS,
    SampleBuilder,
    SampleMaster,
    branches_document,
    builders,
    builders_document,
    masters_document,
)
from buildapi.sample.change_source import ChangeSource
from buildapi.sample.clobberer import ClobbererServer
from buildapi.sample.history import FarmSize, generate
from buildapi.sample.loopback_ports import Endpoint
from buildapi.sample.master_web import MasterWebServer
from buildapi.sample.push_generator import PushGenerator
from buildapi.sample.sample_rows import RowBatch, RowIds, SampleTable
from buildapi.sample.simulated_master import MasterSettings, SimulatedMaster
from buildapi.sample.status_builds import StatusRecorder

PORTS = (8200, 8201, 8202, 8203)
"""Ports of the masters in the file that :func:`prepare` writes."""
PUSH_SECONDS = 75.0

BRANCHES_FILE, MASTERS_FILE, BUILDERS_FILE = "branches.json", "masters.json", "builders.json"
SCHEDULER_FILE, STATUS_FILE = "scheduler.sqlite", "status.sqlite"


class StoppedError(Exception):
    """Filling was stopped; nothing was written."""


def prepare(
    data_dir: Path,
    *,
    now: int,
    seed: int = 1,
    size: FarmSize | None = None,
    ports: Sequence[int] = PORTS,
    pb_port: int = 0,
) -> None:
    """Write the files of branches, builders and masters, and both databases if there are none.

    ``now`` is in epoch seconds; a ``pb_port`` of 0 means none. Blocks until all is written.
    """
    size = size or FarmSize()
    data_dir.mkdir(parents=True, exist_ok=True)
    write_branches(data_dir, size)
    write_masters(data_dir, ports, pb_port)
    fill_databases(data_dir, now=now, seed=seed, size=size)


def write_branches(data_dir: Path, size: FarmSize) -> None:
    """Write the files of branches and of their builders."""
    _write_json(data_dir / BRANCHES_FILE, branches_document(size.branches))
    _write_json(data_dir / BUILDERS_FILE, builders_document(size.branches))


def write_masters(data_dir: Path, ports: Sequence[int], pb_port: int = 0) -> None:
    """Write the masters file; the masters listen on these ports of loopback."""
    _write_json(data_dir / MASTERS_FILE, masters_document(ports, pb_port))


def _write_json(path: Path, document: object) -> None:
    with AtomicFile(str(path)) as file:
        file.write(json.dumps(document, indent=1, sort_keys=True).encode() + b"\n")


def fill_databases(
    data_dir: Path,
    *,
    now: int,
    seed: int,
    size: FarmSize,
    progress: Callable[[RowBatch], None] | None = None,
) -> bool:
    """Create and fill both databases; return False if they were filled before."""
    scheduler, status = (f"sqlite:{data_dir / f}" for f in (SCHEDULER_FILE, STATUS_FILE))
    # Decided by the scheduler database, which is committed last.
    if is_filled(scheduler):
        with status_writer(status) as writer:
            writer.prepare()
        return False

    def batches(ids: RowIds) -> Iterable[RowBatch]:
        return generate(seed=seed, now=now, size=size, ids=ids)

    # Forced: a crash between the two commits leaves the status database filled and the other empty.
    fill(scheduler, status, batches, force=True, progress=progress)
    return True


class SampleFarm(MultiService):
    """Fill the databases of a data folder once, then simulate masters and pushes.

    ``scheduler`` and ``status`` are pools on :data:`SCHEDULER_FILE` and :data:`STATUS_FILE` of
    ``data_dir``; without ``status`` finished builds are not recorded there. The masters listen on
    ``endpoints``, the change source on ``change_endpoint`` and the clobberer on
    ``clobber_endpoint``, by default free ports of loopback. ``push_seconds`` of 0 means no pushes.
    ``clobber_url`` is set once the farm is ready.
    """

    log = Logger()

    def __init__(
        self,
        reactor: ThreadedReactor,
        data_dir: Path,
        scheduler: Database,
        status: Database | None = None,
        *,
        seed: int = 1,
        size: FarmSize | None = None,
        settings: MasterSettings | None = None,
        push_seconds: float = PUSH_SECONDS,
        endpoints: Sequence[Endpoint] | None = None,
        change_endpoint: Endpoint | None = None,
        clobber_endpoint: Endpoint | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # MultiService is not typed
        self.setName("sample farm")  # type: ignore[no-untyped-call]  # as above
        self._reactor, self._data_dir = reactor, data_dir
        self._scheduler, self._status = scheduler, status
        self._seed, self._size = seed, size or FarmSize()
        self._settings = settings or MasterSettings(seed=seed)
        self._push_seconds = push_seconds
        self._endpoints = endpoints or [_free_port(reactor) for _ in MASTERS]
        self._change_endpoint = change_endpoint or _free_port(reactor)
        self._clobber_endpoint = clobber_endpoint or _free_port(reactor)
        self.clobber_url = ""
        self._starting: defer.Deferred[None] | None = None
        self._stopped = threading.Event()
        self._ready = False
        self._waiting: list[defer.Deferred[None]] = []

    def startService(self) -> None:
        """Start to fill the databases; the masters follow."""
        super().startService()  # type: ignore[no-untyped-call]  # as above
        self._stopped.clear()
        self._starting = defer.ensureDeferred(self._start())

    def when_ready(self) -> defer.Deferred[None]:
        """Fire when the databases are filled, the files are written and the masters listen."""
        if self._ready:
            return defer.succeed(None)
        waiting: defer.Deferred[None] = defer.Deferred()
        self._waiting.append(waiting)
        return waiting

    def stopService(self) -> defer.Deferred[None]:
        """Stop filling, stop the masters, close their ports."""
        return defer.ensureDeferred(self._stop())

    async def _stop(self) -> None:
        self._stopped.set()
        if self._starting is not None:
            # A thread cannot be cancelled: it sees _stopped at its next batch, and rolls back.
            await self._starting
        stopping = super().stopService()  # type: ignore[no-untyped-call]  # as above
        if stopping is not None:
            await stopping
        for child in list(self):
            # A second start adds its services again.
            await defer.maybeDeferred(child.disownServiceParent)
        self._ready = False

    async def _start(self) -> None:
        try:
            await deferToThread(self._fill)
            await self._serve()
        except StoppedError:
            self._fire(StoppedError("the sample farm was stopped"))
        except Exception as e:
            self.log.failure("sample farm: not started")
            self._fire(e)
        else:
            self._ready = True
            self._fire(None)

    def _fire(self, error: Exception | None) -> None:
        """Fire what :meth:`when_ready` returned."""
        waiting, self._waiting = self._waiting, []
        for d in waiting:
            if error is None:
                d.callback(None)
            else:
                d.errback(error)

    def _fill(self) -> None:
        """Fill the databases, in a thread."""
        self._data_dir.mkdir(parents=True, exist_ok=True)
        write_branches(self._data_dir, self._size)
        now = int(time.time())
        written, tenth = 0, max(1, self._size.builds // 10)

        def progress(batch: RowBatch) -> None:
            nonlocal written
            if self._stopped.is_set():
                raise StoppedError
            before = written
            written += len(batch.rows) if batch.table is SampleTable.BUILDS else 0
            if before // tenth < written // tenth:
                # Log observers run in the thread that logs (twisted.logger): the event is left to
                # the reactor.
                self._reactor.callFromThread(self._log_progress, written)

        new = fill_databases(
            self._data_dir, now=now, seed=self._seed, size=self._size, progress=progress
        )
        self._reactor.callFromThread(self._log_filled, new)

    def _log_progress(self, written: int) -> None:
        self.log.debug("sample farm: {n} of {all} builds", n=written, all=self._size.builds)

    def _log_filled(self, new: bool) -> None:
        state = "filled" if new else "kept"
        self.log.info(
            "sample farm: databases in {dir} {state}", dir=str(self._data_dir), state=state
        )

    async def _serve(self) -> None:
        if self._stopped.is_set():
            raise StoppedError
        ports = []
        for master, endpoint in zip(MASTERS, self._endpoints, strict=True):
            ports.append(await self._add_master(master, endpoint))
        change_port = await self._listen_for_changes()
        # Only now are the free ports known.
        await deferToThread(write_masters, self._data_dir, ports, change_port)
        await self._serve_clobberer()
        if self._push_seconds:
            self._add(
                PushGenerator(
                    self._reactor,
                    self._scheduler,
                    self._size.branches,
                    seed=self._seed,
                    seconds=self._push_seconds,
                )
            )

    async def _listen_for_changes(self) -> int:
        source = ChangeSource(self._change_endpoint, self._scheduler, self._size.branches)
        self._add(source)
        port = await source.listen()
        self.log.info("sample farm: changes are accepted on port {port}", port=port)
        return port

    async def _serve_clobberer(self) -> None:
        clobberer = ClobbererServer(self._clobber_endpoint)
        self._add(clobberer)
        self.clobber_url = f"http://127.0.0.1:{await clobberer.listen()}/clobber"
        self.log.info("sample clobberer at {url}", url=self.clobber_url)

    async def _add_master(self, master: SampleMaster, endpoint: Endpoint) -> int:
        status = None if self._status is None else StatusRecorder(self._status)
        simulated = SimulatedMaster(
            self._reactor,
            master,
            self._builders_of(master),
            self._scheduler,
            status=status,
            settings=self._settings,
        )
        web = MasterWebServer(self._reactor, endpoint, simulated, self._scheduler)
        self._add(web)
        # Before the master claims anything: its builds can be stopped from the first moment.
        port = await web.listen()
        self._add(simulated)
        self.log.info("sample master {name} listens on port {port}", name=master.name, port=port)
        return port

    def _builders_of(self, master: SampleMaster) -> dict[str, SampleBuilder]:
        return {b.name: b for b in builders(self._size.branches) if b.role == master.role}

    def _add(self, service: Service) -> None:
        service.setServiceParent(self)


def _free_port(reactor: ThreadedReactor) -> TCP4ServerEndpoint:
    return TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
