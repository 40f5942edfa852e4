"""Who somebody is, as a function of peer and header."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from buildapi.errors import BadRequest
from buildapi.web.http.auth import WHO_MAX, Authenticator

PROXIES = ("127.0.0.1", "::1", "10.1.0.0/16", "2001:db8::/32", "unix")
AUTH = Authenticator.of("X-Remote-User", PROXIES)


@pytest.mark.parametrize(
    "peer",
    [
        "127.0.0.1",
        "::1",
        "10.1.255.3",
        "::ffff:10.1.2.3",
        "::ffff:127.0.0.1",
        "2001:db8::7",
        "unix",
    ],
)
def test_a_trusted_peer_names_the_user(peer: str) -> None:
    assert AUTH.user(peer, ["zoë".encode()]) == "zoë"
    assert AUTH.user(peer, []) is None


@pytest.mark.parametrize(
    "peer",
    ["127.0.0.2", "10.2.0.1", "::ffff:10.2.0.1", "2001:db9::7", "fe80::1%eth0", "", "unix2", "x"],
)
@pytest.mark.parametrize("values", [["zoë".encode()], [b"\xff"], [b"a", b"b"]])
def test_what_another_peer_says_is_not_even_read(peer: str, values: list[bytes]) -> None:
    assert AUTH.user(peer, values) is None


def test_a_unix_socket_is_trusted_only_if_it_is_named() -> None:
    assert not Authenticator.of("X", ["0.0.0.0/0", "::/0"]).trusts("unix")
    assert Authenticator.of("X", ["unix"]).trusts("unix")


def test_without_proxies_nobody_is_trusted() -> None:
    assert Authenticator.of("X", []).user("127.0.0.1", [b"zoe"]) is None


def test_a_network_may_have_host_bits_set() -> None:
    assert Authenticator.of("X", ["10.1.2.3/16"]).trusts("10.1.9.9")


@pytest.mark.parametrize("value", [b"", b"  ", b"\t", "\u00a0".encode()])
def test_an_empty_name_is_nobody(value: bytes) -> None:
    assert AUTH.user("unix", [value]) is None


def test_blanks_around_a_name_do_not_belong_to_it() -> None:
    assert AUTH.user("unix", [b"  Zoe Doe "]) == "Zoe Doe"


@pytest.mark.parametrize(
    "values",
    [
        [b"a", b"b"],
        [b"a", b"a"],
        [b"", b""],
        [b"\xff"],
        [b"\xc3"],
        [b"a\x00b"],
        [b"a\x1b[31mb"],
        [b"a\r\nb"],
        ["a\u202eb".encode()],
        ["a\u2028b".encode()],
        [b"x" * (WHO_MAX + 1)],
    ],
)
def test_what_cannot_be_a_name_is_refused(values: list[bytes]) -> None:
    with pytest.raises(BadRequest, match="X-Remote-User"):
        AUTH.user("unix", values)


def test_a_name_is_counted_in_characters() -> None:
    name = "ë" * WHO_MAX
    assert AUTH.user("unix", [name.encode()]) == name


DEVELOPMENT = Authenticator.of("X-Remote-User", ["127.0.0.1"], "me")


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_the_development_user_is_on_the_same_host(peer: str) -> None:
    assert DEVELOPMENT.user(peer, []) == "me"


@pytest.mark.parametrize(
    "peer", ["10.0.0.1", "::ffff:10.0.0.1", "2001:db8::1", "unix", "", "0.0.0.0"]
)
def test_the_development_user_is_nowhere_else(peer: str) -> None:
    assert DEVELOPMENT.user(peer, []) is None


def test_a_name_given_comes_before_the_development_user() -> None:
    assert DEVELOPMENT.user("127.0.0.1", [b"zoe"]) == "zoe"
    assert DEVELOPMENT.user("127.0.0.2", [b"zoe"]) == "me"


@given(st.lists(st.binary(max_size=20), max_size=3), st.text(max_size=20))
def test_any_header_is_a_name_nobody_or_refused(values: list[bytes], peer: str) -> None:
    AUTH.user(peer, values)
    try:
        name = AUTH.user("unix", values)
    except BadRequest:
        return
    assert name is None or (name.isprintable() and name == name.strip() != "")
