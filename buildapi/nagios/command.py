"""The entry point of ``check_buildapi``, which works without nagiosplugin to say so."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from typing import NoReturn

# The library that defines it may be what is missing.
UNKNOWN = 3


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the plugin; whatever happens, print one line and exit with a code of Nagios."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # Nagios and NRPE start plugins without a locale
    try:
        # Inside the function: it imports nagiosplugin, whose absence must be told in a status line
        # and not by a traceback, which ends with 1 (WARNING).
        from buildapi.nagios.program import run
    except ModuleNotFoundError as e:
        print(f"BUILDAPI UNKNOWN - a library is missing ({e.name}): pip install 'buildapi[nagios]'")
        sys.exit(UNKNOWN)
    try:
        run(arguments)
    except KeyboardInterrupt:
        print("BUILDAPI UNKNOWN - interrupted")
        sys.exit(UNKNOWN)
