"""Any is the exception: what it stands for is named once, with the reason."""

from __future__ import annotations

from pathlib import Path

from tests.measure import Module, any_in_signatures

PACKAGE = Path(__file__).parent.parent / "buildapi"

MOST = 110
"""Signatures with Any, at most: lower it when there are fewer."""


def test_no_reactor_and_few_signatures_are_any() -> None:
    """A type of reactor_time, json_types, db.sql or amqp_types, a Protocol or object says more."""
    modules = [Module.read(path, PACKAGE) for path in sorted(PACKAGE.rglob("*.py"))]
    found, reactors = any_in_signatures(modules)
    assert reactors == 0, "ReactorTime, ThreadedReactor or Reactor of buildapi.reactor_time"
    assert found <= MOST
