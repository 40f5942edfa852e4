"""Three groups of a directory, behind the real proxies: who may do what, from the login on."""

from __future__ import annotations

import json
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import attrs
import pytest

from buildapi.sample.catalog import branches_document
from tests.deploy.test_proxies import (
    ARLA,
    FORGED,
    FORGED_GROUPS,
    JOSE,
    NINA,
    SUE,
    Headers,
    Proxy,
    login,
    run,
)
from tests.e2e.service import Service, configured
from tests.services.certificates import Certificates
from tests.services.proxies import group, start_ldap
from tests.services.rabbitmq import free_ports

LEVELS = {"try": "scm_level_1", "mozilla-central": "scm_level_3"}
LEVEL_3 = [(name, group("scm_level_3")) for name, _ in FORGED_GROUPS]
"""Headers that would permit everything."""

RULES = f"""
[access]
default = "deny"
[[access.rules]]
name = "level 3"
groups = ["{group("scm_level_3")}"]
access = ["scm_level_[123]"]
[[access.rules]]
name = "level 1"
groups = ["{group("scm_level_1")}"]
access = ["scm_level_1"]
actions = ["rebuild_*", "cancel_*", "reprioritize"]
priority = [-100, 0]
count = 2
[[access.rules]]
name = "sheriffs"
groups = ["{group("sheriffs")}"]
actions = ["cancel_*", "reprioritize"]
"""


@attrs.frozen
class Farm:
    """A service behind a proxy, asked as one of the people of the directory."""

    proxy: Proxy
    service: Service

    def ask(
        self, way: tuple[str, str], method: str, path: str, forged: Headers = (), **form: Any
    ) -> tuple[int, Any]:
        """Send a form, or nothing, with a login or a token; give the status and the answer."""
        body = urllib.parse.urlencode(form).encode() if method != "GET" else None
        headers = [*forged, way, ("Accept", "application/json")]
        headers += [("Content-Type", "application/x-www-form-urlencoded")] if body else []
        answer, text = self.proxy.ask(method, path, headers, body)
        return answer.status, json.loads(text)

    def build(self, branch: str) -> int:
        """Return a build of a branch."""
        _, items = self.ask(login(NINA), "GET", f"/self-serve/{branch}")
        return next(int(item["build_id"]) for item in items if "build_id" in item)

    def rebuild(
        self, way: tuple[str, str], branch: str, forged: Headers = (), **more: Any
    ) -> tuple[int, Any]:
        """Ask for a build of a branch once more."""
        form = {"build_id": self.build(branch), **more}
        return self.ask(way, "POST", f"/self-serve/{branch}/build", forged, **form)

    def job(self, answer: Mapping[str, Any]) -> Mapping[str, Any]:
        """Wait until a job is finished."""
        path = f"/self-serve/jobs/{answer['request_id']}?wait=60"
        _, job = self.ask(login(NINA), "GET", path)
        assert job["completed_at"] is not None, job
        return dict(job)

    def token(self, who: str, **more: Any) -> tuple[str, str]:
        """Make a token; give its header."""
        _, whoami = self.ask(login(who), "GET", "/self-serve/whoami")
        form = {"label": "test", "csrf_token": whoami["csrf_token"], **more}
        status, made = self.ask(login(who), "POST", "/self-serve/tokens", **form)
        assert status == 201, made
        return "Authorization", f"Bearer {made['token']}"


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("nginx", marks=[pytest.mark.nginx, pytest.mark.apache]),
        pytest.param("apache", marks=pytest.mark.apache),
    ],
)
def farm(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Farm]:
    """Run directory, proxy and service; the service has the levels of its branches from a file."""
    tls, folder = tmp_path_factory.mktemp("tls"), tmp_path_factory.mktemp("farm") / "service"
    Certificates.make().write(tls)
    (ldap,) = free_ports(1)
    with ExitStack() as stack:
        stack.callback(start_ldap(ldap).stop)
        proxy = run(stack, request.param, ldap, tls, {})
        sections = {
            "sample": {"enabled": True, "builds": 200, "days": 1, "push_seconds": 0},
            "directory": {"branches": str(folder / "branches.json")},
        }
        service = configured(folder, sections)
        stack.callback(service.kill)
        configure(service, proxy.backends)
        service.up()
        yield Farm(proxy, service)


def configure(service: Service, ports: tuple[int, int]) -> None:
    """Let a service listen where the proxy looks for it, with groups, rules and levels."""
    branches: dict[str, Any] = dict(branches_document(list(LEVELS)))
    for name, level in LEVELS.items():
        branches[name] = {**branches[name], "access": level}
    (service.folder / "branches.json").write_text(json.dumps(branches))
    listen = [f"tcp:{port}:interface=127.0.0.1" for port in ports]
    web = (
        f'listen = {json.dumps(listen)}\nreads = "users"\n'
        'groups_header = "X-Remote-Groups"\ngroups_separator = ";"'
    )
    file = service.folder / "buildapi.toml"
    lines = [web if "listen" in line else line for line in file.read_text().splitlines()]
    file.write_text("\n".join(lines) + RULES)


def test_level_1_rebuilds_on_try_and_nowhere_else(farm: Farm) -> None:
    status, answer = farm.rebuild(login(ARLA), "try")
    assert status == 202, answer
    job = farm.job(answer)
    assert (job["who"], job["action"]) == (ARLA, "rebuild_build")
    (item,) = job["items"]
    assert item["state"] == "done", job
    status, answer = farm.rebuild(login(ARLA), "mozilla-central")
    assert (status, answer["code"]) == (403, "access_denied")
    assert answer["needed"] == f"group {group('scm_level_3')}"
    for part in (ARLA, "rebuild_build", "mozilla-central", answer["needed"]):
        assert part in answer["msg"]


@pytest.mark.parametrize("more", [{"count": 3}, {"priority": 1}])
def test_level_1_asks_for_no_more_than_its_rule_permits(farm: Farm, more: dict[str, int]) -> None:
    assert farm.rebuild(login(ARLA), "try", **more)[0] == 403


def test_level_3_rebuilds_anywhere(farm: Farm) -> None:
    """That one has groups whose names are not ASCII, and hold what separates groups."""
    for branch in LEVELS:
        status, answer = farm.rebuild(login(JOSE), branch, count=3)
        assert status == 202, answer


def test_a_sheriff_cancels_anywhere_and_rebuilds_nowhere(farm: Farm) -> None:
    _, answer = farm.rebuild(login(JOSE), "mozilla-central")
    (item,) = farm.job(answer)["items"]
    request = item["request_id"]
    path = f"/self-serve/mozilla-central/request/{request}"
    status, answer = farm.ask(login(ARLA), "DELETE", path)
    assert (status, answer["code"]) == (403, "access_denied")
    assert answer["needed"] == f"group {group('scm_level_3')} or {group('sheriffs')}"
    status, answer = farm.ask(login(SUE), "DELETE", path)
    assert status == 202, answer
    assert farm.job(answer)["who"] == SUE
    assert farm.rebuild(login(SUE), "try")[0] == 403


def test_who_is_in_no_group_reads_and_changes_nothing(farm: Farm) -> None:
    assert farm.ask(login(NINA), "GET", "/self-serve/try")[0] == 200
    assert farm.rebuild(login(NINA), "try")[0] == 403


def test_nobody_gets_a_permission_by_a_header(farm: Farm) -> None:
    for forged in (*([one] for one in LEVEL_3), LEVEL_3, [*FORGED, *LEVEL_3]):
        for who in (NINA, ARLA):
            status, answer = farm.rebuild(login(who), "mozilla-central", forged)
            assert (status, answer["code"]) == (403, "access_denied"), forged
            assert who in answer["msg"]


def test_a_token_that_only_reads_reads(farm: Farm) -> None:
    token = farm.token(ARLA, read_only="true")
    status, whoami = farm.ask(token, "GET", "/self-serve/whoami")
    assert (status, whoami["who"]) == (200, ARLA)
    assert farm.ask(token, "GET", "/self-serve/try")[0] == 200
    for forged in ((), *([one] for one in LEVEL_3), [*FORGED, *LEVEL_3]):
        assert farm.rebuild(token, "try", forged)[0] == 403


def test_a_token_has_the_groups_of_the_last_login_and_no_others(farm: Farm) -> None:
    token = farm.token(ARLA)
    status, answer = farm.rebuild(token, "try")
    assert status == 202, answer
    assert farm.job(answer)["who"] == ARLA
    for forged in ((), *([one] for one in LEVEL_3), [*FORGED, *LEVEL_3]):
        status, answer = farm.rebuild(token, "mozilla-central", forged)
        assert (status, answer["code"]) == (403, "access_denied")
        assert ARLA in answer["msg"]


def test_only_permitted_entries_of_a_batch_are_accepted(farm: Farm) -> None:
    entries = [
        {
            "method": "POST",
            "path": f"/self-serve/{branch}/build",
            "body": {"build_id": farm.build(branch)},
        }
        for branch in LEVELS
    ]
    body = json.dumps(entries).encode()
    as_json = ("Content-Type", "application/json")
    _, text = farm.proxy.ask(
        "POST", "/self-serve/batch", [login(ARLA), as_json, ("Accept", "application/json")], body
    )
    assert [entry["status"] for entry in json.loads(text)] == [202, 403], text
