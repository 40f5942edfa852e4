"""``buildapi admin audit``: an operator searches the audit log in the database."""

from __future__ import annotations

import json
from collections.abc import Sequence

import attrs
import pytest
import pytest_twisted
from twisted.internet.defer import ensureDeferred

from buildapi.db.audit_store import SQLAuditStore
from buildapi.model.audit import AuditOutcome
from tests.db.auditstore_contract import RECORD, another
from tests.db.conftest import OpenPool, open_pool
from tests.operating.conftest import Place

__all__ = ["open_pool"]


@pytest.fixture
def filled(place: Place, open_pool: OpenPool) -> Place:
    """A place with the record of its upgrade, an accepted one, and a refusal with odd texts."""
    assert place.run("db", "upgrade").code == 0
    url = place.urls["jobs"].replace("sqlite:", f"sqlite:{place.folder}/")
    actor = attrs.evolve(RECORD.actor, who="zoë@example.org", token_id=None)
    accepted = another(1, outcome=AuditOutcome.ACCEPTED, status=None, count=1)
    refused = another(2, 3600, actor=actor, detail="a\x1b[2Jb")
    adding = ensureDeferred(SQLAuditStore(open_pool(url)).add([accepted, refused]))
    pytest_twisted.blockon(adding)
    return place


def found(place: Place, *options: str) -> Sequence[str]:
    """Return whose records a search finds."""
    done = place.run("admin", "audit", "--json", *options)
    assert done.code == 0, done
    return [record["who"] for record in json.loads(done.out)]


def test_records_are_searched_and_printed(filled: Place) -> None:
    both = ["zoë@example.org", "arla@example.org"]
    assert found(filled, "--branch", "try") == both
    assert found(filled, "--user", "zoë@example.org", "--outcome", "refused") == both[:1]
    assert found(filled, "--until", "2026-11-27T23:00", "--build", "11") == both[1:]
    table = filled.run("admin", "audit", "--branch", "try").out.decode().splitlines()
    assert table[0].split()[:4] == ["time", "(UTC)", "user", "action"]
    assert "2026-11-27 23:49:25  zoë@example.org by token" in table[1]
    assert "refused 403 access_denied job 4711 3 times  192.0.2.1  a?[2Jb" in table[1]
    assert (
        "arla@example.org by token, token 7 (nightly bot)  cancel_revision  try build 11"
        in table[2]
    )
    upgraded = filled.run("admin", "audit", "--action", "upgrade_schema").out.decode()
    assert "by command" in upgraded
    assert filled.run("admin", "audit", "--user", "nobody").out == b"no records\n"
    assert filled.run("admin", "audit", "--outcome", "odd").code == 2
