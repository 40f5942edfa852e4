"""The samples for NRPE and for a Nagios server: each command line of theirs is run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.plugins.answering import Answering
from tests.plugins.running import KINDS, PLUGIN, quoted, run_line
from tests.plugins.samples import expanded, nrpe_commands, objects

INSTALLED = "/opt/buildapi/bin/check_buildapi"
LOCAL = "http://127.0.0.1:8010"
SERVICES = [o.values for o in objects("services.cfg") if o.values.get("check_command")]
NAMES = [values.get("service_description", "host") for values in SERVICES]


def runnable(command: str, service: Answering) -> str:
    """Put our program and our service in the place of installed ones."""
    assert command.startswith(f"{INSTALLED} ")
    assert LOCAL in command
    return command.replace(INSTALLED, quoted(PLUGIN)).replace(LOCAL, service.url)


@pytest.fixture
def plugins(tmp_path: Path, service: Answering) -> Path:
    """Make a folder of plugins: ours, and a check_nrpe that runs the sample's commands here."""
    (tmp_path / "check_buildapi").symlink_to(PLUGIN)
    cases = "\n".join(
        f"{name}) exec {runnable(command, service)} ;;" for name, command in nrpe_commands().items()
    )
    nrpe = tmp_path / "check_nrpe"
    nrpe.write_text(
        "#!/bin/sh\n"
        '[ "$1 $3 $5" = "-H -t -c" ] && [ "$2" = 192.0.2.10 ] && [ "$4" -gt 10 ] || exit 3\n'
        f'case "$6" in\n{cases}\n*) echo "NRPE: Command $6 not defined"; exit 3 ;;\nesac\n'
    )
    nrpe.chmod(0o755)
    (tmp_path / "user").write_text("nagios:secret\n")
    return tmp_path


@pytest.mark.parametrize("name", nrpe_commands())
def test_a_command_of_nrpe_is_ok_with_a_healthy_service(service: Answering, name: str) -> None:
    kind = name.removeprefix("check_buildapi_")
    done = run_line(runnable(nrpe_commands()[name], service))
    assert done.check(kind).code == 0, done


def test_nrpe_has_every_check() -> None:
    assert set(nrpe_commands()) == {f"check_buildapi_{kind}" for kind in KINDS}


@pytest.mark.parametrize("values", SERVICES, ids=NAMES)
def test_a_check_command_of_the_server_is_ok_with_a_healthy_service(
    service: Answering, plugins: Path, values: dict[str, str]
) -> None:
    macros = {
        "$USER1$": str(plugins),
        "$USER9$": str(plugins / "user"),
        "$HOSTADDRESS$": "192.0.2.10",
        "$_HOSTBUILDAPI_URL$": service.url,
    }
    done = run_line(expanded(values["check_command"], macros))
    kind = values["check_command"].split("!")[1]
    assert done.check(kind).code == 0, done


def test_every_command_of_the_server_is_used_and_every_check_is_a_service() -> None:
    used = {values["check_command"].split("!")[0] for values in SERVICES}
    assert used == {o.values["command_name"] for o in objects("commands.cfg")}
    assert {values["check_command"].split("!")[1] for values in SERVICES} == set(KINDS)


def test_dependencies_name_services_that_are_there() -> None:
    for found in (o.values for o in objects("services.cfg") if o.kind == "servicedependency"):
        dependent = found["dependent_service_description"].split(",")
        assert {found["service_description"], *dependent} <= set(NAMES)
