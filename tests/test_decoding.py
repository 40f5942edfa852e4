"""Which codec decodes what comes from outside is ours to say."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).parents[1] / "buildapi"
OURS = {
    ("ops/log_file.py", "encoding"),  # that of the terminal the program was started on
}
LOOK_UP = {"lookup", "getdecoder", "getincrementaldecoder", "getreader"}


def chosen_elsewhere(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """List the codecs that are not written where they are used."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        named = [k.value for k in node.keywords if k.arg in ("encoding", "charset")]
        function = ast.unparse(node.func)
        if function.endswith(".decode") and not function.startswith("msgspec."):
            named += node.args[:1]
        if function.removeprefix("codecs.") in LOOK_UP:
            named += node.args[:1]
        for value in named:
            if not isinstance(value, ast.Constant):
                yield node.lineno, ast.unparse(value)


def test_no_codec_is_looked_up_by_a_word_from_outside() -> None:
    """Some of Python's codecs take quadratic time, others give no text: none is chosen by data."""
    found = {
        (file.relative_to(SOURCE).as_posix(), name)
        for file in SOURCE.rglob("*.py")
        for _, name in chosen_elsewhere(ast.parse(file.read_text()))
    }
    assert found == OURS


def test_a_codec_that_data_chooses_is_found() -> None:
    text = "a.decode(part.charset); b.decode('utf-8'); codecs.lookup(name); open(p, encoding=e)"
    found = {name for _, name in chosen_elsewhere(ast.parse(text))}
    assert found == {"part.charset", "name", "e"}
