"""Where the commands of a page run: a scratch folder, a sample service, and shims on PATH."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from tests.docs import shims
from tests.docs.blocks import ROOT, Block
from tests.docs.shims import SHIMS
from tests.services import preloaded, preloaded_client

SECONDS = 900
"""A page may take so long; then all that it started is killed."""
PROCESSES = 2000
"""What its user may run by then: a bound for what calls itself without end (root has none)."""
ADDRESSES = re.compile(
    r"https?://(?:127\.0\.0\.1:8010|localhost:8010|buildapi\.example\.org|buildapi:8010)"
)
SYSTEM = re.compile(r"(?<![\w./$}-])/(etc|opt|var|run|srv|usr/local|usr/lib)/")
"""Absolute paths: their place is inside the scratch folder."""
MAIL = "mail.example.org"
STATUS = "curl-answered"
CONFIGURATIONS = ("buildapi.toml", "upgrade.toml", "api.toml", "agent.toml")
SYSTEM_FOLDERS = (
    "etc/systemd/system",
    "etc/init.d",
    "etc/default",
    "etc/logrotate.d",
    "etc/apache2/sites-enabled",
    "etc/nginx/conf.d",
    "etc/supervisor/conf.d",
    "var/lib/buildapi",
    "var/log/buildapi",
)
REAL = ("check_buildapi",)
"""Programs of this environment that run as they are."""
FORKED = ("buildapi",)
"""Those that are forked from a process that has loaded them."""


@attrs.frozen
class Stage:
    """What the pages share: the address of the service, its configuration, and a mail server."""

    url: str
    config: str
    directory: Mapping[str, str]
    mail: str


@attrs.frozen
class Done:
    """What a block did: what it printed, and the statuses that curl saw; ``code`` 0 is success.

    ``code`` is None where the page ended before.
    """

    code: int | None
    out: str
    err: str
    statuses: Sequence[int]


def run_page(blocks: Sequence[Block], stage: Stage, folder: Path) -> Mapping[int, Done]:
    """Run all commands of a page as one script, and give what each block did by its line."""
    _scene(folder, stage)
    script = [
        "set -eu",
        f"ulimit -p {PROCESSES} 2>/dev/null || :",
        f"cd {shlex.quote(str(folder / 'here'))}",
    ]
    for block in blocks:
        script += _steps(block, folder, stage)
    (folder / "page.sh").write_text("\n".join(script) + "\n")
    code = _bounded(folder / "page.sh", _environment(folder, stage))
    return {b.line: _done(b, folder, stage, code) for b in blocks if runs(b)}


def _bounded(script: Path, environment: Mapping[str, str]) -> int:
    """Run a script; whatever it leaves behind, or does for too long, is killed."""
    running = subprocess.Popen(
        ["/bin/sh", str(script)],
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        pass_fds=[preloaded.loaded(name).fileno() for name in FORKED],
        start_new_session=True,
    )
    try:
        return running.wait(SECONDS)
    except subprocess.TimeoutExpired:
        return -1
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait()


def runs(block: Block) -> bool:
    """Return whether a block is run, and not only looked at."""
    return block.language in ("sh", "console", "bash", "python") and not {
        "not run",
        "saved as",
    } & set(block.marks)


def staged(text: str, stage: Stage, folder: Path) -> str:
    """Put the addresses and paths of the test in the place of the documented ones."""
    text = ADDRESSES.sub(stage.url, text).replace(MAIL, stage.mail)
    return SYSTEM.sub(lambda m: f"{folder}/root/{m[1]}/", text)


def documented(text: str, stage: Stage, folder: Path) -> str:
    """Put the documented address and paths back into what was printed."""
    return text.replace(stage.url, "http://127.0.0.1:8010").replace(f"{folder}/root/", "/")


def commands(block: Block) -> str:
    """Return what is typed: of a console those lines that follow a prompt."""
    if block.language != "console":
        return block.text
    lines = [line.removeprefix("$ ") for line in block.text.splitlines() if line.startswith("$ ")]
    return "\n".join(lines) + "\n"


def _steps(block: Block, folder: Path, stage: Stage) -> Sequence[str]:
    text = staged(commands(block), stage, folder)
    if name := block.marks.get("saved as"):
        return [
            f"cat >{shlex.quote(staged(name, stage, folder))} <<'END-OF-BLOCK'\n{text}END-OF-BLOCK"
        ]
    if not runs(block):
        return []
    at = folder / "did" / str(block.line)
    if "configured" in block.marks:  # by now the reader has filled in what was installed
        text = (
            f"cp {folder}/root/etc/buildapi.toml {folder}/root/etc/buildapi/buildapi.toml\n{text}"
        )
    if block.language == "bash":
        text = f"bash -eu - <<'END-OF-BLOCK'\n{text}END-OF-BLOCK\n"
    if block.language == "python":
        text = f"python3 - <<'END-OF-BLOCK'\n{text}END-OF-BLOCK\n"
    return [f"exec >{at}.out 2>{at}.err", text.rstrip("\n"), f"echo 0 >{at}.code"]


def _done(block: Block, folder: Path, stage: Stage, code: int) -> Done:
    at = folder / "did" / str(block.line)
    texts = [
        p.read_text(errors="replace") if (p := Path(f"{at}.{k}")).exists() else None
        for k in ("out", "err")
    ]
    if texts[0] is None:
        return Done(None, "", "", ())
    err = texts[1] or ""
    statuses = [int(n) for n in re.findall(rf"^{STATUS} (\d+)$", err, re.M)]
    said = re.sub(rf"^{STATUS} \d+\n", "", err, flags=re.M)
    ended = 0 if Path(f"{at}.code").exists() else code or -1
    return Done(ended, documented(texts[0], stage, folder), said, statuses)


def _scene(folder: Path, stage: Stage) -> None:
    """Lay out what a reader has: a checkout, a configured system, programs on PATH."""
    for name in ("here", "did", "bin", "root/etc/buildapi", "root/opt", "root/var/log", "root/run"):
        (folder / name).mkdir(parents=True)
    for entry in ROOT.iterdir():
        if entry.name not in (".git", "data", "build", "dist", ".venv"):
            (folder / "here" / entry.name).symlink_to(entry)
    for place in SYSTEM_FOLDERS:
        (folder / "root" / place).mkdir(parents=True, exist_ok=True)
    for place in ("root/etc", "root/etc/buildapi"):
        for name in CONFIGURATIONS:
            (folder / place / name).write_text(stage.config)
        (folder / place / "data").mkdir()
        (folder / place / "data" / "scheduler.sqlite").touch()  # a farm's must be there
        for name, text in stage.directory.items():
            (folder / place / name).write_text(text)
    _programs(folder / "bin")
    (folder / "root/opt/buildapi/bin").mkdir(parents=True)
    for entry in (folder / "bin").iterdir():
        (folder / "root/opt/buildapi/bin" / entry.name).symlink_to(entry)
    (folder / "here" / "dist").mkdir()
    (folder / "here" / "dist" / "buildapi-0-py3-none-any.whl").touch()
    (folder / "here" / ".venv").mkdir()
    (folder / "here" / ".venv" / "bin").symlink_to(folder / "bin")


def _programs(folder: Path) -> None:
    own = Path(sys.executable).parent
    for name in REAL:
        if (own / name).exists():
            (folder / name).symlink_to(own / name)
    python = shlex.quote(sys.executable)
    for name in FORKED:
        at = preloaded.loaded(name).fileno()
        client = f"{python} -IS {preloaded_client.__file__} {shlex.quote(str(own / name))}"
        _program(folder / name, f'PRELOADED={at} exec {client} "$@"')
    for name in SHIMS:
        _program(folder / name, f'exec {python} {shims.__file__} {name} "$@"')
    curl = f"/usr/bin/curl -w '%{{stderr}}\\n{STATUS} %{{http_code}}\\n' \"$@\""
    _program(folder / "curl", f"exec {curl}")


def _program(path: Path, command: str) -> None:
    path.write_text(f"#!/bin/sh\n{command}\n")
    path.chmod(0o755)


def _environment(folder: Path, stage: Stage) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("BUILDAPI")}
    return kept | {
        "PATH": f"{folder / 'bin'}:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(folder / "here"),
        "SHIM_BIN": str(Path(sys.executable).parent),
        "PYTHONPATH": str(folder / "here"),
        "PYTHONDONTWRITEBYTECODE": "1",
        "BUILDAPI_URL": stage.url,
        "BUILDAPI_CONFIG": str(folder / "root/etc/buildapi.toml"),
        "NO_PROXY": "*",
        "COLUMNS": "100",
    }


def answer_of(done: Done) -> object:
    """Read the JSON that a block printed: the last line that is some, below headers maybe."""
    for start in ("\n[", "\n{"):
        at = ("\n" + done.out).find(start)
        if at >= 0:
            try:
                return json.loads(done.out[at:])
            except ValueError:
                continue
    return json.loads(done.out.strip().splitlines()[-1])
