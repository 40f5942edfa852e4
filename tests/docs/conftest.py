"""One sample service and one mail server for all pages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink

from tests.browser.service import submit
from tests.docs.stage import Stage
from tests.e2e.service import Service, environment, toml, twistd
from tests.services.mariadb import free_port

DIRECTORY = ("branches.json", "masters.json", "builders.json")


class _Controller(Controller):
    """aiosmtpd's, which cannot wait for a port that the system chooses."""

    def _trigger_server(self) -> None:
        assert self.server is not None
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


@pytest.fixture(scope="session")
def mail() -> Iterator[str]:
    """Return the address of a mail server that takes everything."""
    controller = _Controller(Sink(), hostname="127.0.0.1", port=0)
    controller.start()
    yield f"127.0.0.1:{controller.port}"
    controller.stop()


def noon() -> str:
    """Find a zone in which it is about noon: just after midnight today's pages are empty."""
    return f"Etc/GMT{datetime.now(UTC).hour - 12:+d}"


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory, mail: str) -> Iterator[Stage]:
    """Run the sample farm of ``make run``, with something that waits and something that runs."""
    folder = tmp_path_factory.mktemp("docs-service")
    port = free_port()
    config = toml(
        {
            "service": {"data": str(folder / "data"), "drain_seconds": 2},
            "web": {
                "listen": [f"tcp:{port}:interface=127.0.0.1"],
                "development_user": "you@localhost",
                "timezone": noon(),
            },
            "sample": {"enabled": True, "builds": 1500, "push_seconds": 0},
            "dumps": {"folder": str(folder / "dumps")},
        }
    )
    (folder / "buildapi.toml").write_text(config)
    command = twistd("buildapi", "--config", "buildapi.toml")
    service = Service(folder=folder, command=command, environment=environment(), port=port)
    service.up()
    try:
        submit(service, 40, later=900)  # what pages take as the newest is not to be claimed
        directory = {name: (folder / "data" / name).read_text() for name in DIRECTORY}
        yield Stage(f"http://127.0.0.1:{port}", config, directory, mail)
    finally:
        service.stop()
