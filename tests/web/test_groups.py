"""Which groups somebody has: by a trusted proxy's header, and by the groups file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from buildapi.errors import BadRequest, ConfigError
from buildapi.model.access import AccessPolicy, AccessRule, Actor, Question
from buildapi.model.ops import Token
from buildapi.web.http.access_control import AccessControl, actor_of
from buildapi.web.http.auth import (
    GROUP_MAX,
    GROUPS_MAX,
    NOBODY,
    Authenticator,
    AuthMethod,
    GroupsHeader,
    Identity,
)
from buildapi.web.http.groups_file import SIZE_MAX, from_document, read_memberships
from tests.reactor import twisted_test
from tests.web.conftest import Serve

HEADER = GroupsHeader("X-Remote-Groups")
TRUSTED = ["127.0.0.1", "unix"]
MEMBERS = {"zoe": frozenset({"sheriffs"}), "me": frozenset({"developers"})}


def auth(header: GroupsHeader | None = HEADER) -> Authenticator:
    control = AccessControl(AccessPolicy(), MEMBERS)
    return Authenticator.of("X-Remote-User", TRUSTED, "me", header, control.groups_of)


def groups(*values: bytes, who: bytes = b"sue", peer: str = "unix") -> set[str]:
    return set(auth().identity(peer, [who], values).groups)


# --- the header


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (b"", set()),
        (b" , ,", set()),
        (b"a", {"a"}),
        (b"a,b", {"a", "b"}),
        (b" a , b c ,", {"a", "b c"}),
        (b"a,a", {"a"}),
        ("zoë".encode(), {"zoë"}),
        (b"a;b", {"a;b"}),
    ],
)
def test_a_trusted_proxy_lists_groups(value: bytes, found: set[str]) -> None:
    assert groups(value) == found


def test_what_separates_them_can_be_chosen() -> None:
    apache = GroupsHeader("X-Remote-Groups", ";")
    listed = b"cn=l1,ou=groups,dc=example; cn=sheriffs,ou=groups,dc=example"
    assert auth(apache).identity("unix", [b"sue"], [listed]).groups == {
        "cn=l1,ou=groups,dc=example",
        "cn=sheriffs,ou=groups,dc=example",
    }
    blanks = GroupsHeader("X-Remote-Groups", " ")
    assert auth(blanks).identity("unix", [b"sue"], [b"a  b "]).groups == {"a", "b"}


def test_the_groups_of_the_file_are_added() -> None:
    assert groups(b"a", who=b"zoe") == {"a", "sheriffs"}
    assert groups(who=b"zoe") == {"sheriffs"}


@pytest.mark.parametrize("peer", ["127.0.0.2", "192.0.2.1", "::1", ""])
@pytest.mark.parametrize("values", [[b"sheriffs"], [b"\xff"], [b"a", b"b"]])
def test_what_another_peer_says_is_not_even_read(peer: str, values: list[bytes]) -> None:
    identity = auth().identity(peer, [b"zoe"], values)
    assert identity.who in (None, "me")
    assert "sheriffs" not in identity.groups


@pytest.mark.parametrize("user", [[], [b""], [b"  "]])
def test_groups_without_a_user_are_nobodys(user: list[bytes]) -> None:
    assert auth().identity("unix", user, [b"sheriffs"]) == NOBODY


def test_the_development_user_has_those_of_the_file_alone() -> None:
    identity = auth().identity("127.0.0.1", [], [b"sheriffs"])
    assert (identity.who, identity.by) == ("me", AuthMethod.DEVELOPMENT)
    assert identity.groups == {"developers"}


def test_without_a_header_configured_none_is_read() -> None:
    identity = auth(None).identity("unix", [b"sue"], [b"sheriffs", b"\xff"])
    assert identity == Identity("sue", AuthMethod.PROXY)


def test_the_owner_of_a_token_has_those_of_the_file() -> None:
    token = Token(7, "zoe", "nightly", 0, 1)
    assert auth().owner(token) == Identity("zoe", AuthMethod.TOKEN, token, frozenset({"sheriffs"}))


@pytest.mark.parametrize(
    "values",
    [
        [b"a", b"b"],
        [b"a", b"a"],
        [b"", b""],
        [b"\xff"],
        [b"a,\xc3"],
        [b"a,b\x00c"],
        [b"a\x1b[31m"],
        ["a,b\u202ec".encode()],
        [b"a," + b"x" * (GROUP_MAX + 1)],
        [b",".join(b"%d" % n for n in range(GROUPS_MAX + 1))],
    ],
)
def test_what_cannot_be_a_list_of_groups_is_refused(values: list[bytes]) -> None:
    with pytest.raises(BadRequest, match="X-Remote-Groups"):
        groups(*values)


def test_as_many_and_as_long_as_allowed() -> None:
    assert len(groups(b",".join(b"%d" % n for n in range(GROUPS_MAX)))) == GROUPS_MAX
    assert groups(b"x" * GROUP_MAX) == {"x" * GROUP_MAX}


@given(st.lists(st.binary(max_size=30), max_size=2), st.sampled_from([",", ";", " ", "||"]))
def test_any_header_is_groups_or_refused(values: list[bytes], separator: str) -> None:
    header = GroupsHeader("X-Remote-Groups", separator)
    try:
        found = auth(header).identity("unix", [b"sue"], values).groups
    except BadRequest:
        return
    for name in found:
        assert name.isprintable()
        assert name == name.strip() != ""
        assert separator not in name


# --- the file


def test_the_file_lists_users_by_group(tmp_path: Path) -> None:
    file = tmp_path / "groups.toml"
    file.write_text('[groups]\na = ["zoe", "sue"]\n"b c" = ["zoe"]\nempty = []\n')
    assert read_memberships(file) == {"zoe": {"a", "b c"}, "sue": {"a"}}
    assert read_memberships(None) == {}


@pytest.mark.parametrize(
    ("document", "errors"),
    [
        ({"group": {}}, ["group: unknown section; allowed: groups"]),
        ({"groups": 5}, ["groups: must be a table"]),
        (
            {"groups": {"a": "zoe"}},
            ['[groups] a: must be a list of users such as ["zoe@example.org"]'],
        ),
        (
            {"groups": {" a": []}},
            ["[groups] ' a': must be a name of up to 512 printable characters"],
        ),
        (
            {"groups": {"a": ["zoe", 5, "", " b", "x" * 513], "b": ["zoe", "zoe"]}},
            [
                *(
                    f"[groups] a, user {n}: must be a name of up to 512 printable characters"
                    for n in (2, 3, 4, 5)
                ),
                "[groups] b, user 2: zoe is listed twice",
            ],
        ),
    ],
)
def test_every_error_is_told_with_its_place(document: Any, errors: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        from_document(document, "groups.toml")
    assert str(caught.value).splitlines() == [f"groups.toml: {error}" for error in errors]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b'[groups]\na = ["zoe" "sue"]\n', "line 2"),
        (b"\xff", "utf-8"),
        (b"#" * (SIZE_MAX + 1), f"more than {SIZE_MAX} bytes"),
        (b"a = " + b"[" * 100_000, "groups.toml"),
    ],
)
def test_a_file_that_is_no_such_file_is_refused(tmp_path: Path, text: bytes, error: str) -> None:
    file = tmp_path / "groups.toml"
    file.write_bytes(text)
    with pytest.raises(ConfigError, match=error):
        read_memberships(file)


NAMES = st.sampled_from(["zoe", "sue", "", " a", "x" * 513, "\u00e9", "\n"]) | st.text(max_size=3)
ANYTHING = st.recursive(
    st.integers() | st.booleans() | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60)
@given(
    st.dictionaries(
        st.sampled_from(["groups", "group"]),
        ANYTHING | st.dictionaries(NAMES, st.lists(NAMES, max_size=3), max_size=3),
        max_size=2,
    )
)
def test_any_document_is_memberships_or_refused(document: dict[str, Any]) -> None:
    try:
        found = from_document(document, "groups.toml")
    except ConfigError as e:
        lines = str(e).split("\n")
    else:
        of_group = document.get("groups", {}).items()
        listed = {(user, name) for name, users in of_group for user in users}
        assert {(user, name) for user, names in found.items() for name in names} == listed
        lines = []
    assert [line for line in lines if not line.startswith("groups.toml: ")] == []


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        read_memberships(tmp_path / "none.toml")


# --- both


def test_rules_see_user_groups_and_token() -> None:
    token = Token(7, "zoe", "nightly", 0, 1)
    assert actor_of(auth().owner(token)) == Actor("zoe", frozenset({"sheriffs"}), "zoe/nightly")
    assert actor_of(NOBODY) == Actor(None)


def test_what_is_adopted_decides() -> None:
    control = AccessControl()
    asked, zoe = Question("rebuild_build", "try"), auth().identity("unix", [b"zoe"])
    assert control.decide(zoe, asked).allowed
    control.adopt(AccessPolicy((AccessRule("closed", deny=True),)), {"zoe": frozenset({"x"})})
    assert control.decide(zoe, asked).rule == "closed"
    assert control.groups_of("zoe") == {"x"}
    assert control.groups_of("sue") == frozenset()


# --- over HTTP

NAME = "X-Remote-Groups"
SUE: list[tuple[str, str | bytes]] = [("Accept", "application/json"), ("X-Remote-User", "sue")]
WRONG: dict[str, list[tuple[str, str | bytes]]] = {
    "repeated": [(NAME, "staff"), (NAME, "sheriffs")],
    "repeated in another spelling": [(NAME, "staff"), (NAME.upper(), "sheriffs")],
    "not UTF-8": [(NAME, b"\xff")],
    "not printable": [(NAME, b"a\x1b[31m")],
}


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
@twisted_test()
async def test_what_is_no_list_of_groups_is_refused_also_where_an_answer_is_ready(
    serve: Serve, headers: list[tuple[str, str | bytes]]
) -> None:
    served = serve(groups_header=NAME)
    for path in ("/self-serve/branches", "/self-serve/whoami"):
        for _ in range(2):
            assert (await served.ask("GET", path, [*SUE, (NAME, "staff")])).status == 200
        refused = await served.ask("GET", path, [*SUE, *headers])
        assert (refused.status, refused.json["code"]) == (400, "bad_request")
        assert NAME in refused.json["msg"]


@pytest.mark.parametrize("headers", WRONG.values(), ids=WRONG)
@twisted_test()
async def test_a_header_that_does_not_count_is_not_even_read(
    serve: Serve, headers: list[tuple[str, str | bytes]]
) -> None:
    untrusted = serve(groups_header=NAME, trusted=["unix"])
    assert (await untrusted.ask("GET", "/self-serve/branches", [*SUE, *headers])).status == 200
    trusted = serve(groups_header=NAME)
    nobody = [("Accept", "application/json"), *headers]
    assert (await trusted.ask("GET", "/self-serve/branches", nobody)).status == 200
    off = serve()
    assert (await off.ask("GET", "/self-serve/branches", [*SUE, *headers])).status == 200
