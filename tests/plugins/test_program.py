"""The program itself, against a healthy service and against every kind of broken one."""

from __future__ import annotations

import ast
import socket
import sys
import threading
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest

import buildapi
from tests.plugins.answering import PATHS, Answering, Page, answering, drip, healthy
from tests.plugins.running import KINDS, PLUGIN, ROOT, run, run_line, run_process
from tests.services.certificates import Certificates

STATUS_KINDS = tuple(kind for kind in KINDS if kind != "http")
HTML = Page(b"<!DOCTYPE html><title>Log in</title>", kind="text/html")


@pytest.mark.parametrize("kind", KINDS)
def test_a_healthy_service_is_ok(service: Answering, kind: str) -> None:
    done = run(kind, "--url", service.url).check(kind)
    assert done.code == 0, done
    assert done.values


def test_the_program_of_a_checkout_says_the_same(service: Answering) -> None:
    done = run_process("db", "--url", service.url).check("db")
    assert done == run("db", "--url", service.url)


@pytest.mark.parametrize("kind", KINDS)
def test_the_installed_command_says_the_same(service: Answering, kind: str) -> None:
    plugin = Path(sys.executable).with_name(PLUGIN.name)
    installed = run_process(kind, "--url", service.url, plugin=plugin)
    assert installed.check(kind).code == 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_connection_is_critical_to_http_and_unknown_to_the_rest(kind: str) -> None:
    with socket.socket() as bound:  # bound and not listening: nobody else gets the port
        bound.bind(("127.0.0.1", 0))
        done = run(kind, "--url", f"http://127.0.0.1:{bound.getsockname()[1]}").check(kind)
    assert done.code == (2 if kind == "http" else 3)
    assert "Connection refused" in done.line
    assert not done.values


BROKEN = {
    "500": (Page.of({"status": "FAILED", "msg": "incident 4f2a"}, 500), "500", "incident 4f2a"),
    "503": (Page.of({"msg": "database is away"}, 503), "503", "database is away"),
    "401 of a proxy": (Page(b"<p>no", 401, "text/html"), "401", "Unauthorized"),
    "302 to a login": (
        Page(b"", 302, headers=(("Location", "http://127.0.0.1:1/"),)),
        "302",
        "Found",
    ),
    "HTML with 200": (HTML, "JSON", ""),
    "not JSON": (Page(b'{"status": "OK"'), "JSON", ""),
    "nothing": (Page(b""), "JSON", ""),
    "binary": (Page(bytes(range(256))), "JSON", ""),
    "depth": (Page(b"[" * 100_000), "JSON", ""),
    "huge": (Page(b" " * (33 * 2**20)), "larger than 32 MiB", ""),
    "broken off": (Page(b"{}", length=1000), "was cut short", ""),
}


@pytest.mark.parametrize("kind", ["http", "jobs"])
@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_answer_is_told(service: Answering, kind: str, case: str) -> None:
    page, *words = BROKEN[case]
    service.every(page)
    done = run(kind, "--url", service.url, "-t", "20").check(kind)
    assert done.code == (2 if kind == "http" else 3), done
    assert all(word in done.line for word in words), done.line


@pytest.mark.parametrize("kind", STATUS_KINDS)
@pytest.mark.parametrize("value", [None, 7, "OK", [], {}, [{}], True], ids=repr)
def test_json_of_another_shape_is_unknown(service: Answering, kind: str, value: object) -> None:
    service.every(Page.of(value))
    done = run(kind, "--url", service.url).check(kind)
    assert done.code == 3
    assert "status" in done.line


@pytest.mark.parametrize("kind", KINDS)
def test_a_service_that_never_ends_its_answer_is_given_up(service: Answering, kind: str) -> None:
    service.every(Page(b"{", length=10_000, then=drip))
    done = run(kind, "--url", service.url, "-t", "1").check(kind)
    assert done.code == (2 if kind == "http" else 3)
    assert "no answer within 1 s" in done.line


def test_a_service_that_accepts_and_says_nothing_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = run_process("db", "--url", url, "-t", "1").check("db")
    assert done.code == 3
    assert "no answer within 1 s" in done.line


def test_no_http_at_all_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:

        def greet() -> None:
            with other.accept()[0] as connection:
                connection.recv(1000)
                connection.sendall(b"SSH-2.0-OpenSSH_9\r\n")

        thread = threading.Thread(target=greet)
        thread.start()
        done = run("db", "--url", f"http://127.0.0.1:{other.getsockname()[1]}").check("db")
        thread.join()
    assert done.code == 3


def test_texts_of_the_service_can_do_nothing_to_a_terminal_or_to_perfdata(
    service: Answering,
) -> None:
    document = healthy()
    evil = "x\x1b[2J|a=1;;;\r\nOK - \u202egood \ud800"
    document["farm"]["pools"][0]["name"] = evil
    service.status(document)
    done = run("pending", "--url", service.url).check("pending")
    assert done.code == 0
    assert "pool x?[2J/a=1;;; OK - ?good ? has 300" in done.line


def test_an_old_locale_does_not_keep_the_line_from_being_printed(service: Answering) -> None:
    document = healthy()
    document["farm"]["pools"][0]["name"] = "lin\u00fcx"
    service.status(document)
    done = run_process(
        "pending", "--url", service.url, PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C"
    )
    assert "pool lin?x has 300" in done.check("pending").line


def test_a_long_text_is_cut(service: Answering) -> None:
    document = healthy()
    document["farm"]["error"] = "no " * 100_000
    service.status(document)
    done = run("pending", "--url", service.url).check("pending")
    assert done.code == 3
    assert len(done.line) < 300


@pytest.mark.parametrize("kind", KINDS)
def test_verbose_adds_lines_and_keeps_the_first(service: Answering, kind: str) -> None:
    quiet = run(kind, "--url", service.url)
    done = run(kind, "--url", service.url, "-v")
    first, *_, last = done.output.splitlines()
    assert done.code == 0
    assert last.startswith("| ")
    if kind != "http":  # whose time differs
        assert first == quiet.line
        assert last.partition("|")[2].split() == quiet.output.partition("|")[2].split()


def test_verbose_tells_which_threshold_is_passed(service: Answering) -> None:
    done = run("pending", "--url", service.url, "-w", "10:20", "-vv")
    assert done.code == 1
    assert done.output.splitlines()[1] == "pending is 300, outside range 10:20"
    assert "pool mac has 12 pending requests" in done.output


def test_verbose_shows_no_traceback(service: Answering) -> None:
    service.every(Page(b"{", length=10_000, then=drip))
    done = run_process("db", "--url", service.url, "-t", "1", "-vvv")
    assert done.code == 3
    assert "Traceback" not in done.output + done.errors


# --- command line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "CHECK"),
        (("nope",), "invalid choice"),
        (("pending", "-w", "many"), "--warning"),
        (("pending", "-w", "20:10"), "10:20 (10 to 20)"),
        (("pending", "-w", "1:2:3"), "expected a range such as"),
        (("pending", "-c", ""), "expected a range such as"),
        (("pending", "-c", "@"), "expected a range such as"),
        (("pending", "-t", "0"), "out of range (expected 1 to 600)"),
        (("pending", "-t", "1.5"), "whole number"),
        (("pending", "--url", "ftp://h"), "http://"),
        (("pending", "--url", "file:///etc/passwd"), "http://"),
        (("pending", "--url", "http://"), "name of a host"),
        (("pending", "--url", "http://h:99999"), "not a valid URL"),
        (("pending", "--url", "http://h/?a=b"), "a query, a fragment"),
        (("pending", "--url", "http://ann:secret@h"), "--user-file"),
        (("pending", "--ca", "x.pem"), "--ca needs"),
        (("pending", "--token-file", "a", "--user-file", "b"), "not allowed with"),
        (("queue", "-w", "1"), "unrecognized arguments"),
        (("queue", "--queue", "other"), "invalid choice"),
        (("jobs", "--minutes", "0"), "out of range (expected 1 to"),
        (("http", "--path", "branches"), "starts with /"),
        (("http", "--path", "/a b"), "no spaces"),
        (("http", "--status", "999"), "out of range (expected 100 to 599)"),
    ],
)
def test_a_wrong_command_line_is_unknown_in_one_line(
    arguments: tuple[str, ...], words: str
) -> None:
    kinds = [a for a in arguments[:1] if a in KINDS]
    done = run(*arguments)
    name = done.line.split(" ")[0]
    assert name in {"BUILDAPI", *(kind.upper() for kind in kinds)}
    assert words in done.check(name).line
    assert done.code == 3
    assert "secret" not in done.output


@pytest.mark.parametrize("kind", KINDS)
def test_help_names_thresholds_with_their_defaults(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    done = run(kind, "--help")
    assert done.code == 3  # as the guidelines have it: nothing was checked
    assert "RANGE" in done.output
    assert "default:" in done.output
    assert "Exit codes:" in done.output
    assert done.errors == ""


def test_version() -> None:
    assert run_process("-V").output == f"check_buildapi {buildapi.__version__}\n"
    assert run("db", "-V").output == f"check_buildapi {buildapi.__version__}\n"


# --- who we are, and whom we trust


def test_a_token_comes_from_a_file(service: Answering, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("bapi_abc123\n")
    assert run("db", "--url", service.url, "--token-file", str(tmp_path / "token")).code == 0
    assert service.requests[-1][1]["Authorization"] == "Bearer bapi_abc123"


def test_name_and_password_come_from_a_file(service: Answering, tmp_path: Path) -> None:
    (tmp_path / "user").write_text("nagios:s3cr:et\n")
    assert run("jobs", "--url", service.url, "--user-file", str(tmp_path / "user")).code == 0
    assert [headers["Authorization"] for _, headers in service.requests] == [
        "Basic bmFnaW9zOnMzY3I6ZXQ="
    ] * 2


@pytest.mark.parametrize(
    ("option", "contents"),
    [
        ("--token-file", None),
        ("--token-file", b""),
        ("--token-file", b"secret one"),
        ("--token-file", b"secret\nsecret"),
        ("--token-file", b"secret\xff"),
        ("--user-file", b"secret"),
        ("--user-file", b":secret"),
    ],
)
def test_a_file_that_holds_no_secret_is_unknown_and_not_shown(
    service: Answering, tmp_path: Path, option: str, contents: bytes | None
) -> None:
    if contents is not None:
        (tmp_path / "file").write_bytes(contents)
    done = run("http", "--url", service.url, option, str(tmp_path / "file")).check("http")
    assert done.code == 3
    assert "secret" not in done.output
    assert not service.requests


def test_a_redirect_gets_no_secret(service: Answering, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("bapi_abc123")
    to = (("Location", f"{service.url}/elsewhere"),)
    service.every(Page(b"", 302, headers=to))
    assert run("db", "--url", service.url, "--token-file", str(tmp_path / "token")).code == 3
    assert [target for target, _ in service.requests] == ["/status?format=json"]


def test_proxies_of_the_environment_are_used_only_when_asked(service: Answering) -> None:
    with socket.socket() as dead:
        dead.bind(("127.0.0.1", 0))
        proxy = f"http://127.0.0.1:{dead.getsockname()[1]}"
        assert run_process("db", "--url", service.url, http_proxy=proxy, no_proxy="").code == 0
        asked = ("db", "--url", service.url, "--proxy-from-environment")
        assert run_process(*asked, http_proxy=proxy, no_proxy="", NO_PROXY="").code == 3


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Answering, Path]]:
    folder = tmp_path_factory.mktemp("tls")
    Certificates.make().write(folder)
    with answering(folder) as service:
        yield service, folder


def test_a_certificate_is_verified(tls: tuple[Answering, Path]) -> None:
    service, folder = tls
    trusted = run("db", "--url", service.url, "--ca", str(folder / "ca.pem")).check("db")
    assert trusted.code == 0, trusted
    for kind, code in (("db", 3), ("http", 2)):
        done = run(kind, "--url", service.url).check(kind)
        assert done.code == code
        assert "certificate is not trusted" in done.line


def test_a_file_without_certificates_is_unknown(tls: tuple[Answering, Path]) -> None:
    service, folder = tls
    for name in ("nowhere.pem", "server.key"):
        done = run("http", "--url", service.url, "--ca", str(folder / name)).check("http")
        assert done.code == 3
        assert name in done.line


# --- what it asks, and what it needs


def test_what_is_asked(service: Answering) -> None:
    run("jobs", "--url", f"{service.url}/", "--minutes", "30")
    targets = [target for target, _ in service.requests]
    since = healthy()["now"] - 1800 - 86_400
    assert targets == [
        "/status?format=json",
        f"/self-serve/jobs?state=failed&since={since}&num=1000&format=json",
    ]
    assert service.requests[0][1]["User-Agent"] == f"check_buildapi/{buildapi.__version__}"


def test_a_mount_prefix_is_part_of_the_address(service: Answering) -> None:
    service.pages = {f"/buildapi{path}": service.pages[path] for path in PATHS}
    assert run("jobs", "--url", f"{service.url}/buildapi").check("jobs").code == 0


def test_its_code_needs_the_standard_library_and_nagiosplugin_alone() -> None:
    allowed = {*sys.stdlib_module_names, "nagiosplugin", "buildapi"}
    for path in (*(ROOT / "buildapi" / "nagios").glob("*.py"), PLUGIN):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            assert {name.partition(".")[0] for name in names} <= allowed, path


def test_without_the_library_it_says_what_to_install(tmp_path: Path) -> None:
    venv.create(tmp_path / "bare")
    done = run_line(f"{tmp_path}/bare/bin/python {PLUGIN} db")
    assert done.check("buildapi").code == 3
    assert "pip install 'buildapi[nagios]'" in done.line
