"""``buildapi check-config --as``: what it says of a question, and when it refuses to."""

from __future__ import annotations

import json
from pathlib import Path

import attrs
import pytest
from click.testing import CliRunner
from twisted.internet import reactor

from buildapi.admin.access_explanation import access_of_branch, actor_named, explain
from buildapi.cli.main import root
from buildapi.config import load
from buildapi.errors import Unavailable
from buildapi.model.access import AccessPolicy, Actor, Question
from tests.cli.running import buildapi
from tests.reactor import twisted_test

RULES = """
[web]
groups_separator = ";"
[access]
groups_file = "groups.toml"
default = "deny"
[[access.rules]]
name = "sheriffs"
groups = ["cn=sheriffs,ou=groups", "sheriffs"]
actions = ["cancel_*"]
[[access.rules]]
name = "level 1"
groups = ["scm_level_1"]
access = ["scm_level_1"]
builders = ["* build"]
priority = [-5, 5]
count = 10
[[access.rules]]
name = "bot"
tokens = ["bot/nightly-*"]
actions = ["rebuild_*"]
branches = ["mozilla-*"]
[[access.rules]]
name = "audit"
users = ["root"]
actions = ["read_audit"]
"""


MASTER = {"db_name": "a:/x", "hostname": "a.example.org", "http_port": 8001}


@pytest.fixture
def ruled(tmp_path: Path) -> Path:
    """Return the configuration of a farm whose rules are these."""
    branches = {"try": {"access": "scm_level_1"}, "mozilla-central": {"access": "scm_level_3"}}
    (tmp_path / "branches.json").write_text(json.dumps(branches))
    (tmp_path / "masters.json").write_text(json.dumps([MASTER]))
    (tmp_path / "groups.toml").write_text('[groups]\nsheriffs = ["sue"]\n')
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "scheduler.sqlite").touch()
    file = tmp_path / "buildapi.toml"
    file.write_text('[directory]\nbranches = "branches.json"\nmasters = "masters.json"\n' + RULES)
    return file


LEVEL_1 = "x; scm_level_1"
ON_TRY = Question("rebuild_build", "try", "scm_level_1", ("Linux build",))
ON_CENTRAL = Question("rebuild_build", "mozilla-central", "scm_level_3", ("Linux build",))
ASKED = ("--as", "zoe", "--groups", LEVEL_1, "--builder", "Linux build", "rebuild_build")


@pytest.mark.parametrize(
    ("actor", "question", "last"),
    [
        (("zoe", LEVEL_1, None), ON_TRY, 'permitted by rule "level 1"'),
        (("zoe", LEVEL_1, None), attrs.evolve(ON_TRY, count=10), 'permitted by rule "level 1"'),
        (("zoe", LEVEL_1, None), attrs.evolve(ON_TRY, count=11), "refused by the default"),
        (("zoe", LEVEL_1, None), attrs.evolve(ON_TRY, priority=6), "refused by the default"),
        (("zoe", LEVEL_1, None), attrs.evolve(ON_TRY, builders=("x",)), "refused by the default"),
        (("zoe", LEVEL_1, None), attrs.evolve(ON_TRY, access="l3"), "refused by the default"),
        (
            *(("zoe", LEVEL_1, None), Question("cancel_build", "mozilla-central")),
            "refused by the default; it needs group cn=sheriffs,ou=groups or sheriffs",
        ),
        (("sue", "", None), Question("cancel_build", "x"), 'permitted by rule "sheriffs"'),
        (
            *(("zoe", "cn=sheriffs,ou=groups; b", None), Question("cancel_build", "x")),
            'permitted by rule "sheriffs"',
        ),
        (("bot", "", "nightly-1"), ON_CENTRAL, 'permitted by rule "bot"'),
        (("bot", "", None), ON_CENTRAL, "refused by the default; it needs token bot/nightly-*"),
        (("root", "", None), Question("read_audit"), 'permitted by rule "audit"'),
        (("sue", "", None), Question("read_audit"), "refused by the default; it needs user root"),
    ],
)
def test_a_decision_is_explained(
    ruled: Path, actor: tuple[str, str, str | None], question: Question, last: str
) -> None:
    config = load(ruled, {})
    found = explain(config.access.policy, actor_named(config, *actor), question)
    assert found.lines[-1] == last
    assert found.allowed == last.startswith("permitted")
    table = [line for line in found.lines if line[:1].isdigit()]
    assert len(table) == 4
    deciding = [line for line in table if line.endswith("  decides")]
    assert len(deciding) == ("rule" in last)
    assert all(line.split("  ")[1] in last for line in deciding)


def test_without_rules_the_default_decides() -> None:
    found = explain(AccessPolicy(), Actor("zoe"), ON_TRY)
    assert found.lines[-1] == "permitted by the default"
    assert not any(line[:1].isdigit() for line in found.lines)


def test_what_does_not_fit_is_told_rule_by_rule(ruled: Path) -> None:
    done = buildapi("check-config", "-c", ruled, *ASKED, "mozilla-central", "--priority", "3")
    ok, user, asked, head, *table, last = done.out.decode().splitlines()
    assert (done.code, done.err) == (4, "")
    assert ok == f"ok: {ruled}"
    assert user == "user zoe; groups: scm_level_1, x"
    assert asked == (
        "rebuild_build on mozilla-central (access level scm_level_3) of Linux build with priority 3"
    )
    assert [line.split() for line in (head, *table)] == [
        ["rule", "effect", *("who", "actions", "branches", "access", "builders"), *AMOUNTS],
        ["1", "sheriffs", "allow", "no", "no", "any", "any", "any", "any", "any"],
        ["2", "level", "1", "allow", "yes", "any", "any", "no", "yes", "yes", "yes"],
        ["3", "bot", "allow", "no", "yes", "yes", "any", "any", "any", "any"],
        ["4", "audit", "allow", "no", "no", "any", "any", "any", "any", "any"],
    ]
    assert last == "refused by the default; it needs token bot/nightly-*"


AMOUNTS = ("priority", "count")


def test_what_is_permitted_ends_well_and_the_branches_file_tells_the_level(ruled: Path) -> None:
    done = buildapi("check-config", "-c", ruled, *ASKED, "try")
    assert done.out.decode().splitlines()[-1] == 'permitted by rule "level 1"'
    assert (done.code, done.err) == (0, "")


def test_a_branch_that_is_not_in_the_file_is_told(ruled: Path) -> None:
    done = buildapi("check-config", "-c", ruled, *ASKED, "tyr")
    assert done.code == 4
    assert (
        "warning: the access level of tyr is not known: the branches file has no such branch"
        in done.out.decode().splitlines()
    )


@twisted_test(10)
async def test_an_access_level_that_cannot_be_read_is_not_known(ruled: Path) -> None:
    config = load(ruled, {})
    assert await access_of_branch(config, reactor, "try") == "scm_level_1"
    file = ruled.parent / "branches.json"
    for text in ("{", "[]", "\x00"):
        file.write_text(text)
        with pytest.raises(Unavailable):
            await access_of_branch(config, reactor, "try")
    file.unlink()
    with pytest.raises(Unavailable, match="cannot read the branches file"):
        await access_of_branch(config, reactor, "try")


REBUILD = ("rebuild_build", "try")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (("--as", "zoe"), "--as and its options need an ACTION"),
        (("--groups", "a"), "--as and its options need an ACTION"),
        (("--count", "2"), "--as and its options need an ACTION"),
        (("--token", "a"), "--as and its options need an ACTION"),
        (("--builder", "a"), "--as and its options need an ACTION"),
        (REBUILD, "rebuild_build needs --as USER"),
        (("--as", "zoe", "rebuild_build"), "rebuild_build needs a BRANCH"),
        (("--as", "zoe", "rebuild", "try"), "did you mean rebuild_build?"),
        (("--as", "zoe", "*", "try"), "'*' is not an action; allowed: reprioritize, "),
        (("--as", "zoe", "--connect", *REBUILD), "two different checks"),
        (("--as", "zoe", "--groups", "a\x07", *REBUILD), "printable characters"),
    ],
)
def test_what_is_no_question_is_refused(
    ruled: Path, arguments: tuple[str, ...], error: str
) -> None:
    done = CliRunner().invoke(root, ["check-config", "-c", str(ruled), *arguments])
    assert done.exit_code == 2
    assert error in " ".join(done.output.split())


@pytest.mark.parametrize("arguments", [(), ("--as", "zoe", *REBUILD)])
def test_a_groups_file_with_errors_is_told(ruled: Path, arguments: tuple[str, ...]) -> None:
    (ruled.parent / "groups.toml").write_text("[groups]\nsheriffs = 5\n")
    done = CliRunner().invoke(root, ["check-config", "-c", str(ruled), *arguments])
    assert done.exit_code == 1
    assert "[groups] sheriffs: must be a list of users" in done.output
