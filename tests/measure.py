"""Measure the house: ``python -m tests.measure [PACKAGE]`` prints a table of figures.

Figures are a thermometer, not the aim: they say where to look.
"""

from __future__ import annotations

import argparse
import ast
import io
import re
import statistics
import sys
import tokenize
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs

ROOT = Path(__file__).parent.parent
Function = ast.FunctionDef | ast.AsyncFunctionDef


@attrs.frozen
class Module:
    """A parsed module; ``name`` is dotted."""

    name: str
    text: str
    tree: ast.Module

    @classmethod
    def read(cls, path: Path, root: Path) -> Module:
        """Read and parse a file."""
        name = ".".join(path.relative_to(root.parent).with_suffix("").parts)
        text = path.read_text(encoding="utf-8")
        return cls(name.removesuffix(".__init__"), text, ast.parse(text))

    def functions(self) -> Iterator[Function]:
        """List the functions and methods."""
        yield from (n for n in ast.walk(self.tree) if isinstance(n, Function))

    def imported(self) -> set[str]:
        """List the names of what is imported, as dotted names."""
        found = set[str]()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                found |= {node.module, *(f"{node.module}.{a.name}" for a in node.names)}
            elif isinstance(node, ast.Import):
                found |= {a.name for a in node.names}
        return found


def imported_once(modules: Sequence[Module]) -> int:
    """Count the modules that exactly one other one imports."""
    names = {m.name for m in modules}
    users = Counter(name for m in modules for name in (m.imported() & names) - {m.name})
    return sum(count == 1 for count in users.values())


def lengths(modules: Sequence[Module]) -> list[int]:
    """Return the lines of each function without its docstring, ascending."""
    return sorted(_length(f) for m in modules for f in m.functions())


def _length(function: Function) -> int:
    whole = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if ast.get_docstring(function, clean=False) is None or len(function.body) == 1:
        return whole
    return whole - ((first.end_lineno or first.lineno) - first.lineno + 1)


def private_used_once(modules: Sequence[Module]) -> tuple[int, int]:
    """Count the private functions that are named once besides their definition, and all."""
    once = total = 0
    for module in modules:
        for function in module.functions():
            if function.name.startswith("_") and not function.name.startswith("__"):
                total += 1
                once += len(re.findall(rf"\b{function.name}\b", module.text)) == 2
    return once, total


def comments(modules: Sequence[Module]) -> float:
    """Return the comment lines in a hundred lines, without those about exceptions to rules."""
    count = 0
    for module in modules:
        tokens = tokenize.generate_tokens(io.StringIO(module.text).readline)
        count += sum(
            t.type == tokenize.COMMENT and not re.match(r"# (noqa|type:|---)", t.string)
            for t in tokens
        )
    return 100 * count / sum(len(m.text.splitlines()) for m in modules)


def any_in_signatures(modules: Sequence[Module]) -> tuple[int, int]:
    """Count the annotations of parameters and results that name Any, and those of reactors."""
    found, reactors = 0, 0
    for module in modules:
        for function in module.functions():
            arguments = function.args
            every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            every += [a for a in (arguments.vararg, arguments.kwarg) if a]
            named = [a for a in every if a.annotation and _names_any(a.annotation)]
            found += len(named) + bool(function.returns and _names_any(function.returns))
            reactors += sum("reactor" in a.arg for a in named)
    return found, reactors


def _names_any(annotation: ast.expr) -> bool:
    return any(isinstance(n, ast.Name) and n.id == "Any" for n in ast.walk(annotation))


def bases(tree: ast.Module) -> Iterator[tuple[ast.ClassDef, set[str]]]:
    """List the classes with the names of their bases."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield node, {n.id for b in node.bases for n in ast.walk(b) if isinstance(n, ast.Name)}


def protocols(modules: Sequence[Module]) -> list[str]:
    """List the protocols."""
    return [c.name for m in modules for c, named in bases(m.tree) if "Protocol" in named]


def contract_classes(tests: Path) -> int:
    """Count the classes of contract tests."""
    names = set[str]()
    for path in sorted(tests.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        names |= {c.name for c, _ in bases(tree) if c.name.endswith("Contract")}
    return len(names)


def figures(package: Path) -> Iterator[tuple[str, str]]:
    """Yield the lines of the table."""
    modules = [Module.read(path, package) for path in sorted(package.rglob("*.py"))]
    real = [m for m in modules if len(m.text.splitlines()) > 8]
    yield "modules / lines", f"{len(real)} / {sum(len(m.text.splitlines()) for m in modules):,}"
    yield "modules imported by exactly one other", str(imported_once(real))
    sizes = lengths(modules)
    p95 = sizes[int(len(sizes) * 0.95)]
    yield "functions: median / p95 / max", f"{statistics.median(sizes):g} / {p95} / {sizes[-1]}"
    once, total = private_used_once(modules)
    yield "private functions used once", f"{once} of {total}"
    yield "comments per 100 lines", f"{comments(modules):.1f}"
    found, reactors = any_in_signatures(modules)
    yield "Any in signatures (of them reactors)", f"{found} ({reactors})"
    outside = [m for m in modules if ".buildbot.v08" not in m.name]
    knowing = [m for m in outside if any(".buildbot.v08" in name for name in m.imported())]
    yield "files outside that import buildbot.v08", str(len(knowing))
    yield (
        "protocols / classes of contract tests",
        (f"{len(protocols(modules))} / {contract_classes(package.parent / 'tests')}"),
    )


def main(arguments: Sequence[str]) -> None:
    """Print the table of a package, by default of ours."""
    parser = argparse.ArgumentParser("python -m tests.measure", description=__doc__)
    parser.add_argument(
        "package", nargs="?", type=Path, default=ROOT / "buildapi", help="its folder"
    )
    package: Path = parser.parse_args(arguments).package
    if not any(package.rglob("*.py")):
        parser.error(f"{package}: no folder with modules")
    for name, figure in figures(package):
        sys.stdout.write(f"{name:40}  {figure}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
