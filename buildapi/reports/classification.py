"""Classify names by the ordered rules of a TOML document: the first match wins.

Patterns are regular expressions anchored at the start only; ``*_like`` are SQL LIKE patterns.
docs/classification.md describes the groups of rules.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import attrs

from buildapi.errors import ConfigError

# Each is an array of tables, whose order decides (docs/classification.md, "Rules").
RULES = (
    "platform",
    "build_type",
    "job_type",
    "symbol",
    "branch",
    "slave_silo",
    "testruns_platform",
)
NAME_MAX = 2000
"""Characters of a name that patterns look at: bounds the time for a hostile name."""

SYMBOL_MAX = 8
"""Characters of a symbol with the number of its chunk; a rule gives at most five."""

SYMBOL_NAME_MAX = 5


@attrs.frozen
class Rule:
    """A class name, and the patterns of the names that belong to it."""

    name: str
    patterns: tuple[re.Pattern[str], ...]

    def fits(self, text: str) -> bool:
        """Return whether a pattern matches the beginning of a text."""
        return any(p.match(text[:NAME_MAX]) for p in self.patterns)


@attrs.frozen
class Group:
    """Ordered rules; the classes of up to ``KEPT`` texts are cached."""

    rules: tuple[Rule, ...] = ()
    _known: dict[str, str | None] = attrs.field(factory=dict, init=False, eq=False, repr=False)

    def name(self, text: str) -> str | None:
        """Return the name of the first rule that fits; None if none does."""
        if text in self._known:
            return self._known[text]
        found = next((rule.name for rule in self.rules if rule.fits(text)), None)
        # No more than that: any client can choose the name in /reports/builder/{buildername}.
        if len(self._known) < KEPT:
            self._known[text] = found
        return found

    @property
    def names(self) -> tuple[str, ...]:
        """List the class names in order."""
        return tuple(rule.name for rule in self.rules)


KEPT = 20_000


@attrs.frozen
class Like:
    """The builders whose pending requests belong to a pool, by SQL LIKE patterns."""

    like: tuple[re.Pattern[str], ...] = ()
    not_like: tuple[re.Pattern[str], ...] = ()

    def fits(self, text: str) -> bool:
        """Return whether all of ``like`` and none of ``not_like`` match the whole text."""
        return all(p.fullmatch(text) for p in self.like) and not any(
            p.fullmatch(text) for p in self.not_like
        )


@attrs.frozen
class Pools:
    """Pools of masters: their names, the default, by role of a master, and of pending requests."""

    names: tuple[str, ...]
    default: str
    by_role: Mapping[str, str]
    pending: Sequence[tuple[str, Like]]

    def of_builder(self, name: str) -> str | None:
        """Return the pool of a builder by its name; None if no rule fits."""
        return next((pool for pool, like in self.pending if like.fits(name)), None)


@attrs.frozen
class TestRuns:
    """Builds, steps and names that the report of test runs selects."""

    categories: tuple[str, ...] = ()
    step_names: tuple[str, ...] = ()
    step_name_like: tuple[str, ...] = ()
    exclude_builders: tuple[str, ...] = ()
    results: tuple[int, ...] = (0, 1)
    min_seconds: int = 10
    max_seconds: int = 86_400
    build_types: tuple[str, ...] = ("debug", "opt")
    suites: tuple[str, ...] = ()
    platform_fallback: str = "other"


@attrs.frozen
class Exclusions:
    """Rows that reports leave out."""

    builders_like: tuple[str, ...] = ()
    reasons_like: tuple[str, ...] = ()
    comments_like: tuple[str, ...] = ()
    repacks: tuple[re.Pattern[str], ...] = ()
    push_branches_like: tuple[str, ...] = ()
    push_links: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    marker: str = "try:"
    idle_like: tuple[str, ...] = ("%idle%",)


@attrs.frozen
class Classification:
    """All rules about names."""

    groups: Mapping[str, Group]
    pools: Pools
    reasons: Sequence[tuple[str, re.Pattern[str]]]
    testruns: TestRuns
    excluded: Exclusions
    strip_prefix: str = ""
    fallback: str = "other"

    def platform(self, builder: str) -> str | None:
        """Return the platform of a builder, else ``fallback``; None for an empty name."""
        if not builder:
            return None
        return self.groups["platform"].name(builder.removeprefix(self.strip_prefix)) or (
            self.fallback
        )

    def build_type(self, builder: str) -> str | None:
        """Return the build type of a builder, such as ``opt``; None if no rule fits."""
        return self.groups["build_type"].name(builder) if builder else None

    def job_type(self, builder: str) -> str | None:
        """Return the job type of a builder; None if no rule fits."""
        return self.groups["job_type"].name(builder) if builder else None

    def symbol(self, builder: str) -> str | None:
        """Return the letters that stand for jobs of a builder; None if no rule fits."""
        return self.groups["symbol"].name(builder) if builder else None

    def branch(self, stored: str | None) -> str | None:
        """Return the short name of a stored branch; if no rule fits, itself in lower case."""
        if not stored:
            return None
        # Rules of branches see lower case only, those of builders the names as they are stored.
        return self.groups["branch"].name(stored.lower()) or stored.lower()

    def silo(self, slave: str) -> str | None:
        """Return the silo (class of machines) of a slave; None if no rule fits."""
        return self.groups["slave_silo"].name(slave) if slave else None

    def test_platform(self, builder: str) -> str:
        """Return the platform of a builder of the status database, or the fallback."""
        found = self.groups["testruns_platform"].name(builder)
        return found or self.testruns.platform_fallback

    def test_build_type(self, builder: str) -> str:
        """Return the first build type that a builder name contains, else ``other``."""
        low = builder.lower()
        # Anywhere in the name: these are words, not patterns that begin at its start.
        return next((t for t in self.testruns.build_types if t in low), "other")

    def reason(self, text: str | None) -> str | None:
        """Return the kind of a buildset's reason; None if no rule fits."""
        if text is None:
            return None
        return next((name for name, p in self.reasons if p.match(text)), None)


def from_document(document: Mapping[str, object], where: str) -> Classification:
    """Read a classification; errors begin with ``where``.

    :raises ConfigError: with one line for each error.
    """
    reader = _Reader(where)
    found = reader.classification(document)
    if reader.errors:
        raise ConfigError("\n".join(reader.errors))
    return found


def like_pattern(pattern: str) -> re.Pattern[str]:
    """Compile an SQL LIKE pattern, case-insensitive; use it with ``fullmatch``."""
    parts = (_WILD.get(c) or re.escape(c) for c in pattern)
    # As MySQL compares with its default collations: LIKE ignores case, and % matches line feeds.
    return re.compile("".join(parts), re.IGNORECASE | re.DOTALL)


_WILD = {"%": ".*", "_": "."}


@attrs.define
class _Reader:
    where: str
    errors: list[str] = attrs.field(factory=list)

    def classification(self, document: Mapping[str, object]) -> Classification:
        options = self._table(document, "platform_options")
        groups = {name: self._group(document, name) for name in RULES}
        self._check_symbols(groups["symbol"])
        return Classification(
            groups=groups,
            pools=self._pools(document),
            reasons=self._reasons(document),
            testruns=self._testruns(document),
            excluded=self._exclusions(document),
            strip_prefix=self._text(options, "platform_options", "strip_prefix", ""),
            fallback=self._text(options, "platform_options", "fallback", "other"),
        )

    def _refuse(self, what: str) -> None:
        self.errors.append(f"{self.where}: {what}")

    def _table(self, document: Mapping[str, object], name: str) -> Mapping[str, object]:
        value = document.get(name, {})
        if isinstance(value, dict):
            return value
        self._refuse(f"[{name}] must be a table")
        return {}

    def _entries(self, document: Mapping[str, object], name: str) -> Iterable[Mapping[str, object]]:
        value = document.get(name, [])
        if not isinstance(value, list) or not all(isinstance(e, dict) for e in value):
            self._refuse(f"[[{name}]] must be a list of tables")
            return []
        return value

    def _group(self, document: Mapping[str, object], group: str) -> Group:
        entries = self._entries(document, group)
        return Group(tuple(self._rule(entry, f"[[{group}]]") for entry in entries))

    def _check_symbols(self, group: Group) -> None:
        for name in group.names:
            if not (1 <= len(name) <= SYMBOL_NAME_MAX and name.isprintable() and name.strip()):
                self._refuse(
                    f"[[symbol]] name {name[:200]!r} is not a symbol"
                    f" (expected 1 to {SYMBOL_NAME_MAX} printable characters)"
                )

    def _rule(self, entry: Mapping[str, object], place: str) -> Rule:
        name = self._text(entry, place, "name")
        patterns = self._texts(entry, f"{place} {name}", "patterns")
        return Rule(name, self._expressions(patterns, f"{place} {name}"))

    def _expressions(self, patterns: Sequence[str], place: str) -> tuple[re.Pattern[str], ...]:
        found = [self._expression(p, place) for p in patterns]
        return tuple(p for p in found if p is not None)

    def _expression(self, pattern: str, place: str) -> re.Pattern[str] | None:
        try:
            return re.compile(pattern)
        # re also fails with these two: too many parentheses, too large a number of repetitions.
        except (re.error, RecursionError, OverflowError) as e:
            self._refuse(f"{place}: {pattern[:200]!r} is not a regular expression: {e}")
            return None

    def _reasons(self, document: Mapping[str, object]) -> list[tuple[str, re.Pattern[str]]]:
        found = []
        for entry in self._entries(document, "buildset_reason"):
            name = self._text(entry, "[[buildset_reason]]", "name")
            pattern = self._text(entry, f"[[buildset_reason]] {name}", "pattern")
            expression = self._expression(pattern, f"[[buildset_reason]] {name}")
            if expression is not None:
                found.append((name, expression))
        return found

    def _pools(self, document: Mapping[str, object]) -> Pools:
        table = self._table(document, "pools")
        names = self._texts(table, "[pools]", "names") or ("buildpool",)
        default = self._text(table, "[pools]", "default", names[0])
        by_role = self._table(table, "by_master_role")
        pending = [
            (self._text(entry, "[[pending_pool]]", "name"), self._like(entry))
            for entry in self._entries(document, "pending_pool")
        ]
        for pool in (default, *by_role.values(), *(name for name, _ in pending)):
            if pool not in names:
                self._refuse(f"[pools] has no pool {pool!r} (allowed: {', '.join(names)})")
        return Pools(names, default, {r: str(pool) for r, pool in by_role.items()}, pending)

    def _like(self, entry: Mapping[str, object]) -> Like:
        yes = self._texts(entry, "[[pending_pool]]", "buildername_like")
        no = self._texts(entry, "[[pending_pool]]", "buildername_not_like")
        return Like(tuple(map(like_pattern, yes)), tuple(map(like_pattern, no)))

    def _exclusions(self, document: Mapping[str, object]) -> Exclusions:
        waits, pushes = "waittimes_report", "pushes_report"
        tables = {n: self._table(document, n) for n in (waits, pushes, *_OTHERS)}

        def texts(table: str, key: str) -> tuple[str, ...]:
            return self._texts(tables[table], f"[{table}]", key)

        repacks = texts(waits, "buildername_exclude")
        tries = tables["trychooser_report"]
        return Exclusions(
            builders_like=texts(waits, "buildername_not_like"),
            reasons_like=texts(waits, "reason_not_like"),
            comments_like=texts(waits, "comments_not_like"),
            repacks=self._expressions(repacks, f"[{waits}] buildername_exclude"),
            push_branches_like=texts(pushes, "branch_not_like"),
            push_links=texts(pushes, "link_prefixes"),
            authors=texts("trychooser_report", "exclude_authors"),
            marker=self._text(tries, "[trychooser_report]", "comment_marker", "try:"),
            idle_like=texts("idlejobs_report", "category_like") or ("%idle%",),
        )

    def _testruns(self, document: Mapping[str, object]) -> TestRuns:
        table, place = self._table(document, "testruns"), "[testruns]"
        results = table.get("results", [0, 1])
        if not isinstance(results, list) or not all(isinstance(r, int) for r in results):
            self._refuse("[testruns] results must be a list of whole numbers")
            results = []
        return TestRuns(
            categories=self._texts(table, place, "categories"),
            step_names=self._texts(table, place, "step_names"),
            step_name_like=self._texts(table, place, "step_name_like"),
            exclude_builders=self._texts(table, place, "exclude_builders"),
            suites=self._texts(table, place, "suites"),
            min_seconds=self._whole(table, place, "min_seconds", 10),
            max_seconds=self._whole(table, place, "max_seconds", 86_400),
            results=tuple(results),
            build_types=self._texts(table, place, "build_types") or ("debug", "opt"),
            platform_fallback=self._text(table, place, "platform_fallback", "other"),
        )

    def _whole(self, table: Mapping[str, object], place: str, key: str, default: int) -> int:
        value = table.get(key, default)
        # Not isinstance(): TOML's true is an int in Python.
        if type(value) is not int or value < 0:
            self._refuse(f"{place} {key} must be a whole number from 0")
            return default
        return value

    def _text(
        self, table: Mapping[str, object], place: str, key: str, default: str | None = None
    ) -> str:
        value = table.get(key, default)
        if not isinstance(value, str):
            self._refuse(f"{place} needs a string {key}")
            return ""
        return value

    def _texts(self, table: Mapping[str, object], place: str, key: str) -> tuple[str, ...]:
        value = table.get(key, [])
        if not isinstance(value, list) or not all(isinstance(t, str) for t in value):
            self._refuse(f"{place} {key} must be a list of strings")
            return ()
        return tuple(value)


_OTHERS = ("trychooser_report", "idlejobs_report")


def unmatched(
    rules: Classification, builders: Iterable[str], slaves: Iterable[str]
) -> Mapping[str, Sequence[str]]:
    """List by group the builders and slaves that no rule matches, sorted."""
    of_builders: dict[str, Callable[[str], str | None]] = {
        "platform": lambda n: rules.groups["platform"].name(n.removeprefix(rules.strip_prefix)),
        "build_type": rules.build_type,
        "job_type": rules.job_type,
    }
    names = sorted(set(builders))
    found = {g: [n for n in names if name(n) is None] for g, name in of_builders.items()}
    return {**found, "slave_silo": sorted(s for s in set(slaves) if rules.silo(s) is None)}
