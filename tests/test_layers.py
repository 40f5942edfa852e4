"""The layer table of docs/design.md, held to the letter."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "buildapi"

ALLOWED: dict[str, set[str]] = {
    "model": {"model"},
    "jobs": {"model", "jobs"},
    "interfaces": {"model", "interfaces"},
    "errors": {"model"},
    "reports": {"model", "errors", "reports"},
    "files": set(),
    "exits": set(),
    "tracing": set(),
    "redaction": set(),
    "ops": {"model", "interfaces", "errors", "jobs", "tracing", "redaction", "ops"},
    "cli": {"model", "interfaces", "errors", "exits", "jobs", "reports", "files", "cli"},
    "nagios": {"nagios"},  # and nothing of others but nagiosplugin, see tests/plugins
    "config": {"errors", "config"},
    "db": {"tracing", "model", "errors", "db"},
    "mq": {"tracing", "model", "errors", "mq"},
    "buildbot": {"tracing", "model", "jobs", "db.sql", "errors", "buildbot"},
    "agent": {"tracing", "model", "interfaces", "errors", "jobs", "agent"},
    "web": {"tracing", "redaction", "model", "interfaces", "errors", "jobs", "reports", "web"},
    "sample": {"model", "errors", "db.sql", "db.pool", "buildbot", "sample"},
    "program": {"errors", "model"},
    "testing": {"model", "interfaces", "errors"},
    # What puts the rest together, and is imported by nothing below it.
    "assembly": {
        "__version__",
        "agent",
        "assembly",
        "buildbot",
        "config",
        "db",
        "errors",
        "exits",
        "interfaces",
    }
    | {"files", "model", "mq", "ops", "program", "reports", "sample", "tracing", "web"},
    "operating": {"assembly", "config", "db.grants", "errors", "exits"},
    "command": {"assembly", "cli", "config", "errors", "model", "operating", "reports"},
    "tap": {"assembly", "config", "errors", "ops", "program"},
}
PURE = {"model", "jobs", "errors", "reports"}
NEVER_IN_PURE = {"twisted", "time", "klein", "treq", "pymysql", "sqlite3", "txamqp", "httpx"}

MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py")


def layer_of(module: str) -> str:
    return module.split(".", maxsplit=1)[0]


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            if node.module == "buildapi":
                found.update(f"buildapi.{alias.name}" for alias in node.names)
    return found


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_what_its_layer_may(path: Path) -> None:
    layer = layer_of(name_of(path))
    ours = {m.removeprefix("buildapi.") for m in imports(path) if m.startswith("buildapi.")}
    allowed = ALLOWED[layer]
    bad = {m for m in ours if not any(m == a or m.startswith(a + ".") for a in allowed)}
    assert not bad, f"{layer} may not import {sorted(bad)}"


@pytest.mark.parametrize("path", [p for p in MODULES if layer_of(name_of(p)) in PURE], ids=name_of)
def test_pure_layers_touch_no_reactor_clock_or_network(path: Path) -> None:
    tops = {m.split(".")[0] for m in imports(path)}
    assert not tops & NEVER_IN_PURE


def test_the_table_has_every_layer_and_no_other() -> None:
    assert {layer_of(name_of(p)) for p in MODULES} == set(ALLOWED)
