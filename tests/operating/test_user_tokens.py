"""``buildapi admin tokens``: an operator lists and revokes the tokens of a user."""

from __future__ import annotations

import json
from typing import Any

import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred

from buildapi.db.token_store import SQLTokenStore
from buildapi.model.token_scope import TokenScope
from tests.db.conftest import OpenPool, open_pool
from tests.operating.conftest import Place

__all__ = ["open_pool"]

ANN, NOW = "ann@example.org", 1_790_000_000


@pytest.fixture
def filled(place: Place, open_pool: OpenPool) -> Place:
    """A place with three tokens of Ann and one of Zoë."""
    assert place.run("db", "upgrade").code == 0
    url = place.urls["jobs"].replace("sqlite:", f"sqlite:{place.folder}/")
    store = SQLTokenStore(open_pool(url))

    def wait(work: Any) -> Any:
        return pytest_twisted.blockon(ensureDeferred(work))

    for n, who in enumerate((ANN, ANN, ANN, "zoë")):
        scope = TokenScope(("rebuild_*",)) if n == 1 else TokenScope()
        wait(store.add(who, f"bot {n}", f"{n:064x}", NOW, NOW + 86_400, scope=scope))
    wait(store.used(2, NOW + 60, "192.0.2.7"))
    return place


def test_tokens_are_listed_and_revoked(filled: Place) -> None:
    listed = filled.run("admin", "tokens", "list", "--user", ANN, "--json")
    assert listed.code == 0, listed
    found = json.loads(listed.out)
    assert [(t["id"], t["label"]) for t in found] == [(3, "bot 2"), (2, "bot 1"), (1, "bot 0")]
    assert found[1]["scope"] == {"actions": ["rebuild_*"], "branches": [], "read_only": False}
    assert (found[1]["used_at"], found[1]["used_from"]) == (NOW + 60, "192.0.2.7")
    lines = filled.run("admin", "tokens", "list", "--user", ANN).out.decode().splitlines()
    assert "used 2026-09-21 14:14:20 from 192.0.2.7" in lines[1]
    assert lines[0].endswith("never used")

    one = filled.run("admin", "tokens", "revoke", "--user", ANN, "--id", "1", "--id", "4")
    assert (one.code, one.out.decode().splitlines()) == (
        5,
        [f"token 1 of {ANN} is revoked", f"{ANN} has no token 4"],
    )
    every = filled.run("admin", "tokens", "revoke", "--user", ANN, "--all")
    assert (every.code, every.out.count(b"is revoked")) == (0, 2)
    again = filled.run("admin", "tokens", "revoke", "--user", ANN, "--all")
    assert (again.code, again.out.decode()) == (0, f"{ANN} has no tokens\n")
    assert filled.run("admin", "tokens", "list", "--user", ANN).out.decode() == again.out.decode()
    assert "bot 3" in filled.run("admin", "tokens", "list", "--user", "zoë").out.decode()
    recorded = filled.run("admin", "audit", "--action", "revoke_token", "--json")
    found = json.loads(recorded.out)
    assert sorted(one["token"]["id"] for one in found) == [1, 2, 3]
    assert {(one["by"], one["detail"]) for one in found} == {("command", f"of {ANN}")}


def test_what_is_revoked_must_be_said(place: Place) -> None:
    for more in ([], ["--all", "--id", "3"]):
        done = place.run("admin", "tokens", "revoke", "--user", ANN, *more)
        assert (done.code, "--id or --all is required" in done.err) == (2, True)
    assert place.run("admin", "tokens", "list").code == 2


def test_a_database_without_tables_is_unavailable(place: Place) -> None:
    done = place.run("admin", "tokens", "list", "--user", ANN)
    assert done.code in (1, 6)
    assert "does not exist" in done.err or "lacks its tables" in done.err
    assert "Traceback" not in done.err
