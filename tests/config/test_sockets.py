"""UNIX sockets: who may connect to them, and what is said of those for everybody."""

from __future__ import annotations

import grp
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.address import UNIXAddress

from buildapi.errors import ConfigError
from tests.config.documents import farm_with, read
from tests.reactor import twisted_test
from tests.web.conftest import Settings, build


@pytest.mark.parametrize(
    ("given", "listened"),
    [
        ("unix:/run/b.sock", "unix:/run/b.sock:mode=660"),
        ("unix:address=/run/b.sock", "unix:address=/run/b.sock:mode=660"),
        ("unix:/run/b.sock:backlog=5", "unix:/run/b.sock:backlog=5:mode=660"),
        ("unix:/run/b.sock:600", "unix:/run/b.sock:600"),
        ("unix:/run/b.sock:mode=666", "unix:/run/b.sock:mode=666"),
        ("tcp:8010", "tcp:8010"),
        ("systemd:domain=UNIX:index=0", "systemd:domain=UNIX:index=0"),
    ],
)
def test_a_unix_socket_is_for_owner_and_group_unless_the_endpoint_says_otherwise(
    farm: Path, given: str, listened: str
) -> None:
    document = {"web": {"listen": [given]}, "ops": {"listen": [given]}}
    config = read(farm, farm_with(document))
    assert config.web.listen == config.ops.listen == (listened,)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("unix:/run/b.sock:mode=666", "mode 666 lets every user of this host connect"),
        ("unix:/run/b.sock:602", "mode 602 lets every user of this host connect"),
        ("systemd:domain=UNIX:index=0", "systemd sets its mode (SocketMode in the unit"),
        ("unix:/run/b.sock", ""),
        ("unix:/run/b.sock:mode=664", ""),
        ("tcp:8010", ""),
    ],
)
def test_a_socket_that_lets_everybody_name_a_user_is_warned_about(
    farm: Path, given: str, why: str
) -> None:
    config = read(farm, farm_with({"web": {"listen": [given]}}))
    assert len(config.warnings) == bool(why)
    assert why in "".join(config.warnings)
    trusting = {"listen": [given], "trusted_proxies": ["127.0.0.1"]}
    assert read(farm, farm_with({"web": trusting})).warnings == ()


def test_a_group_that_is_none_is_refused(farm: Path) -> None:
    with pytest.raises(ConfigError, match="must be an existing group of this host"):
        read(farm, farm_with({"web": {"socket_group": "no-such-group"}}))
    name = grp.getgrgid(os.getgid()).gr_name
    assert read(farm, farm_with({"web": {"socket_group": name}})).web.socket_group == name


@twisted_test()
async def test_a_socket_is_made_with_its_mode_and_given_to_its_group(
    farm: Path, tmp_path: Path
) -> None:
    at = tmp_path / "s"
    config = read(farm, farm_with({"web": {"listen": [f"unix:{at}"]}}))
    group = os.getgroups()[-1] if os.geteuid() else 12345
    listener = build(Settings(listen=config.web.listen, socket_group=group)).listener
    listener.startService()
    found = at.stat()
    assert (stat.S_IMODE(found.st_mode), found.st_gid) == (0o660, group)
    await listener.stopService()


class Gone:
    """A port whose socket somebody has deleted."""

    def getHost(self) -> UNIXAddress:
        return UNIXAddress("/nowhere/s")


def test_a_socket_that_cannot_be_given_to_its_group_ends_the_program(
    logged_errors: list[dict[str, Any]],
) -> None:
    listener = build(Settings(socket_group=12345)).listener
    with pytest.raises(SystemExit) as ended:
        listener._hand_over(Gone(), "unix:/nowhere/s")
    assert "cannot set its group to [web] socket_group" in str(ended.value)
    assert len(logged_errors) == 1
    logged_errors.clear()
