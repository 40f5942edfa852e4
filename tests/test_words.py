"""Hold docstrings, comments, texts and pages to the words of docs/glossary.md."""

from __future__ import annotations

import ast
import functools
import io
import re
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import pytest

ROOT = Path(__file__).parent.parent
CODE = ("buildapi", "bench", "twisted", "plugins")
PAGES = ("README.md", "CONTRIBUTING.md", "buildapi.example.toml", "docs", "deploy", "plugins")
SUFFIXES = {".md", ".toml", ".sql", ".html", ".js", ".css", ".yml", ".cfg", ".conf", ".service"}
TRAIL = "a word of the audit trail, which never changes"


@attrs.frozen
class Banned:
    """A word that the glossary replaces by another one, and the files that may have it."""

    pattern: str
    instead: str
    excepted: dict[str, str] = attrs.field(factory=dict)

    def lines(self, file: str, text: str) -> Iterator[str]:
        """Yield each line of a text that has the word; a phrase may go over the end of a line."""
        if file in self.excepted:
            return
        for found in re.finditer(self.pattern.replace(" ", r"[\s#*]+"), text, re.IGNORECASE):
            number = text.count("\n", 0, found.start()) + 1
            yield f"{file}:{number}: {found[0]!r}: say {self.instead}"


BANNED = (
    Banned(
        r"\bput(s|ting)? aside\b",
        "dead-letter",
        dict.fromkeys(
            ("buildapi/agent/agent.py", "buildapi/agent/result_consumer.py", "docs/logging.md"),
            TRAIL,
        ),
    ),
    Banned(r"\bsigns? of life\b", "heartbeat"),
    Banned(r"\bat a glance\b", "summary"),
    Banned(r"\b(came|comes?|became|becomes?) of (it|them|each|jobs?|requests?|the)\b", "outcome"),
    Banned(r"\ball the same\b", "nevertheless"),
    Banned(r"\banew\b", "again"),
    Banned(r"\bmessages? comes? again\b", "is redelivered"),
    Banned(r"\b(gives?|gave) (it )?back\b", "requeue, return or release"),
    Banned(r"\bthe house\b", "the code"),
    Banned(r"\blook(s|ed)? at what is there\b", "check the farm"),
    Banned(r"\bwhat is in hand\b", "unfinished work"),
    Banned(r"\b(is|are) no (JSON|number|URL|text|name|date|table|file)\b", "is not a ..."),
    Banned(r"\btakes? no (messages|writes|changes)\b", "accepts no ..."),
    Banned(r"\bis there already\b", "already exists"),
)


def _files(folders: tuple[str, ...], suffixes: set[str]) -> Iterator[Path]:
    for name in folders:
        top = ROOT / name
        found = sorted(top.rglob("*")) if top.is_dir() else [top]
        yield from (path for path in found if path.is_file() and path.suffix in suffixes)


def prose(source: str) -> str:
    """Return a module with nothing but its comments and strings, each on its own lines."""
    lines = [""] * (source.count("\n") + 2)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in (tokenize.COMMENT, tokenize.STRING):
            for number, line in enumerate(token.string.split("\n"), token.start[0] - 1):
                lines[number] += line
    return "\n".join(lines)


@functools.cache
def _texts() -> Mapping[str, str]:
    """Return the text of each file that people read."""
    files = [*_files(CODE, {".py"}), *_files((*PAGES, *CODE), SUFFIXES)]
    return {str(path.relative_to(ROOT)): path.read_text() for path in files}


@pytest.mark.parametrize("banned", BANNED, ids=lambda banned: banned.pattern)
def test_words_that_the_glossary_replaces_are_used_nowhere(banned: Banned) -> None:
    found: list[str] = []
    for file, text in _texts().items():
        if any(banned.lines(file, text)):
            found += banned.lines(file, prose(text) if file.endswith(".py") else text)
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize("banned", [b for b in BANNED if b.excepted], ids=lambda b: b.pattern)
def test_each_exception_is_needed(banned: Banned) -> None:
    everywhere = attrs.evolve(banned, excepted={})
    for name in banned.excepted:
        assert list(everywhere.lines(name, (ROOT / name).read_text())), name


# The first four are replaced by the glossary; the others begin a noun or a clause.
NO_VERB = re.compile(
    "Give|Tell|Take|Say|An?|The|This|That|It|What|Which|Who|How|Where|When|If|Whether"
    "|All|Any|Each|Every|No|Not|Only|One|Some|To|For|From|In|Of|On|With"
)
# A third person, a participle or a noun: Reads, Reading, Closed, Connection, Statement.
NO_IMPERATIVE = re.compile(r".*([^s]s|ing|[^e]ed|tion|ment)")
VERBS = {"Bring", "Comment", "Embed", "Implement", "Increment", "Mention", "Ping"}


def is_imperative(word: str) -> bool:
    """Return whether a word may be a verb in the imperative, as far as its letters tell."""
    known = word in VERBS or not NO_IMPERATIVE.fullmatch(word)
    return word[:1].isupper() and known and not NO_VERB.fullmatch(word)


def test_docstrings_of_functions_begin_with_a_verb_in_the_imperative() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {text.splitlines()[0]}"
        for path in _files(CODE, {".py"})
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (text := ast.get_docstring(node)) is not None
        and not is_imperative(re.split(r"[\s.,:;]", text, maxsplit=1)[0])
    ]
    assert not found, "\nbegin with Return, List, Yield, Accept, ...:\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("word", "verb"),
    [
        *[(word, True) for word in ("Return", "Pass", "Feed", "Ping", "Dead-letter")],
        *[(word, False) for word in ("Reads", "Reading", "Closed", "Give", "The", "a")],
    ],
)
def test_a_third_person_a_participle_and_a_noun_are_no_imperative(word: str, verb: bool) -> None:
    assert is_imperative(word) is verb


def test_docstrings_of_tests_use_the_verbs_of_the_glossary() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {text.splitlines()[0]}"
        for path in _files(("tests",), {".py"})
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (text := ast.get_docstring(node)) is not None
        and text.split(maxsplit=1)[0] in ("Give", "Tell", "Say")
    ]
    assert not found, "\nbegin with Return, List, Yield, Accept, ...:\n" + "\n".join(found)


def test_a_banned_word_is_found_in_comments_and_strings_and_nowhere_else() -> None:
    source = 'put_aside = 1  # puts\nname = """a letter\n  put aside"""  # put aside\n'
    assert list(BANNED[0].lines("x.py", prose(source))) == [
        "x.py:3: 'put aside': say dead-letter",
        "x.py:3: 'put aside': say dead-letter",
    ]
