"""Every Protocol has a contract class, which runs on every implementation and every double.

All of it is found in the source: a new Protocol, implementation or double needs no entry here.
A contract of ``Broker`` is a class ``BrokerContract``; it runs on what its subclasses name.  A
class implements a Protocol if it has all of its methods with the same parameters.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parent.parent.parent

REACTOR = "describes a part of Twisted, which its own tests hold to its interface"
WITHOUT_CONTRACT = {
    "DialectDatabase": "a Database with the name of its engine, for the creation of tables",
    "BrokerUnderTest": "what implementers of a broker give to its contract",
    "Report": "values that pure functions compute; tests of each report compare all of them",
    "BatchStore": "what TrailStore and AuditStore have in common; their contracts hold it",
    "DelayedCall": REACTOR,
    "ReactorTime": REACTOR,
    "Connection": "describes a part of DB-API [PEP 249], which the drivers' modules implement",
    "LineFile": "a Sink as the access log sees it; SinkContract holds it",
    "ThreadedReactor": REACTOR,
    "Reactor": REACTOR,
    "ListeningPort": REACTOR,
    "Endpoint": REACTOR,
}
"""Protocols in the package that need no contract class, with the reason."""

Methods = Mapping[str, tuple[str, ...]]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@attrs.frozen(eq=False)
class Class:
    """A class of ours; ``path`` is relative to the repository."""

    path: str
    node: ast.ClassDef = attrs.field(repr=False)

    def __str__(self) -> str:
        return f"{self.name} of {self.path}"

    @property
    def name(self) -> str:
        return self.node.name

    @property
    def bases(self) -> Sequence[str]:
        return [_named(base) for base in self.node.bases if not isinstance(base, ast.Attribute)]

    @property
    def is_protocol(self) -> bool:
        return "Protocol" in self.bases

    @property
    def later(self) -> Sequence[str]:
        """What a return type has that is awaited; of a double it may be anything."""
        return (
            ("Async", "Awaitable", "Deferred")
            if self.is_protocol
            else ("Async", "Awaitable", "Deferred", "Any")
        )

    @property
    def asynchronous(self) -> set[str]:
        """The names of its methods that return what can be awaited or iterated."""
        found = [node for node in self.node.body if isinstance(node, Function)]
        return {
            node.name
            for node in found
            if isinstance(node, ast.AsyncFunctionDef)
            or any(word in ast.unparse(node.returns or ast.Pass()) for word in self.later)
        }

    @property
    def own(self) -> Methods:
        """The public methods in its body, each with the names of its parameters."""
        return {
            node.name: parameters(node)
            for node in self.node.body
            if isinstance(node, Function)
            and not node.name.startswith("_")
            and not any(_named(d) in ("property", "fixture") for d in node.decorator_list)
        }


def _named(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript):
        return _named(node.value)
    if isinstance(node, ast.Call):
        return _named(node.func)
    return getattr(node, "id", getattr(node, "attr", ""))


def parameters(node: Function) -> tuple[str, ...]:
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return tuple(argument.arg for argument in every)[1:]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def classes() -> Sequence[Class]:
    """List all classes of the package and of its tests, also those inside of functions."""
    return [
        Class(str(path.relative_to(ROOT)), node)
        for folder in ("buildapi", "tests")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ClassDef)
    ]


@cache
def asynchronous(of: Class) -> set[str]:
    """Return the names of the asynchronous methods of a class, inherited ones included."""
    found = set(of.asynchronous)
    for one in ancestors(of):
        found |= one.asynchronous - set(of.own)
    return found


@cache
def by_name() -> Mapping[str, Sequence[Class]]:
    found: dict[str, list[Class]] = {}
    for one in classes():
        found.setdefault(one.name, []).append(one)
    return found


@cache
def ancestors(of: Class) -> Sequence[Class]:
    """List the classes of ours that a class inherits from, the nearest first."""
    every: list[Class] = []
    for base in of.bases:
        found = [c for c in by_name().get(base, ()) if c is not of]
        here = [c for c in found if c.path == of.path]
        for one in (here or found)[:1]:
            every += [one, *ancestors(one)]
    return every


@cache
def methods(of: Class) -> Methods:
    """Return the public methods of a class, inherited ones included."""
    found: dict[str, tuple[str, ...]] = {}
    for one in (of, *ancestors(of)):
        found = {**one.own, **found}
    return found


def same(one: Class, protocol: Class) -> list[str]:
    """List the methods of a Protocol that a class has with the same parameters."""
    found, later = methods(one), asynchronous(one)
    return [
        name
        for name, given in methods(protocol).items()
        if found.get(name) == given and (name in later or name not in asynchronous(protocol))
    ]


@cache
def protocols() -> Sequence[Class]:
    """List the Protocols of the package that have methods; others only describe values."""
    found = [c for c in classes() if is_ours(c) and c.is_protocol]
    return [c for c in found if methods(c) and c.name not in WITHOUT_CONTRACT]


@cache
def implements(one: Class, protocol: Class) -> bool:
    """Return whether a class has all methods of a Protocol."""
    if one.is_protocol or one.name.endswith("Contract"):
        return False
    return len(same(one, protocol)) == len(methods(protocol))


def stands_for(one: Class, protocol: Class) -> bool:
    """Return whether tests may use a class in place of a Protocol, of which it has a part.

    It passes the rest on (``__getattr__``), or has half of the methods and no other role.
    """
    if not one.path.startswith("tests/") or one.is_protocol or one.name.endswith("Contract"):
        return False
    wanted, found = methods(protocol), methods(one)
    if any(getattr(node, "name", "") == "__getattr__" for node in one.node.body):
        return any(found[n] == wanted[n][: len(found[n])] != () for n in set(wanted) & set(found))
    count = len(same(one, protocol))
    is_part = count > 1 and count * 2 >= len(wanted)
    return is_part and not any(implements(one, other) for other in protocols())


def is_as_its_base(one: Class, protocol: Class) -> bool:
    """Return whether it only inherits what another class implements."""
    return not set(one.own) & set(methods(protocol)) and any(
        implements(base, protocol) for base in ancestors(one)
    )


def contract(protocol: Class) -> Class | None:
    """Return the contract class of a Protocol."""
    return next(iter(by_name().get(f"{protocol.name}Contract", ())), None)


def mentioned(test: Class) -> set[str]:
    """Return the names in a test class, and in the functions and classes of its module it uses.

    A fixture is used by the parameter of a test, which may stand in the contract.
    """
    module = tree(ROOT / test.path)
    defined: dict[str, ast.stmt] = {}
    for node in module.body:
        targets = node.targets if isinstance(node, ast.Assign) else [node]
        defined |= {getattr(t, "name", getattr(t, "id", "")): node for t in targets}
    seen: set[str] = set()
    ahead = [test.node, *(c.node for c in ancestors(test) if c.name.endswith("Contract"))]
    names = set().union(*map(_fixtures, ahead)) | _names(test.node)
    while names - seen:
        name = (names - seen).pop()
        seen.add(name)
        if name in defined and defined[name] is not test.node:
            names |= _names(defined[name])
    return seen


def _names(node: ast.AST) -> set[str]:
    found = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return found | {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}


def _fixtures(node: ast.ClassDef) -> set[str]:
    return {n.arg for n in ast.walk(node) if isinstance(n, ast.arg)}


def runs(of: Class) -> Iterable[Class]:
    """List the test classes that run a contract."""
    return [c for c in classes() if c.name.startswith("Test") and of in ancestors(c)]


def implementers(protocol: Class) -> Sequence[Class]:
    found = [c for c in classes() if implements(c, protocol) or stands_for(c, protocol)]
    return [c for c in found if not is_as_its_base(c, protocol)]


# To read all sources takes seconds: the tests go over the Protocols when they run, not when they
# are collected, which each worker does.
def test_every_protocol_has_a_contract_that_runs_on_all_that_implement_it() -> None:
    wrong = [text for protocol in protocols() if (text := lacking(protocol))]
    assert not wrong, "\n".join(wrong)


def lacking(protocol: Class) -> str:
    """List what the contract of a Protocol lacks."""
    tests = contract(protocol)
    if tests is None:
        return f"no class {protocol.name}Contract tests what {protocol} promises"
    tested = set().union(*map(mentioned, runs(tests)))
    missing = [c for c in implementers(protocol) if c.name not in tested]
    return f"{tests.name} does not run on {', '.join(map(str, missing))}" if missing else ""


def test_the_lists_name_protocols_that_are_there() -> None:
    there = {c.name for c in classes() if is_ours(c) and c.is_protocol}
    assert {*WITHOUT_CONTRACT} <= there


def test_every_interface_has_implementations_that_are_found() -> None:
    """Else the comparison of methods has an error, or nobody implements it."""
    assert protocols()
    nobody = [p for p in protocols() if not any(is_ours(c) for c in implementers(p))]
    assert not nobody, f"nothing implements {', '.join(map(str, nobody))}"


def is_ours(one: Class) -> bool:
    return one.path.startswith("buildapi/")


FINDS = [
    ("class D:\n async def stop(self, seconds): ...", "Consumer", True),
    ("class D:\n def stop(self, seconds) -> None: ...", "Consumer", False),
    ("class D:\n async def stop(self): ...", "Consumer", False),
    ("class D:\n async def revoke(self, token_id, who): ...", "TokenStore", False),
    (
        "class D:\n async def add(self, entries): ...\n async def forget(self, before): ...",
        "TrailStore",
        True,
    ),
    (
        "class D:\n def __getattr__(self, name): ...\n async def depth(self, queue): ...",
        "Broker",
        True,
    ),
]


@pytest.mark.parametrize(("text", "role", "found"), FINDS, ids=range(len(FINDS)))
def test_a_double_is_found_by_its_methods_also_where_it_has_a_part_of_them(
    text: str, role: str, found: bool
) -> None:
    (node,) = ast.parse(text).body
    assert isinstance(node, ast.ClassDef)
    double = Class("tests/x.py", node)
    (protocol,) = [p for p in protocols() if p.name == role]
    assert (implements(double, protocol) or stands_for(double, protocol)) is found
