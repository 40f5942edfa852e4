"""Passwords: where they are taken from, and that nothing shows them."""

from __future__ import annotations

import os
import traceback
from pathlib import Path

import attrs
import pytest

from buildapi.config import Secret, load
from buildapi.errors import ConfigError
from tests.config.documents import PASSWORD, Document, farm_with, read, refused


def test_a_secret_shows_itself_only_when_asked() -> None:
    secret = Secret(PASSWORD)
    assert secret.reveal() == PASSWORD
    assert [repr(secret), str(secret), f"{secret}"] == ["Secret(***)"] * 3
    assert secret == Secret(PASSWORD)
    assert secret != Secret("other")
    assert len({secret, Secret(PASSWORD)}) == 1


def broker_with(keys: Document) -> Document:
    return farm_with({"broker": {"url": "amqp://u@h/v"} | keys})


def revealed(secret: Secret | None) -> str | None:
    return None if secret is None else secret.reveal()


@pytest.mark.parametrize("ending", ["", "\n", "\r\n"])
def test_a_password_may_stand_in_a_file(farm: Path, ending: str) -> None:
    (farm / "pw").write_bytes((PASSWORD + ending).encode())
    (farm / "pw").chmod(0o400)
    config = read(farm, broker_with({"password_file": "pw"}))
    assert revealed(config.broker.password) == PASSWORD
    assert config.warnings == ()


def test_a_password_may_stand_in_the_environment(farm: Path) -> None:
    config = read(farm, broker_with({"password_env": "Broker_pw"}), {"Broker_pw": PASSWORD})
    assert revealed(config.broker.password) == PASSWORD


def test_a_password_may_stand_in_the_file_itself(farm: Path) -> None:
    agent = {"master_username": "web", "master_password": PASSWORD}
    config = read(farm, farm_with({"agent": agent}))
    assert revealed(config.agent.master_password) == PASSWORD


@pytest.mark.parametrize("written", [PASSWORD, "plain", "p%40w", "a/b@c:d"])
def test_a_password_in_a_url_is_moved_out_of_it(farm: Path, written: str) -> None:
    database = {"url": f"mysql://u:{written}@h:3306/n"}
    config = read(farm, farm_with({"databases": {"status": database}}))
    assert config.databases.status.url == "mysql://u@h:3306/n"
    password = written.replace("%40", "@").replace("%41", "A")
    assert revealed(config.databases.status.password) == password


@pytest.mark.parametrize("key", ["password", "password_file", "password_env"])
def test_an_empty_password_is_none(farm: Path, key: str) -> None:
    database = {"url": "mysql://u@h/n", key: ""}
    config = read(farm, farm_with({"databases": {"status": database}}))
    assert config.databases.status.password is None


ONE = "set only one of password, password_file, password_env"
HELD = "must be a file with a password in UTF-8"
SET = "must be the name of an environment variable that is set"
WRONG_SECRETS = [
    ({"password": 5}, "password: must be a string in quotes (the value is not shown)"),
    ({"password": [PASSWORD]}, "password: must be a string in quotes (the value is not shown)"),
    ({"password": "x", "password_env": "X"}, f"password and password_env are both set: {ONE}"),
    (
        {"url": f"amqp://u:{PASSWORD}@h", "password_file": "pw"},
        f"password_file and the password in url are both set: {ONE}",
    ),
    (
        {"password_file": "no"},
        'password_file = "no": must be an existing, readable file',
    ),
    ({"password_file": 5}, "password_file = 5: must be a string in quotes"),
    ({"password_file": "empty"}, f'password_file = "empty": {HELD}'),
    ({"password_file": "binary"}, f'password_file = "binary": {HELD}'),
    ({"password_file": "long"}, f'password_file = "long": {HELD}'),
    ({"password_env": "UNSET"}, f'password_env = "UNSET": {SET}'),
    ({"password_env": "EMPTY"}, f'password_env = "EMPTY": {SET}'),
    ({"password_env": PASSWORD}, f"password_env: {SET} (the value is not shown)"),
    ({"password_env": 5}, f"password_env: {SET} (the value is not shown)"),
]


@pytest.mark.parametrize(("keys", "error"), WRONG_SECRETS)
def test_a_password_that_cannot_be_had_is_named_but_not_shown(
    farm: Path, keys: Document, error: str
) -> None:
    (farm / "empty").write_bytes(b"\n")
    (farm / "binary").write_bytes(b"\xff\xfe")
    (farm / "long").write_bytes(b"x" * 65_537)
    assert refused(farm, broker_with(keys), {"EMPTY": ""}) == f"[broker] {error}"


def test_a_password_file_that_is_a_pipe_is_not_waited_for(farm: Path) -> None:
    os.mkfifo(farm / "pipe")
    error = 'password_file = "pipe": must be an existing, readable file'
    assert refused(farm, broker_with({"password_file": "pipe"})) == f"[broker] {error}"


@pytest.mark.skipif(not os.path.exists("/proc/self/mem"), reason="needs Linux")
def test_a_password_file_that_cannot_be_read_is_named_with_the_reason(farm: Path) -> None:
    """Reading this one at its start fails for root too."""
    error = 'password_file = "/proc/self/mem": must be a readable file (Input/output error)'
    assert refused(farm, broker_with({"password_file": "/proc/self/mem"})) == f"[broker] {error}"


@pytest.mark.parametrize(("mode", "warned"), [(0o600, 0), (0o640, 1), (0o604, 1), (0o620, 0)])
def test_a_password_others_can_read_is_warned_about(farm: Path, mode: int, warned: int) -> None:
    (farm / "pw").write_text(PASSWORD)
    (farm / "pw").chmod(mode)
    config = read(farm, broker_with({"password_file": "pw"}))
    text = (
        f'{farm}/b.toml: [broker] password_file = "pw" is a password,'
        f" and group or others can read {farm}/pw"
    )
    assert list(config.warnings) == [text] * warned


def test_a_readable_file_that_holds_passwords_is_warned_about(farm: Path) -> None:
    file = farm / "b.toml"
    file.write_text(
        '[directory]\nbranches = "branches.json"\nmasters = "masters.json"\n'
        '[broker]\nurl = "amqp://u@h/v"\npassword = "x"\n'
        '[databases.status]\nurl = "mysql://u:pw@h/n"\n'
    )
    file.chmod(0o644)
    assert [w.removeprefix(f"{file}: ") for w in load(file, {}).warnings] == [
        f"[broker] password is a password, and group or others can read {file}",
        f"[databases.status] url holds a password, and group or others can read {file}",
    ]
    file.chmod(0o600)
    assert load(file, {}).warnings == ()


LEAKY_URLS = [
    "{}://user:{}@host/name",
    "{}://user:{}@host/na/me",
    "{}://user:{}@host:99999/name",
    "{}://user:{}@[::1/name",
    "{}://:{}@host/name",
    "{}:user:{}@host/name",
    "{}://user:{}",
    "{}://user:{}/name",
    "{}://host/name?password={}",
    "{}//user:{}@host",
    "user:{1}@host",
    "//user:{1}@host",
]


@pytest.mark.parametrize("url", LEAKY_URLS)
def test_no_error_shows_a_password_of_a_url(farm: Path, url: str) -> None:
    """Also where the URL is so broken that nobody can tell which part the password is."""
    texts = [
        text
        for password in ("hunter", "hun:ter", "hun@ter", "hun/ter", "hun?ter", "hun#ter")
        for name, table in tables_with(url, password).items()
        for text in texts_of(farm, farm_with({name: table}))
    ]
    assert len(texts) >= 24
    assert not [text for text in texts if "hun" in text.replace(str(farm), "")]


def tables_with(url: str, password: str) -> Document:
    return {
        "databases": {"status": {"url": url.format("mysql", password)}},
        "broker": {"url": url.format("amqp", password)},
        "web": {"allowed_origins": [url.format("https", password)]},
        # the query of a document's URL is no secret
        "directory": {"branches": url.partition("?")[0].format("https", password)},
    }


def texts_of(folder: Path, document: Document) -> list[str]:
    try:
        return [repr(read(folder, document))]
    except ConfigError as e:
        return [str(e), "".join(traceback.format_exception(e))]


def test_no_text_of_a_configuration_shows_a_password(farm: Path) -> None:
    document = farm_with(
        {
            "broker": {"url": "amqp://u@h/v", "password": "hunter1"},
            "databases": {
                "status": {"url": "mysql://u:hunter2@h/n"},
                "jobs": {"url": "mysql://u@h/n", "password_env": "PW"},
            },
            "agent": {"master_username": "u", "master_password": "hunter4"},
        }
    )
    config = read(farm, document, {"PW": "hunter3"})
    texts = [repr(config), str(config), str(attrs.asdict(config)), " ".join(config.warnings)]
    assert not [text for text in texts if "hunter" in text]
    secrets = [
        config.broker.password,
        config.databases.jobs.password,
        config.databases.status.password,
        config.agent.master_password,
    ]
    assert [revealed(s) for s in secrets] == ["hunter1", "hunter3", "hunter2", "hunter4"]
