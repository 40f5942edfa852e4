"""Programs that blocks of the documentation call and a test must not: check what they are told.

Run as ``python shims.py NAME ARGUMENTS``; ``SHIM_BIN`` is the folder of the real programs.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

REPOSITORY = Path(__file__).parent.parent.parent
BIN = Path(os.environ.get("SHIM_BIN", sys.executable))
SYSTEMCTL = {"daemon-reload", "enable", "start", "stop", "restart", "reload", "status", "kill"}
SYSTEMCTL |= {"disable", "is-active", "show", "edit", "list-units", "cat", "mask", "try-restart"}

DEPTH, DEEPEST = "BUILDAPI_SHIMMED", 3
"""How deep shims may call each other, as ``sudo`` does: one that finds itself must end."""


def _real(name: str) -> str:
    """Find the program itself, never the shim of its name; :raises Wrong: there is none."""
    for folder in ("/usr/bin", "/bin", "/usr/local/bin"):
        if os.access(f"{folder}/{name}", os.X_OK):
            return f"{folder}/{name}"
    raise Wrong(f"{name} is not installed")


class Wrong(Exception):
    """The command could not work as it is written."""


def need(condition: object, what: str) -> None:
    """:raises Wrong: it is not so."""
    if not condition:
        raise Wrong(what)


def sudo(arguments: Sequence[str]) -> int:
    """Run the command itself; ``-u USER`` is passed over."""
    rest = list(arguments)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in ("-u", "-g"):
            rest.pop(0)
    need(rest, "sudo what?")
    return subprocess.run(rest, check=False).returncode


def make(arguments: Sequence[str]) -> int:
    """Check that the Makefile has these targets and variables, and run nothing.

    Not ``make -n``: that still runs the lines that call make.
    """
    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for word in arguments:
        name, given, _ = word.partition("=")
        pattern = rf"^{re.escape(name)} =" if given else rf"^(.* )?{re.escape(name)}( .*)?:"
        need(name == "PYTHON" or re.search(pattern, text, re.M), f"no {name} in the Makefile")
    return 0


def twistd(arguments: Sequence[str]) -> int:
    """Read the options and the configuration as twistd would, and start nothing."""
    program = (
        "import sys\n"
        "from twisted.scripts.twistd import ServerOptions\n"
        "options = ServerOptions()\n"
        "options.parseOptions(sys.argv[1:])\n"
        "assert options.subCommand == 'buildapi' or options['python'], 'no subcommand'\n"
    )
    python = str(BIN / "python")
    done = subprocess.run([python, "-c", program, *arguments], check=False, cwd=os.getcwd())
    return done.returncode


def python(arguments: Sequence[str]) -> int:
    """Make an environment of shims for ``-m venv``; run anything else."""
    if list(arguments[:2]) != ["-m", "venv"]:
        return subprocess.run([str(BIN / "python"), *arguments], check=False).returncode
    target = Path(next(a for a in arguments[2:] if not a.startswith("-")))
    (target / "bin").mkdir(parents=True, exist_ok=True)
    for name in ("pip", "twistd", "python", "python3", "buildapi", "check_buildapi"):
        if found := shutil.which(name):
            link = target / "bin" / name
            link.unlink(missing_ok=True)
            link.symlink_to(found)
    return 0


def pip(arguments: Sequence[str]) -> int:
    """Check that what is installed is there: a folder with these extras, or a file."""
    need(arguments and arguments[0] in ("install", "download"), "pip install ...")
    rest = [a for a in arguments[1:] if not a.startswith("-")]
    need(rest, "install what?")
    for what in rest:
        place = re.fullmatch(r"(.*?)(?:\[([a-z0-9,]+)\])?", what)
        assert place is not None
        known = (REPOSITORY / "setup.py").read_text(encoding="utf-8")
        for extra in (place[2] or "").split(","):
            need(not extra or f'"{extra}": [' in known, f"no extra {extra}")
        named = re.search(rf'"{re.escape(place[1])}[<>=\[]', known) is not None
        ours = named or place[1].endswith(".whl") or Path(place[1]).exists()
        need(ours, f"pip install {what}: not there")
    return 0


def install(arguments: Sequence[str]) -> int:
    """Install for real, without owners that this machine does not have."""
    rest = list(arguments)
    for option in ("-o", "-g"):
        while option in rest:
            at = rest.index(option)
            del rest[at : at + 2]
    return subprocess.run([_real("install"), *rest], check=False).returncode


def systemctl(arguments: Sequence[str]) -> int:
    """Check the verb, and that a unit of ours is shipped."""
    rest = [a for a in arguments if not a.startswith("-")]
    need(rest and rest[0] in SYSTEMCTL, f"systemctl {rest[:1]}")
    for unit in rest[1:]:
        if "buildapi" in unit:
            name = unit if "." in unit else f"{unit}.service"
            template = re.sub(r"@[^.]*\.", "@.", name)
            shipped = any((REPOSITORY / "deploy").rglob(template))
            need(shipped, f"no unit {name} in deploy/")
    return 0


def rabbitmqctl(arguments: Sequence[str]) -> int:
    """Check the subcommand."""
    rest = [a for a in arguments if not a.startswith("-")]
    known = {"add_user", "add_vhost", "set_permissions", "list_queues", "list_consumers", "status"}
    known |= {"purge_queue", "list_connections", "list_bindings", "set_policy", "list_permissions"}
    need(rest and rest[0] in known, f"rabbitmqctl {rest[:1]}")
    return 0


def passed(arguments: Sequence[str]) -> int:
    """Accept anything that has arguments."""
    need(arguments, "what?")
    return 0


SHIMS: dict[str, Callable[[Sequence[str]], int]] = {
    "sudo": sudo,
    "make": make,
    "twistd": twistd,
    "python3": python,
    "python3.11": python,
    "pip": pip,
    "install": install,
    "systemctl": systemctl,
    "rabbitmqctl": rabbitmqctl,
    **dict.fromkeys(
        (
            "apt-get",
            "useradd",
            "a2enmod",
            "apache2ctl",
            "nginx",
            "supervisorctl",
            "adduser",
            "chown",
            "chgrp",
            "journalctl",
            "pre-commit",
            "rabbitmqadmin",
        ),
        passed,
    ),
}


def main(name: str, arguments: Sequence[str]) -> int:
    """Act as one of them; give the exit code."""
    depth = int(os.environ.get(DEPTH, "0")) + 1
    os.environ[DEPTH] = str(depth)
    try:
        need(depth <= DEEPEST, "shims call each other without end")
        return SHIMS[name](arguments)
    except Wrong as e:
        print(f"{name} {' '.join(arguments)}: {e}", file=sys.stderr)
        return 97


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
