from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from buildapi.cli.client_settings import is_private, read_settings
from buildapi.cli.command_error import CommandError

LOCAL = "http://127.0.0.1:8010"


def config(folder: Path, text: str) -> None:
    path = folder / "client.toml"
    path.write_text(text)
    path.chmod(0o600)


def secret(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.write_text(text)
    path.chmod(0o600)


def test_without_anything_it_is_the_local_service() -> None:
    settings = read_settings({})
    assert (settings.url, settings.has_secret) == ("http://localhost:8010", False)


def test_an_option_counts_before_the_environment_and_that_before_the_file(
    own_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config(own_settings, 'url = "https://file.example.org/"')
    assert read_settings({}).url == "https://file.example.org"
    monkeypatch.setenv("BUILDAPI_URL", "https://environment.example.org")
    assert read_settings({}).url == "https://environment.example.org"
    assert read_settings({"url": "https://o.example.org"}).url == "https://o.example.org"


def test_secrets_of_the_file_are_for_its_service_alone(own_settings: Path) -> None:
    config(own_settings, 'url = "https://a.example.org"\ntoken = "bapi_x"')
    assert read_settings({}).token == "bapi_x"
    assert not read_settings({"url": "https://b.example.org"}).has_secret
    assert not read_settings({"url": "https://a.example.org:444"}).has_secret


def test_a_saved_token_is_for_the_service_that_made_it(own_settings: Path) -> None:
    secret(own_settings, "token", "bapi_x https://a.example.org\n")
    assert read_settings({"url": "https://a.example.org"}).token == "bapi_x"
    assert read_settings({"url": "https://b.example.org"}).token is None


def test_a_token_does_not_travel_unencrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDAPI_TOKEN", "bapi_x")
    with pytest.raises(CommandError, match="not encrypted") as refused:
        read_settings({"url": "http://a.example.org"})
    assert refused.value.exit_code == 2
    assert "bapi_x" not in str(refused.value)
    assert read_settings({"url": "http://a.example.org", "insecure_http": True}).token


@pytest.mark.parametrize(
    ("url", "private"),
    [
        ("http://localhost:1", True),
        ("http://127.8.8.8", True),
        ("http://[::1]:8010", True),
        ("https://a.example.org", True),
        ("http://localhost.example.org", False),
        ("http://10.0.0.1", False),
    ],
)
def test_what_counts_as_private(url: str, private: bool) -> None:
    assert is_private(url) is private


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tokn = 'x'", "unknown key tokn (allowed: url, token"),
        ("timeout = '3'", "timeout must be a number"),
        ("timeout = 0", "timeout must be above 0"),
        ("url = 'ftp://x'", "url"),
        ("url = 'http://u:hunter2@x'", "a user or password in the URL"),
        ("token = 'hunter2", "not valid TOML"),
        ("token = " + "[" * 20_000, "not valid TOML"),
        ("token = 'hunter2\\u001b'", "not a token"),
        ("token = 'hunter 2'", "not a token"),
        ("token_file = 3", "token_file must be a text"),
        ("user = 'ann'\npassword_file = 'none'", "No such file"),
    ],
)
def test_a_mistake_in_the_file_is_named_and_no_secret_is(
    own_settings: Path, text: str, words: str
) -> None:
    config(own_settings, text.replace("\\u001b", "\u00e9"))
    with pytest.raises(CommandError) as refused:
        read_settings({})
    assert words in refused.value.message
    assert "hunter" not in refused.value.message
    assert refused.value.exit_code == 2


def test_files_are_beside_the_client_file(own_settings: Path) -> None:
    config(own_settings, 'user = "ann"\npassword_file = "pw"\ntoken_file = "tok"')
    secret(own_settings, "pw", "p w\n")
    secret(own_settings, "tok", "bapi_y\n")
    settings = read_settings({})
    assert (settings.user, settings.password, settings.token) == ("ann", "p w", "bapi_y")
    assert "p w" not in repr(settings)
    assert "bapi_y" not in repr(settings)


def test_a_secret_that_others_can_read_is_named(own_settings: Path, capsys: Any) -> None:
    secret(own_settings, "token", "bapi_x")
    read_settings({"url": LOCAL})
    assert capsys.readouterr().err == ""
    (own_settings / "token").chmod(0o644)
    read_settings({"url": LOCAL})
    assert "readable by other users" in capsys.readouterr().err


JAR = """# Netscape HTTP Cookie File
.example.org\tTRUE\t/\tTRUE\t4000000000\tsession\tabc
other.org\tFALSE\t/\tFALSE\t4000000000\tsession\txyz
"""


def test_a_cookie_comes_from_a_jar_or_a_line(tmp_path: Path) -> None:
    secret(tmp_path, "jar", JAR)
    secret(tmp_path, "line", "s=1\n")
    jar = {"cookie_file": str(tmp_path / "jar"), "url": "https://b.example.org"}
    assert read_settings(jar).cookie == "session=abc"
    line = {"cookie_file": str(tmp_path / "line"), "url": LOCAL}
    assert read_settings(line).cookie == "s=1"
    with pytest.raises(CommandError, match="0 cookies for third"):
        read_settings({**jar, "url": "https://third.org"})
    with pytest.raises(CommandError, match="no cookie t"):
        read_settings({**line, "cookie": "t"})
