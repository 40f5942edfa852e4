"""The plugin against the real program: well while it runs, and what is said once it is gone."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from tests.e2e.service import Service, configured
from tests.plugins.running import KINDS, Outcome, run

# One process is one agent, and a farm that has just begun has waited for nothing yet.
OPTIONS = {"agents": ("-w", "1:"), "backlog": ("-w", "86400", "-c", "172800")}
SECONDS = 180


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the sample farm, with dumps."""
    folder = tmp_path_factory.mktemp("plugins") / "service"
    sections = {
        "sample": {"enabled": True, "builds": 300},
        "dumps": {"folder": "dumps"},
        "ops": {"probe_seconds": 1},
    }
    service = configured(folder, sections)
    (folder / "dumps").mkdir()
    service.up()
    yield service
    service.kill()


def ask(service: Service, kind: str) -> Outcome:
    url = f"http://127.0.0.1:{service.port}"
    return run(kind, "--url", url, *OPTIONS.get(kind, ())).check(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_all_is_well_soon_after_the_start(running: Service, kind: str) -> None:
    """Masters are asked and dumps are written only some seconds after the start."""
    end = time.monotonic() + SECONDS
    while (done := ask(running, kind)).code != 0:
        assert time.monotonic() < end, f"{done.output}\n{running.output()}"
        time.sleep(0.2)
    assert done.values


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_that_hangs_is_noticed(running: Service, kind: str) -> None:
    running.suspend()
    try:
        url = f"http://127.0.0.1:{running.port}"
        done = run(kind, "--url", url, "-t", "1").check(kind)
    finally:
        running.resume()
    assert done.code == (2 if kind == "http" else 3)
    assert "no answer within 1 s" in done.line


def test_once_it_is_stopped_http_is_critical_and_the_rest_unknown(running: Service) -> None:
    running.stop()
    found = {kind: ask(running, kind) for kind in KINDS}
    assert all("Connection refused" in done.line for done in found.values()), found
    codes = {kind: done.code for kind, done in found.items()}
    assert codes == {kind: 2 if kind == "http" else 3 for kind in KINDS}
