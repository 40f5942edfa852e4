"""The layer table of docs/design.md, held to the letter."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from buildapi.assembly.brokers import BROKERS
from buildapi.assembly.dialects import DIALECTS
from buildapi.config.addresses import BROKER_KINDS, DATABASE_KINDS
from buildapi.config.converters import KeyPlace
from buildapi.config.reader import SectionReader
from buildapi.config.sections import FarmSection
from buildapi.db.pool import DRIVERS

PACKAGE = Path(__file__).parent.parent / "buildapi"

ALLOWED: dict[str, set[str]] = {
    "model": {"model"},
    "jobs": {"model", "jobs"},
    "interfaces": {"model", "interfaces"},
    "errors": {"model"},
    "reports": {"model", "errors", "reports"},
    "parameters": {"model", "errors", "jobs", "parameters"},
    "atomic_file": set(),
    "exit_codes": set(),
    "progress_bar": set(),
    "tracing": set(),
    "redaction": set(),
    "reactor_time": set(),
    "periodic": {"errors", "reactor_time"},
    "ops": {"model", "interfaces", "errors", "jobs", "tracing", "redaction", "ops"},
    "cli": {"model", "interfaces", "errors", "exit_codes", "jobs", "reports", "parameters"}
    | {"cli", "atomic_file", "progress_bar"},
    "nagios": {"nagios"},  # and nothing of others but nagiosplugin, see tests/plugins
    "config": {"errors", "model", "config"},
    "db": {"tracing", "model", "errors", "db"},
    "mq": {"tracing", "model", "errors", "mq"},
    "buildbot": {"tracing", "model", "interfaces", "jobs", "db.sql", "errors", "buildbot"}
    | {"atomic_file", "db.call_groups"},
    "agent": {"tracing", "model", "interfaces", "errors", "jobs", "agent"},
    "web": {"tracing", "redaction", "model", "interfaces", "errors", "jobs", "reports", "web"}
    | {"parameters", "atomic_file"},
    "sample": {"model", "errors", "db.sql", "db.pool", "buildbot", "sample"}
    | {"atomic_file", "progress_bar", "reactor_time"},
    "lifecycle": {"errors", "model", "reactor_time"},
    "testing": {"model", "interfaces", "errors"},
    "admin": {"buildbot", "config", "db", "errors", "exit_codes", "interfaces", "model"}
    | {"admin", "atomic_file", "mq", "reports", "web"},
    # What puts the rest together, and is imported by nothing below it.
    "assembly": {
        "__version__",
        "admin",
        "agent",
        "assembly",
        "buildbot",
        "config",
        "db",
        "errors",
        "exit_codes",
        "interfaces",
        "jobs",
    }
    | {"atomic_file", "lifecycle", "model", "mq", "ops", "reports", "sample", "tracing", "web"},
    "cli.admin": {"admin", "assembly", "config", "db.grants", "errors", "exit_codes", "model"}
    | {"cli", "cli.admin", "progress_bar", "reactor_time", "reports"},
    "cli.main": {"cli", "cli.admin"},
    "tap": {"assembly", "config", "errors", "lifecycle", "ops", "reactor_time"},
}
for timed in ("admin", "agent", "assembly", "buildbot", "db", "mq", "ops", "web"):
    ALLOWED[timed] |= {"periodic", "reactor_time"}
PURE = {"model", "jobs", "errors", "reports", "parameters"}
NEVER_IN_PURE = {"twisted", "time", "klein", "treq", "pymysql", "sqlite3", "txamqp", "httpx"}

MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.name != "__init__.py")


def layer_of(module: str) -> str:
    """Return the longest key of the table that covers a module, or its first name."""
    covering = [key for key in ALLOWED if is_within(module, key)]
    return max(covering, key=len, default=module.split(".", maxsplit=1)[0])


def is_within(module: str, name: str) -> bool:
    return module == name or module.startswith(f"{name}.")


def is_allowed(module: str, layer: str) -> bool:
    """Return whether a layer may import a module: a key within another has to be named itself."""
    least = len(layer_of(module)) if layer_of(module) in ALLOWED else 0
    return any(is_within(module, name) and len(name) >= least for name in ALLOWED[layer])


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found.add(node.module or "")
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found.update(name for name in names if is_module(name))
    return found


def is_module(name: str) -> bool:
    path = PACKAGE.parent.joinpath(*name.split("."))
    return name.startswith("buildapi.") and (path.is_dir() or path.with_suffix(".py").exists())


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_a_module_imports_only_what_its_layer_may(path: Path) -> None:
    layer = layer_of(name_of(path))
    ours = {m.removeprefix("buildapi.") for m in imports(path) if m.startswith("buildapi.")}
    bad = {m for m in ours if not is_allowed(m, layer)}
    assert not bad, f"{layer} may not import {sorted(bad)}"


@pytest.mark.parametrize("path", [p for p in MODULES if layer_of(name_of(p)) in PURE], ids=name_of)
def test_pure_layers_touch_no_reactor_clock_or_network(path: Path) -> None:
    tops = {m.split(".")[0] for m in imports(path)}
    assert not tops & NEVER_IN_PURE


def test_the_table_has_every_layer_and_no_other() -> None:
    assert {layer_of(name_of(p)) for p in MODULES} == set(ALLOWED)


@pytest.mark.parametrize(
    ("module", "layer", "allowed"),
    [
        ("cli.terminal", "cli", True),
        ("cli.admin", "cli", False),
        ("cli.admin", "cli.main", True),
        ("db.sql", "buildbot", True),
        ("db.pool", "buildbot", False),
        ("nothing", "cli", False),
    ],
)
def test_a_layer_within_another_has_to_be_named(module: str, layer: str, allowed: bool) -> None:
    assert is_allowed(module, layer) == allowed


def test_an_import_of_a_module_from_its_package_counts(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text("from buildapi.cli import admin", encoding="utf-8")
    assert "buildapi.cli.admin" in imports(tmp_path / "m.py")


def test_a_dialect_is_chosen_in_one_file() -> None:
    """Another dialect is one entry in its table: nobody else knows that there is this one."""
    knowing = {
        name_of(path)
        for path in MODULES
        if not name_of(path).startswith("buildbot.v08.")
        and any(name.startswith("buildapi.buildbot.v08") for name in imports(path))
    }
    assert knowing == {"assembly.dialects"}


ENGINES = {"sqlite", "mysql", "mysql+pymysql", "embedded", "amqp", "amqps"}
TABLES = {"config.addresses", "sample.bulk_writer"}
"""The modules that spell what the URL of an engine or a broker looks like, beside its table."""


def asks_what_it_is(tree: ast.AST) -> list[int]:
    """List the lines that compare with the name of an engine or broker, or ask for its class."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Compare) and _names_engine([node.left, *node.comparators]))
        or (isinstance(node, ast.MatchValue) and _names_engine([node.value]))
        or (isinstance(node, ast.Call) and _is_question(node))
    ]


def _names_engine(parts: list[ast.expr]) -> bool:
    constants = [n.value for p in parts for n in ast.walk(p) if isinstance(n, ast.Constant)]
    return any(isinstance(c, str) and c.partition(":")[0] in ENGINES for c in constants)


def _is_question(call: ast.Call) -> bool:
    if isinstance(call.func, ast.Attribute):
        return call.func.attr in ("startswith", "removeprefix") and _names_engine(call.args)
    if not isinstance(call.func, ast.Name) or call.func.id not in ("isinstance", "issubclass"):
        return False
    names = {n.id for n in ast.walk(call.args[1]) if isinstance(n, ast.Name)}
    return any(name.endswith(("Broker", "Driver", "Database", "Dialect", "Pool")) for name in names)


def test_engines_and_brokers_are_told_apart_by_tables_only() -> None:
    """What differs between them is a fact of their entries, not a question in the code."""
    asking = {
        name_of(path): lines
        for path in MODULES
        if name_of(path) not in TABLES
        and (lines := asks_what_it_is(ast.parse(path.read_text(encoding="utf-8"))))
    }
    assert asking == {}


@pytest.mark.parametrize(
    "question",
    [
        'url.startswith("sqlite:")',
        'if db.dialect == "mysql": pass',
        'kind in ("amqp", "amqps")',
        "isinstance(broker, EmbeddedBroker)",
        'match scheme:\n    case "embedded": pass',
    ],
)
def test_a_question_for_an_engine_or_broker_is_found(question: str) -> None:
    assert asks_what_it_is(ast.parse(question))


def test_urls_that_are_accepted_can_be_opened() -> None:
    assert set(DATABASE_KINDS) == set(DRIVERS)
    assert set(BROKER_KINDS) == set(BROKERS)


def test_the_configuration_allows_the_dialects_there_are(tmp_path: Path) -> None:
    reader = SectionReader(tmp_path, KeyPlace(tmp_path, {}))
    for dialect in DIALECTS:
        section = reader.section("farm", FarmSection, {"dialect": dialect})
        assert section is not None
        assert section.dialect == dialect
    assert reader.section("farm", FarmSection, {"dialect": "no such"}) is None
    assert all(f'"{dialect}"' in str(reader.errors) for dialect in DIALECTS)


def test_a_broker_is_loaded_only_where_it_is_chosen() -> None:
    names = "[name for name in sys.modules if name.startswith(('buildapi.mq', 'txamqp'))]"
    command = [sys.executable, "-c", f"import sys, buildapi.assembly; print({names})"]
    done = subprocess.run(command, cwd=PACKAGE.parent, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
