"""The sample for oauth2-proxy on a real nginx, with a program that answers as oauth2-proxy does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from buildapi.web.http.auth import GroupsHeader
from tests.deploy.samples import sample
from tests.deploy.test_proxies import FORGED, FORGED_GROUPS, TOKEN, Headers, Proxy, context, sent
from tests.deploy.upstream import Sent, Upstream, upstream
from tests.services.certificates import Certificates
from tests.services.proxies import start_nginx
from tests.services.rabbitmq import free_ports

pytestmark = pytest.mark.nginx

SESSIONS = {"zoe": "zoe@example.org", "nina": "nina@example.org"}
GROUPS = {"zoe": "sheriffs,scm level 3", "nina": ""}
LOGIN = "    # The login; deploy/nginx/oauth2-proxy.conf has another one.\n"


def session(name: str) -> tuple[str, str]:
    return "Cookie", f"a=b; _oauth2_proxy={name}"


@contextmanager
def oauth2_proxy(port: int) -> Iterator[list[Sent]]:
    """Answer logins as oauth2-proxy does with --set-xauthrequest; yield what it was asked."""
    asked: list[Sent] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(Sent("GET", self.path, tuple(self.headers.items()), b""))
            _, _, name = self.headers.get("Cookie", "").partition("_oauth2_proxy=")
            if self.path != "/oauth2/auth":
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"log in")
            elif name not in SESSIONS:
                self.send_response(401)
                self.end_headers()
            else:
                self.send_response(202)
                self.send_header("X-Auth-Request-User", "a number")
                self.send_header("X-Auth-Request-Email", SESSIONS[name])
                if GROUPS[name]:
                    self.send_header("X-Auth-Request-Groups", GROUPS[name])
                self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def helper() -> int:
    (port,) = free_ports(1)
    return port


@pytest.fixture(scope="module")
def proxy(helper: int, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    tls = tmp_path_factory.mktemp("tls")
    Certificates.make().write(tls)
    first, second, plain, secure = free_ports(4)
    site = sample(
        "nginx/buildapi.conf",
        {
            "127.0.0.1:8011": f"127.0.0.1:{first}",
            "127.0.0.1:8012": f"127.0.0.1:{second}",
            "/etc/ssl/certs/buildapi.pem": f"{tls}/server.pem",
            "/etc/ssl/private/buildapi.key": f"{tls}/server.key",
            "buildapi.example.org": "localhost",
            "listen 80;": f"listen 127.0.0.1:{plain};",
            "listen 443 ssl;": f"listen 127.0.0.1:{secure} ssl;",
        },
    )
    before, place, _ = site.partition(LOGIN)
    assert place, "the place of the login is marked"
    other = sample("nginx/oauth2-proxy.conf", {"127.0.0.1:4180": f"127.0.0.1:{helper}"})
    with ExitStack() as stack:
        stack.callback(start_nginx(f"{before}{other}}}\n", secure).stop)
        yield Proxy(secure, (first, second), context(tls))


@pytest.fixture
def backends(proxy: Proxy) -> Iterator[tuple[Upstream, Upstream]]:
    first, second = proxy.backends
    with upstream(first) as one, upstream(second) as two:
        one.go_on.set()
        two.go_on.set()
        yield one, two


@pytest.fixture
def logins(helper: int) -> Iterator[list[Sent]]:
    with oauth2_proxy(helper) as asked:
        yield asked


Backends = tuple[Upstream, Upstream]


def test_user_and_groups_of_a_session_arrive(
    proxy: Proxy, backends: Backends, logins: list[Sent]
) -> None:
    answer, _ = proxy.ask("GET", "/self-serve", [session("zoe")])
    assert answer.status == 200
    (request,) = sent(backends)
    assert request.all("X-Remote-User") == ["zoe@example.org"]
    values = [value.encode("latin-1") for value in request.all("X-Remote-Groups")]
    assert GroupsHeader("X-Remote-Groups").groups(values) == {"sheriffs", "scm level 3"}
    assert [login.path for login in logins] == ["/oauth2/auth"]


@pytest.mark.parametrize("path", ["/self-serve", "/self-serve/events", "/metrics"])
def test_nobody_names_himself_or_joins_a_group(
    proxy: Proxy, backends: Backends, logins: list[Sent], path: str
) -> None:
    ways: list[tuple[tuple[str, str], list[str], list[str]]] = [
        (session("zoe"), ["zoe@example.org"], ["sheriffs,scm level 3"]),
        (session("nina"), ["nina@example.org"], []),
        (TOKEN, [], []),
    ]
    all_of_them = (*FORGED, *FORGED_GROUPS)
    for forged in (*([one] for one in all_of_them), all_of_them):
        for way, user, groups in ways:
            assert proxy.ask("GET", path, [*forged, way])[0].status == 200
            named = ([], []) if path == "/metrics" else (user, groups)
            (request,) = sent(backends)
            assert (request.all("X-Remote-User"), request.all("X-Remote-Groups")) == named
            for backend in backends:
                backend.sent.clear()
    assert all(login.all("X-Remote-User") == [] for login in logins if "sign" in login.path)


@pytest.mark.parametrize("headers", [[], [session("mallory")], [*FORGED, *FORGED_GROUPS]])
def test_who_has_no_session_is_asked_to_log_in(
    proxy: Proxy, backends: Backends, logins: list[Sent], headers: Headers
) -> None:
    answer, body = proxy.ask("GET", "/self-serve/try?a=1&b=2", headers)
    assert (answer.status, body) == (403, b"log in")
    auth, page = logins
    assert (auth.path, page.path) == ("/oauth2/auth", "/oauth2/sign_in")
    assert page.all("X-Auth-Request-Redirect") == ["/self-serve/try?a=1&b=2"]
    assert page.all("X-Remote-User") == page.all("X-Remote-Groups") == []
    assert sent(backends) == []


def test_what_belongs_to_the_login_needs_none(
    proxy: Proxy, backends: Backends, logins: list[Sent]
) -> None:
    answer, _ = proxy.ask("GET", "/oauth2/callback?code=x", [])
    assert answer.status == 200
    assert [login.path for login in logins] == ["/oauth2/callback?code=x"]
    assert sent(backends) == []


def test_a_password_is_sent_to_nobody(proxy: Proxy, backends: Backends, logins: list[Sent]) -> None:
    proxy.ask("GET", "/self-serve", [session("zoe"), ("Authorization", "Basic em9lOng=")])
    for request in (*sent(backends), *logins):
        assert request.all("Authorization") == []
