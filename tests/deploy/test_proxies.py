"""The samples for nginx and Apache, as real servers in front of two processes, with real LDAP."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
import urllib.parse
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import pytest

from buildapi.web.http.auth import GroupsHeader
from tests.deploy.samples import sample
from tests.deploy.upstream import Upstream, upstream
from tests.e2e.service import configured
from tests.services.certificates import Certificates
from tests.services.proxies import GROUPS, PEOPLE, group, start_apache, start_ldap, start_nginx
from tests.services.rabbitmq import free_ports

ARLA, JOSE, SUE, NINA = PEOPLE
Headers = Sequence[tuple[str, str]]


@attrs.frozen
class Proxy:
    """A proxy with TLS in front of two ports."""

    port: int
    backends: tuple[int, int]
    context: ssl.SSLContext

    def ask(
        self, method: str, path: str, headers: Headers = (), body: bytes | None = None
    ) -> tuple[http.client.HTTPResponse, bytes]:
        """Send one request with exactly these headers beside those it must have."""
        connection = self.connect()
        try:
            answer = self.begin(connection, method, path, headers, body)
            return answer, answer.read()
        finally:
            connection.close()

    def connect(self) -> http.client.HTTPSConnection:
        return http.client.HTTPSConnection(
            "localhost", self.port, timeout=120, context=self.context
        )

    def begin(
        self,
        connection: http.client.HTTPSConnection,
        method: str,
        path: str,
        headers: Headers = (),
        body: bytes | None = None,
    ) -> http.client.HTTPResponse:
        connection.putrequest(method, path)
        for name, value in headers:
            connection.putheader(name, value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        return connection.getresponse()


def login(who: str = ARLA, password: str | None = None) -> tuple[str, str]:
    """Return the header of a password."""
    secret = PEOPLE[who] if password is None else password
    return "Authorization", f"Basic {base64.b64encode(f'{who}:{secret}'.encode()).decode()}"


TOKEN = ("Authorization", "Bearer bapi_x")
FORGED = (
    ("X-Remote-User", "root@example.org"),
    ("x-remote-USER", "root@example.org"),
    ("X_Remote_User", "root@example.org"),
    ("X-Remote_User", "root@example.org"),
    ("x_remote-user", "root@example.org"),
)
FORGED_GROUPS = (
    ("X-Remote-Groups", group("sheriffs")),
    ("x-remote-GROUPS", group("sheriffs")),
    ("X_Remote_Groups", group("sheriffs")),
    ("X-Remote_Groups", group("sheriffs")),
    ("x_remote-groups", group("sheriffs")),
    # what the login of nginx is answered with
    ("X-Auth-Request-Groups", group("sheriffs")),
    ("X-Auth-Request-Email", "root@example.org"),
)


@pytest.fixture(scope="module")
def ldap() -> Iterator[int]:
    (port,) = free_ports(1)
    server = start_ldap(port)
    yield port
    server.stop()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    Certificates.make().write(folder)
    return folder


LDAP = "ldap://ldap.example.org/"
INSIDE = {
    "nginx": ("allow 127.0.0.1;", "allow 10.9.9.9;"),
    "apache": ("Require ip 127.0.0.0/8 ::1", "Require ip 10.9.9.9"),
}


@pytest.fixture(
    scope="module",
    params=[
        pytest.param("nginx", marks=[pytest.mark.nginx, pytest.mark.apache]),
        pytest.param("apache", marks=pytest.mark.apache),
    ],
)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def run(stack: ExitStack, kind: str, ldap: int, tls: Path, changes: dict[str, str]) -> Proxy:
    """Run a proxy on ports of its own."""
    first, second, plain, secure, helper = free_ports(5)
    common = {
        "127.0.0.1:8011": f"127.0.0.1:{first}",
        "127.0.0.1:8012": f"127.0.0.1:{second}",
        "/etc/ssl/certs/buildapi.pem": f"{tls}/server.pem",
        "/etc/ssl/private/buildapi.key": f"{tls}/server.key",
        "buildapi.example.org": "localhost",
        **changes,
    }
    login = {LDAP: f"ldap://127.0.0.1:{ldap}/", '" STARTTLS': '"'}
    if kind == "nginx":
        at = {"127.0.0.1:8020": f"127.0.0.1:{helper}"}
        check = sample("apache/ldap-check.conf", {**login, **at})
        stack.callback(start_apache(check, helper).stop)
        listen = {"listen 80;": f"listen 127.0.0.1:{plain};"}
        listen |= {"listen 443 ssl;": f"listen 127.0.0.1:{secure} ssl;"}
        site = sample("nginx/buildapi.conf", {**common, **at, **listen})
        stack.callback(start_nginx(site, secure).stop)
    else:
        listen = {"*:80>": f"127.0.0.1:{plain}>", "*:443>": f"127.0.0.1:{secure}>"}
        site = sample("apache/buildapi.conf", {**common, **login, **listen})
        stack.callback(start_apache(site, secure, [plain, secure]).stop)
    return Proxy(secure, (first, second), context(tls))


def context(tls: Path) -> ssl.SSLContext:
    """Return a context that trusts the proxy's certificate."""
    return ssl.create_default_context(cafile=str(tls / "ca.pem"))


@pytest.fixture(scope="module")
def proxy(kind: str, ldap: int, certificates: Path) -> Iterator[Proxy]:
    with ExitStack() as stack:
        yield run(stack, kind, ldap, certificates, {})


@pytest.fixture
def backends(proxy: Proxy) -> Iterator[tuple[Upstream, Upstream]]:
    first, second = proxy.backends
    with upstream(first) as one, upstream(second) as two:
        yield one, two


def sent(backends: tuple[Upstream, Upstream]) -> list[Any]:
    return [*backends[0].sent, *backends[1].sent]


def test_who_logs_in_is_named(proxy: Proxy, backends: tuple[Upstream, Upstream]) -> None:
    for who in PEOPLE:
        answer, _ = proxy.ask("GET", "/self-serve", [login(who)])
        assert answer.status == 200
    names = {tuple(request.all("X-Remote-User")) for request in sent(backends)}
    assert {name.encode("latin-1").decode() for (name,) in names} == set(PEOPLE)
    assert all(request.all("Authorization") == [] for request in sent(backends))


def test_the_groups_of_who_logs_in_are_listed(
    proxy: Proxy, backends: tuple[Upstream, Upstream]
) -> None:
    listed = {}
    for who in PEOPLE:
        assert proxy.ask("GET", "/self-serve", [login(who)])[0].status == 200
    for request in sent(backends):
        (name,) = (text.encode("latin-1").decode() for text in request.all("X-Remote-User"))
        listed[name] = [v.encode("latin-1") for v in request.all("X-Remote-Groups")]
    # The service reads them as it does behind these proxies.
    header = GroupsHeader("X-Remote-Groups", ";")
    groups = {who: header.groups(values) for who, values in listed.items()}
    assert groups == {who: {group(name) for name in names} for who, names in GROUPS.items()}
    # Who is in none sends none, not an empty header.
    assert listed[NINA] == []


@pytest.mark.parametrize("path", ["/self-serve", "/self-serve/events", "/metrics"])
def test_nobody_joins_a_group_by_himself(
    proxy: Proxy, backends: tuple[Upstream, Upstream], path: str
) -> None:
    """For one who has groups, one who has none, and one who only has a token."""
    ways = ((login(), [group("scm_level_1")]), (login(NINA), []), (TOKEN, []))
    for backend in backends:
        backend.go_on.set()
    for forged in (*([name] for name in FORGED_GROUPS), FORGED_GROUPS):
        for way, groups in ways:
            named = [("Connection", "close, X-Remote-Groups"), *forged, way]
            for headers in ([*forged, way], [way, *forged], named):
                assert proxy.ask("GET", path, headers)[0].status == 200
                expected = [] if path == "/metrics" else groups
                assert [request.all("X-Remote-Groups") for request in sent(backends)] == [expected]
                for backend in backends:
                    backend.sent.clear()


def test_groups_without_a_login_do_not_come_through(
    proxy: Proxy, backends: tuple[Upstream, Upstream]
) -> None:
    for path in ("/self-serve", "/self-serve/events", "/"):
        answer, _ = proxy.ask("GET", path, FORGED_GROUPS)
        assert answer.status == 401
    asks = [("Origin", "https://x.example.org"), ("Access-Control-Request-Method", "PUT")]
    assert sent(backends) == []
    assert proxy.ask("OPTIONS", "/self-serve/x", [*asks, *FORGED_GROUPS])[0].status == 200
    assert [r.all("X-Remote-Groups") for r in sent(backends)] == [[]]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [login(password="wrong")],
        [login(password="")],
        [("Authorization", "Basic x")],
        [("Authorization", "Digest Bearer x")],
        [("X-Remote-User", ARLA)],
    ],
)
def test_who_does_not_log_in_comes_no_further(
    proxy: Proxy, backends: tuple[Upstream, Upstream], headers: Headers
) -> None:
    for path in ("/self-serve", "/self-serve/events", "/", "/self-serve/jobs?x=/metrics"):
        answer, _ = proxy.ask("GET", path, headers)
        assert answer.status == 401
        assert answer.getheader("WWW-Authenticate", "").startswith("Basic ")
    assert sent(backends) == []


def test_browsers_may_ask_what_pages_of_others_may_do(
    proxy: Proxy, backends: tuple[Upstream, Upstream]
) -> None:
    asks = [
        ("Origin", "https://sheriffs.example.org"),
        ("Access-Control-Request-Method", "PUT"),
        ("X-Remote-User", "mallory@example.org"),
    ]
    assert proxy.ask("OPTIONS", "/self-serve/try/request/1", asks)[0].status == 200
    assert [r.all("X-Remote-User") for r in sent(backends)] == [[]]


def test_a_token_passes_without_a_name(proxy: Proxy, backends: tuple[Upstream, Upstream]) -> None:
    for scheme in ("Bearer", "bearer"):
        header = ("Authorization", f"{scheme} bapi_x")
        assert proxy.ask("GET", "/self-serve", [header])[0].status == 200
    assert {tuple(r.all("Authorization")) for r in sent(backends)} == {
        ("Bearer bapi_x",),
        ("bearer bapi_x",),
    }
    assert all(r.all("X-Remote-User") == [] for r in sent(backends))


@pytest.mark.parametrize("path", ["/self-serve", "/self-serve/events"])
@pytest.mark.parametrize(
    "connection",
    [
        ("Authorization",),
        ("authorization, X-Remote-User",),
        ("close", "AUTHORIZATION"),
        ("close, Authorization, Host, X-Request-Id",),
    ],
)
def test_a_client_cannot_have_its_token_left_out_on_the_way(
    proxy: Proxy, backends: tuple[Upstream, Upstream], path: str, connection: tuple[str, ...]
) -> None:
    """Connection: Authorization would have the proxy let it in and the service see nobody."""
    for backend in backends:
        backend.go_on.set()
    named = [("Connection", value) for value in connection]
    proxy.ask("GET", path, [TOKEN, *named])
    assert [r.all("Authorization") for r in sent(backends)] == [[TOKEN[1]]]
    for backend in backends:
        backend.sent.clear()
    proxy.ask("GET", path, [login(), *named])
    assert [r.all("X-Remote-User") for r in sent(backends)] == [[ARLA]]


@pytest.mark.parametrize("path", ["/self-serve", "/self-serve/events", "/metrics"])
def test_nobody_names_himself(proxy: Proxy, backends: tuple[Upstream, Upstream], path: str) -> None:
    backends[0].go_on.set()
    backends[1].go_on.set()
    for forged in (*([name] for name in FORGED), FORGED):
        for way, named in ((login(), [ARLA]), (TOKEN, [])):
            answer, _ = proxy.ask("GET", path, [*forged, way])
            assert answer.status == 200
            expected = [] if path == "/metrics" else named
            found = [request.all("X-Remote-User") for request in sent(backends)]
            assert found == [expected]
            for backend in backends:
                backend.sent.clear()


def test_host_and_request_id_arrive(proxy: Proxy, backends: tuple[Upstream, Upstream]) -> None:
    proxy.ask("GET", "/a%2Fb?c=%2F&d=e+f", [TOKEN, ("X-Request-Id", "my-id.1")])
    (request,) = sent(backends)
    assert request.path == "/a%2Fb?c=%2F&d=e+f"
    assert request.all("Host") == [f"localhost:{proxy.port}"]
    assert request.all("X-Request-Id") == ["my-id.1"]


def test_events_are_passed_on_as_they_come(
    proxy: Proxy, backends: tuple[Upstream, Upstream]
) -> None:
    connection = proxy.connect()
    answer = proxy.begin(connection, "GET", "/self-serve/events", [TOKEN])
    assert answer.readline() == b"data: 1\n"
    for backend in backends:
        backend.go_on.set()
    assert answer.read().endswith(b"data: 2\n\n")
    connection.close()


def test_a_process_that_is_away_fails_no_request(proxy: Proxy) -> None:
    with upstream(proxy.backends[1]) as left:
        for method in ("POST", "GET", "DELETE", "PUT") * 3:
            answer, _ = proxy.ask(method, "/self-serve/x", [TOKEN], b"a=1")
            assert answer.status == 200
    assert len(left.sent) == 12
    assert {request.body for request in left.sent} == {b"a=1"}


def test_a_job_request_is_never_made_twice(
    proxy: Proxy, backends: tuple[Upstream, Upstream]
) -> None:
    """The process dies with the request in hand: a POST is not sent to the other one."""
    for backend in backends:
        backend.breaks = True
    for method in ("POST", "DELETE", "PUT"):
        answer, _ = proxy.ask(method, "/self-serve/x", [TOKEN], b"a=1")
        assert answer.status == 502
        keys = [request.all("Idempotency-Key") for request in sent(backends)]
        once = len(keys) == 1
        assert once or (method != "POST" and keys[0] == keys[1] and len(keys[0]) == 1), keys
        for backend in backends:
            backend.sent.clear()


def test_the_key_of_a_client_is_kept(proxy: Proxy, backends: tuple[Upstream, Upstream]) -> None:
    for method in ("POST", "DELETE"):
        proxy.ask(method, "/self-serve/x", [TOKEN, ("Idempotency-Key", "mine")], b"")
    assert [r.all("Idempotency-Key") for r in sent(backends)] == [["mine"], ["mine"]]


def test_what_watches_the_service_needs_no_password_inside(
    proxy: Proxy, backends: tuple[Upstream, Upstream]
) -> None:
    for path in ("/metrics", "/status", "/healthz", "/readyz"):
        assert proxy.ask("GET", path)[0].status == 200
    assert len(sent(backends)) == 4


def test_what_watches_the_service_is_not_there_outside(
    kind: str, ldap: int, certificates: Path
) -> None:
    with ExitStack() as stack:
        proxy = run(stack, kind, ldap, certificates, dict([INSIDE[kind]]))
        with upstream(proxy.backends[0]) as one, upstream(proxy.backends[1]) as two:
            for path in ("/metrics", "/status", "/healthz", "/%6detrics", "//metrics"):
                for headers in ([], [login()], [TOKEN]):
                    answer, _ = proxy.ask("GET", path, headers)
                    assert answer.status in (401, 403), (path, headers, answer.status)
            assert one.sent == two.sent == []


def test_a_job_is_recorded_in_the_name_of_who_logged_in(
    kind: str, ldap: int, certificates: Path, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        proxy = run(stack, kind, ldap, certificates, {})
        service = configured(
            tmp_path / "service", {"sample": {"enabled": True, "builds": 50, "days": 1}}
        )
        listen = [f"tcp:{port}:interface=127.0.0.1" for port in proxy.backends]
        file = service.folder / "buildapi.toml"
        lines = file.read_text().splitlines()
        safe = f'listen = {json.dumps(listen)}\nreads = "users"'
        changed = [safe if "listen" in li else li for li in lines]
        file.write_text("\n".join(changed))
        stack.callback(service.kill)
        service.up()
        as_json = ("Accept", "application/json")
        _, body = proxy.ask("GET", "/self-serve/mozilla-central", [login(), as_json])
        build = next(b["build_id"] for b in json.loads(body) if "build_id" in b)
        form = urllib.parse.urlencode({"build_id": build}).encode()
        kind_of = ("Content-Type", "application/x-www-form-urlencoded")
        spoofed = ("X-Remote-User", "root@example.org")
        path = "/self-serve/mozilla-central/build"
        answer, body = proxy.ask("POST", path, [login(), spoofed, as_json, kind_of], form)
        assert answer.status == 202, body
        job = json.loads(body)["request_id"]
        _, body = proxy.ask("GET", f"/self-serve/jobs/{job}", [login(), as_json])
        assert json.loads(body)["who"] == ARLA
        answer, _ = proxy.ask("POST", path, [TOKEN, spoofed, as_json, kind_of], form)
        assert answer.status in (401, 403)
        for slip in ([], [("Connection", "Authorization")]):
            answer, body = proxy.ask("GET", "/self-serve/mozilla-central", [TOKEN, as_json, *slip])
            assert (answer.status, json.loads(body)["code"]) == (401, "bad_token")
        assert asked(proxy.backends[0], "/self-serve/mozilla-central") == 403
        assert asked(proxy.backends[0], "/readyz") == 200


def asked(port: int, path: str) -> int:
    """Ask a process itself, as nobody, and give the status."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    finally:
        connection.close()
