"""Whatever the encoding of the output: a command prints what it can, and never a traceback."""

from __future__ import annotations

import pytest

from tests.cli.fake import Asked, Reply, fake
from tests.cli.running import buildapi

NAME = "\u0141ucja \u6f22 \U0001f600"


def answer(asked: Asked) -> Reply:
    path = asked.path.partition("?")[0]
    if path.endswith("/branches"):
        return Reply(200, {NAME: {"repo": NAME}})
    if path.endswith("/whoami"):
        return Reply(200, {"who": NAME, "how": "user header", "token": None})
    job = {
        "id": 7,
        "state": "done",
        "action": "cancel_build",
        "who": NAME,
        "when": 1,
        "what": {"branch": NAME},
        "completed_at": 2,
        "complete_data": {"body": {"msg": NAME}},
        "items": [{"state": "done", "detail": NAME}],
        "progress": None,
    }
    if path.endswith("/jobs"):
        return Reply(200, [job])
    if "/jobs/" in path:
        return Reply(200, job)
    return Reply(404, {"status": "FAILED", "msg": NAME, "code": "not_found"})


COMMANDS: list[tuple[list[str], int]] = [
    (["branches"], 0),
    (["jobs"], 0),
    (["jobs", "--json"], 0),
    (["job", "7"], 0),
    (["running"], 5),
    (["rebuild", NAME, "--build", "1"], 5),
    (["no such command \u6f22"], 2),
    (["l10n-report", "\u6f22.js"], 1),
]


@pytest.mark.parametrize(
    ("encoding", "command", "code"),
    [
        *(("latin-1", *each) for each in COMMANDS),
        *((encoding, ["jobs"], 0) for encoding in ("ascii", "cp1252", "utf-8", "ascii:strict")),
    ],
    ids=lambda value: str(value)[:20],
)
def test_no_command_ends_in_a_traceback_for_an_encoding(
    encoding: str, command: list[str], code: int
) -> None:
    """Write what PYTHONIOENCODING lacks as an escape, and end with the same code."""
    with fake(answer) as server:
        url = ["--url", server.url] if code in (0, 5) else []
        done = buildapi(*command, *url, environment={"PYTHONIOENCODING": encoding})
    assert "Traceback" not in done.err
    assert "UnicodeEncodeError" not in done.err
    assert done.code == code, done.err
    if code == 0 and encoding == "latin-1" and "--json" not in command:
        assert b"\\u0141ucja" in done.out
