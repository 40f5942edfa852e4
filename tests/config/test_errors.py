"""Every error of a configuration, in its exact words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from buildapi.config import load
from buildapi.errors import ConfigError
from tests.config.documents import FARM, PASSWORD, Document, farm_with, read, refused

ENDPOINT = 'must be a Twisted server endpoint such as "tcp:8010:interface=127.0.0.1"'
ORIGIN = 'must be an origin such as "https://ci.example.org" or "http://localhost:8080", never "*"'
PROXY = 'must be an IP address, a network such as "10.1.0.0/16", or "unix"'
MYSQL = 'must be "mysql://USER@HOST:PORT/NAME", optionally with "?unix_socket=PATH"'
BROKER = 'must be "embedded:" or "amqp://USER@HOST:PORT/VHOST" (or amqps)'
QUEUE = 'must be a name of letters, digits and "_.:-", not beginning with "amq."'
ZONE = 'must be an IANA time zone such as "America/Los_Angeles"'
DOCUMENT = "must be a file or an http(s) URL without user name and password"

WRONG_VALUES = [
    ("service.roles", "api", '"api"', "must be a list in square brackets"),
    ("service.roles", [], "a list", "must be a list with at least 1 item"),
    ("service.roles", ["apt"], '"apt"', 'must be "api" or "agent"'),
    ("service.roles", ["api", 5], "5", 'must be "api" or "agent"'),
    ("service.roles", ["api", "api"], '"api"', "must be listed only once"),
    ("service.data", "", '""', "must be a path"),
    ("service.data", 7, "7", "must be a string in quotes"),
    ("service.data", "b\n", r'"b\n"', "must be at most 1000 printable characters"),
    ("service.data", "ca.pem", '"ca.pem"', "must be a folder, not an existing file"),
    ("service.drain_seconds", -1, "-1", "must be a number of seconds from 0 to 600"),
    ("service.drain_seconds", "1", '"1"', "must be a number of seconds from 0 to 600"),
    ("service.drain_seconds", True, "true", "must be a number of seconds from 0 to 600"),
    ("service.drain_seconds", float("nan"), "nan", "must be a number of seconds from 0 to 600"),
    ("web.listen", [], "a list", "must be a list with at least 1 item"),
    ("web.listen", [8010], "8010", "must be a string in quotes"),
    ("web.listen", ["8010"], '"8010"', f"{ENDPOINT} (Unknown endpoint type: '8010')"),
    ("web.listen", ["tcp:65536"], '"tcp:65536"', f"{ENDPOINT} (the port must be at most 65535)"),
    ("web.listen", ["tcp:-1"], '"tcp:-1"', f"{ENDPOINT} (the port must be at most 65535)"),
    ("web.listen", ["stdio:"], '"stdio:"', f"{ENDPOINT} (standard input cannot serve HTTP)"),
    (
        "web.listen",
        ["systemd:domain=INET"],
        '"systemd:domain=INET"',
        f"{ENDPOINT} (systemd needs a domain, and either a name or an index)",
    ),
    ("web.prefix", "buildapi", '"buildapi"', 'must be empty or a path such as "/buildapi"'),
    ("web.prefix", "/a/", '"/a/"', 'must be empty or a path such as "/buildapi"'),
    ("web.trusted_proxies", ["proxy"], '"proxy"', PROXY),
    ("web.trusted_proxies", ["10.0.0.1/8"], '"10.0.0.1/8"', PROXY),
    ("web.trusted_proxies", ["::1", "::1/128"], '"::1/128"', "must be listed only once"),
    ("web.user_header", "", '""', 'must be a header name such as "X-Remote-User"'),
    ("web.user_header", "X User", '"X User"', 'must be a header name such as "X-Remote-User"'),
    ("web.allowed_origins", ["*"], '"*"', ORIGIN),
    ("web.allowed_origins", ["https://h/x"], '"https://h/x"', ORIGIN),
    ("web.timezone", "Mars/Olympus", '"Mars/Olympus"', ZONE),
    ("web.timezone", "/etc/localtime", '"/etc/localtime"', ZONE),
    ("web.timezone", "America", '"America"', ZONE),
    ("web.max_body", 2.5, "2.5", "must be a whole number from 1024 to 67108864"),
    ("web.max_body", True, "true", "must be a whole number from 1024 to 67108864"),
    ("web.access_log", "no/a.log", '"no/a.log"', "must be a file in an existing folder"),
    ("limits.count", 1001, "1001", "must be a whole number from 1 to 1000"),
    ("broker.url", "embedded", '"embedded"', BROKER),
    ("broker.url", "amqp://h/v", '"amqp://h/v"', BROKER),
    ("broker.url", "amqp://u@h:0/v", '"amqp://u@h:0/v"', BROKER),
    (
        "broker.url",
        "amqp://u@h/a/b",
        '"amqp://u@h/a/b"',
        f'{BROKER}, with "/" in the virtual host written as "%2F"',
    ),
    ("broker.exchange", "amq.topic", '"amq.topic"', QUEUE),
    ("broker.queue_type", "stream", '"stream"', 'must be "quorum" or "classic"'),
    (
        "broker.tls_ca",
        "masters.json",
        '"masters.json"',
        "must be a file of certificates in PEM format",
    ),
    ("broker.tls_ca", "no.pem", '"no.pem"', "must be an existing, readable file"),
    (
        "directory.branches",
        "no.json",
        '"no.json"',
        "must be an existing, readable file",
    ),
    ("directory.masters", "ftp://h/m", '"ftp://h/m"', DOCUMENT),
    ("directory.masters", "http://[::1/m", '"http://[::1/m"', DOCUMENT),
    ("directory.stored_branches", 5, "5", "must be a table"),
    (
        "directory.stored_branches",
        {"try": "a"},
        '"a"',
        "must be a list in square brackets (try)",
    ),
    (
        "agent.marker_table",
        "a b",
        '"a b"',
        "must be an SQL identifier of letters, digits and _",
    ),
    ("sample.enabled", "yes", '"yes"', "must be true or false"),
    ("sample.enabled", {}, "a table", "must be true or false"),
    ("sample.seed", None, "a NoneType", "must be a whole number from 0 to 2147483647"),
]


@pytest.mark.parametrize(("where", "value", "spelt", "what"), WRONG_VALUES)
def test_a_wrong_value_is_named_with_what_is_allowed(
    farm: Path, where: str, value: object, spelt: str, what: str
) -> None:
    section, key = where.split(".")
    document = farm_with({section: {key: value}})
    assert refused(farm, document) == f"[{section}] {key} = {spelt}: {what}"


@pytest.mark.parametrize(
    ("url", "spelt", "what"),
    [
        (
            "postgres://h/n",
            '"postgres://h/n"',
            'must be a database such as "sqlite:FILE" or "mysql://USER@HOST:PORT/NAME"',
        ),
        ("", '""', 'must be a database such as "sqlite:FILE" or "mysql://USER@HOST:PORT/NAME"'),
        (
            "sqlite::memory:",
            '"sqlite::memory:"',
            'must be a file such as "sqlite:data/jobs.sqlite"',
        ),
        ("sqlite:data", '"sqlite:data"', "must be a file, not an existing folder"),
        ("mysql://u@h", '"mysql://u@h"', MYSQL),
        ("mysql://h/n", '"mysql://h/n"', MYSQL),
        ("mysql://u@/n", '"mysql://u@/n"', MYSQL),
        ("mysql://u@h/n?charset=utf8", '"mysql://u@h/n?***"', MYSQL),
        ("mysql://u@h:99999/n", '"mysql://u@h:99999/n"', MYSQL),
    ],
)
def test_a_wrong_database_url_is_named(farm: Path, url: str, spelt: str, what: str) -> None:
    document = farm_with({"databases": {"status": {"url": url}}})
    assert refused(farm, document) == f"[databases.status] url = {spelt}: {what}"


WRONG_STRUCTURE = [
    ({"wbe": {}}, "wbe: unknown section; did you mean web?"),
    (
        {"xyzzy": 1},
        "xyzzy: unknown section; allowed: "
        "service, log, ops, web, access, limits, broker, farm, directory, builders, changes,"
        " clobber, agent, reports, dumps, sample, databases",
    ),
    ({"web": {"listne": []}}, "[web] listne: unknown key; did you mean listen?"),
    (
        {"limits": {"q\n": 1}},
        r"[limits] q\n: unknown key; allowed: count, jobs_page, list_rows, listeners,"
        " listeners_per_user, listeners_per_address, builds_per_request, builds_per_user_hour,"
        " reads_per_minute, jobs_per_minute, requests_in_flight, requests_per_address,"
        " unread_bytes, unread_bytes_total",
    ),
    (
        {"agent": {"pasword": PASSWORD}},
        "[agent] pasword: unknown key; did you mean master_password?",
    ),
    ({"limits": 5}, "[limits] is 5: must be a table"),
    ({"limits": [{}]}, "[limits] is a list: must be a table"),
    ({"databases": "x"}, '[databases] is "x": must be a table'),
    ({"databases": {"jobs": 1}}, "[databases.jobs] is 1: must be a table"),
    (
        {"databases": {"schedular": {}}},
        "[databases] schedular: unknown section; did you mean scheduler?",
    ),
    (
        {"databases": {"scheduler_replica": {"pool": 2}}},
        '[databases.scheduler_replica] url = "":'
        ' must be a database such as "sqlite:FILE" or "mysql://USER@HOST:PORT/NAME"',
    ),
]


@pytest.mark.parametrize(("document", "error"), WRONG_STRUCTURE)
def test_what_is_unknown_or_no_table_is_named(farm: Path, document: Document, error: str) -> None:
    assert refused(farm, farm_with(document)) == error


AMQP = {"url": "amqp://u:p@h/v"}
WRONG_TOGETHER = [
    (
        {"sample": {"enabled": True}, "databases": {"scheduler": {"url": "mysql://u@h/n"}}},
        (
            '[databases.scheduler] url = "mysql://u@h/n": must be an SQLite file if [sample]'
            " enabled = true"
        ),
    ),
    (
        {"directory": {"branches": ""}},
        '[directory] branches = "": must be a file or an http(s) URL',
    ),
    ({"directory": {"masters": ""}}, '[directory] masters = "": must be a file or an http(s) URL'),
    (
        {"databases": {"scheduler": {"url": "sqlite:/no/s.sqlite"}}},
        '[databases.scheduler] url = "sqlite:/no/s.sqlite": must be an existing file',
    ),
    (
        {"databases": {"scheduler_replica": {"url": "sqlite:/no/r.sqlite"}}},
        '[databases.scheduler_replica] url = "sqlite:/no/r.sqlite": must be an existing file',
    ),
    (
        {"databases": {"jobs": {"password": PASSWORD}}},
        "[databases.jobs] password: must not be set for an SQLite file",
    ),
    (
        {"databases": {"jobs": {"tls_ca": "ca.pem"}}},
        "[databases.jobs] tls_ca: must not be set for an SQLite file",
    ),
    (
        {"broker": {"password": PASSWORD}},
        "[broker] password: must not be set for a broker of kind embedded",
    ),
    (
        {"broker": AMQP | {"tls_ca": "ca.pem"}},
        "[broker] tls_ca: must not be set for a broker of kind amqp",
    ),
    (
        {"broker": {"url": "amqp://u@h/v"}},
        "[broker] password: must be set for AMQP (or password_file, or password_env)",
    ),
    (
        {"broker": {"web_queue": "q", "agent_queue": "q"}},
        '[broker] web_queue = "q": must differ from agent_queue'
        " and from the queues of dead letters, which end in .dead",
    ),
    (
        {"broker": {"web_queue": "q.dead", "agent_queue": "q"}},
        '[broker] web_queue = "q.dead": must differ from agent_queue'
        " and from the queues of dead letters, which end in .dead",
    ),
    (
        {"broker": {"web_queue": "q", "agent_queue": "q.dead"}},
        '[broker] web_queue = "q": must differ from agent_queue'
        " and from the queues of dead letters, which end in .dead",
    ),
    (
        {"service": {"roles": ["api"]}},
        '[broker] url = "embedded:": must be an amqp URL'
        ' unless [service] roles has both "api" and "agent"',
    ),
    (
        {"agent": {"master_password": PASSWORD}},
        '[agent] master_username = "": must be set if master_password is set',
    ),
    (
        {"clobber": {"token": PASSWORD}},
        '[clobber] url = "": must be set if token is set',
    ),
    (
        {"web": {"development_user": "me", "listen": ["tcp:80"]}},
        '[web] listen = "tcp:80": must be on a loopback interface if development_user is set',
    ),
    (
        {"broker": {"publish_seconds": 6}},
        "[broker] publish_seconds = 6.0: must be at most answer_seconds of [web], which is 5.0",
    ),
    (
        {"agent": {"pokes": 3}},
        "[agent] pokes_per_master = 20: must be at most pokes of [agent], which is 3",
    ),
    (
        {"directory": {"refresh_seconds": 5}},
        (
            "[directory] timeout_seconds = 10.0: must be at most refresh_seconds of [directory],"
            " which is 5.0"
        ),
    ),
]


@pytest.mark.parametrize(("document", "error"), WRONG_TOGETHER)
def test_values_that_do_not_go_together_are_named(
    farm: Path, document: Document, error: str
) -> None:
    assert refused(farm, farm_with(document)) == error


def test_an_api_host_needs_no_masters(farm: Path) -> None:
    document = {"service": {"roles": ["api"]}, "directory": {"masters": ""}, "broker": AMQP}
    assert read(farm, farm_with(document)).directory.masters is None


def test_databases_we_write_must_be_writable(farm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root may write everything, so the answer of the system is replaced."""
    monkeypatch.setattr(os, "access", lambda path, mode: mode == os.R_OK)
    assert refused(farm, FARM).endswith("must be a writable file")


def test_all_errors_are_reported_at_once(farm: Path) -> None:
    document = {
        "wbe": {},
        "web": {"prefix": "x", "idle_seconds": 0},
        "limits": {"count": 0, "cuont": 1},
        "databases": {"jobs": {"pool": 0}, "status": {"url": "x"}},
    }
    assert [line.split(":")[0] for line in refused(farm, document).split("\n")] == [
        "wbe",
        '[web] prefix = "x"',
        "[web] idle_seconds = 0",
        "[limits] cuont",
        "[limits] count = 0",
        "[databases.jobs] pool = 0",
        '[databases.status] url = "x"',
    ]


def test_a_number_too_long_to_print_is_refused_all_the_same(farm: Path) -> None:
    document = farm_with({"service": {"drain_seconds": 16**9999}})
    assert refused(farm, document) == (
        "[service] drain_seconds = a huge number: must be a number of seconds from 0 to 600"
    )


def test_long_values_are_cut(farm: Path) -> None:
    document = farm_with({"web": {"prefix": "x" * 500}})
    assert f'"{"x" * 80}...": must' in refused(farm, document)


# --- the file -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (b"[web]\nprefix = /x\n", "line 2: not TOML: Invalid value"),
        (b"[web]\nlisten = [\n\n", "line 2: not TOML: Invalid value"),
        (b'[web]\nprefix = ""\nprefix = ""\n', "line 3: not TOML: Cannot overwrite a value"),
        (b"[web]\n[web]\n", "line 2: not TOML: Cannot declare ('web',) twice"),
        (b"[web]\n# \xff\n", "line 2: not UTF-8 text"),
    ],
)
def test_a_file_that_is_no_toml_is_named_with_the_line(
    tmp_path: Path, content: bytes, error: str
) -> None:
    (tmp_path / "b.toml").write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "b.toml", {})
    assert str(caught.value) == f"{tmp_path}/b.toml: {error}"


@pytest.mark.parametrize("content", ["a = " + "[" * 100_000, "a = " + "9" * 5000])
def test_a_file_past_the_limits_of_the_parser_is_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "b.toml").write_text(content)
    with pytest.raises(ConfigError, match=r"b\.toml: not TOML: |b\.toml: line 1: not TOML: "):
        load(tmp_path / "b.toml", {})


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "no.toml", {})
    assert str(caught.value) == f"{tmp_path}/no.toml: cannot read it: No such file or directory"
    with pytest.raises(ConfigError, match=r": cannot read it: Is a directory$"):
        load(tmp_path, {})


def test_a_long_path_is_told_whole(tmp_path: Path) -> None:
    file = tmp_path / ("x" * 100) / "b.toml"
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert str(caught.value).startswith(f"{file}: cannot read it")
