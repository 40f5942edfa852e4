"""Class the jobs of builders by the builders' names: platform, kind, and a symbol of a few letters.

The symbol is that of a rule, with the number of the chunk that ends the name: ``M3``.  A builder
without a rule has a short form of what its name says beyond platform, branch and build type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial

import attrs

from buildapi.model.job_class import JobClass
from buildapi.reports.classification import KEPT, NAME_MAX, SYMBOL_MAX, Classification

CHUNK_DIGITS = 3
WORD_MAX = SYMBOL_MAX - CHUNK_DIGITS
"""Characters of a word that stands for a name; the number of a chunk may follow."""

INITIALS = 4
UNKNOWN = "?"
"""The symbol of a name without a letter or digit."""

_CHUNK = re.compile(rf"[ _-]0*(\d{{1,{CHUNK_DIGITS}}})\Z")
_WORD = re.compile(r"[^\W_]+")
# What jobs are whatever they do: shown beside the symbol, or said of everything here.
_GENERAL = frozenset(
    ["build", "builder", "builds", "debug", "opt", "pgo", "release", "test", "tests"]
)


@attrs.define
class JobClasses:
    """Class builders by the rules; the classes of up to ``KEPT`` names are cached."""

    _rules: Classification = attrs.field(repr=False)
    _known: dict[tuple[str, str], JobClass] = attrs.field(factory=dict, init=False, repr=False)

    def adopt(self, rules: Classification) -> None:
        """Replace the rules (after a reload)."""
        self._rules = rules
        self._known.clear()

    def on(self, branch: str) -> Callable[[str], JobClass]:
        """Return a function from the name of a builder of this branch to its class."""
        return partial(self.of, branch)

    def of(self, branch: str, builder: str) -> JobClass:
        """Return the class of a builder of a branch."""
        key = branch, builder
        found = self._known.get(key)
        if found is None:
            found = job_class(self._rules, branch, builder)
            if len(self._known) < KEPT:
                self._known[key] = found
        return found


def job_class(rules: Classification, branch: str, builder: str) -> JobClass:
    """Return the class of a builder; its symbol has 1 to ``SYMBOL_MAX`` printable characters."""
    kinds = rules.build_type(builder), rules.job_type(builder)
    symbol = rules.symbol(builder)
    return JobClass(
        platform=rules.platform(builder) or rules.fallback,
        kind=" ".join(kind for kind in kinds if kind) or rules.fallback,
        symbol=(symbol or _short(_telling(rules, branch, builder))) + _chunk(builder),
    )


def _chunk(builder: str) -> str:
    """Return the number that ends a name, without zeros before it."""
    found = _CHUNK.search(builder[-20:])
    return found[1] if found else ""


def _telling(rules: Classification, branch: str, builder: str) -> Sequence[str]:
    """Return the words of a name beyond platform, branch and build type; all if none is left."""
    name = builder[:NAME_MAX]
    without = {*_GENERAL, *(word.lower() for word in _words(branch))}

    def left(text: str) -> Sequence[str]:
        found = [word for word in _words(text) if word.lower() not in without]
        platform = rules.groups["platform"]
        return [word for word in found if platform.name(word) is None]

    # Names of Mozilla's builders begin with the platform, whose words no rule knows one by one.
    after = name.partition(branch)[2] if branch else ""
    return left(after) or left(name) or _words(name)


def _words(text: str) -> Sequence[str]:
    return [word for word in _WORD.findall(text) if not word.isdecimal()]


def _short(words: Sequence[str]) -> str:
    if len(words) == 1:
        return words[0][:WORD_MAX]
    return "".join(word[0] for word in words[:INITIALS]) or UNKNOWN
