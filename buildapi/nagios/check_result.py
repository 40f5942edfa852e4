"""The result of a check: measurements, the thresholds they are held to, and texts.

A plugin prints one status line, with the measurements after ``|``, and its exit code is the state:
0 OK, 1 warning, 2 critical, 3 unknown. A threshold is a range such as ``10:20``, and a value
outside of it alerts [Monitoring Plugins, "Development Guidelines"].
"""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass

from nagiosplugin import CheckError
from nagiosplugin.state import ServiceState


@dataclass(frozen=True)
class Thresholds:
    """The options of two thresholds: ``-w`` and ``-c`` if ``name`` is empty, else --NAME-warning.

    ``warning`` and ``critical`` are the default ranges.
    """

    name: str
    what: str
    warning: str = ""
    critical: str = ""

    @property
    def keys(self) -> tuple[str, str]:
        """Return the attributes of both in parsed arguments."""
        prefix = f"{self.name.replace('-', '_')}_" if self.name else ""
        return f"{prefix}warning", f"{prefix}critical"

    def is_given(self, args: Namespace) -> bool:
        """Return whether the command line sets one of them."""
        return any(getattr(args, key) is not None for key in self.keys)

    def ranges(self, args: Namespace) -> tuple[str, str]:
        """Return the ranges for warning and critical, defaults included."""
        warning, critical = (getattr(args, key) for key in self.keys)
        return (
            self.warning if warning is None else warning,
            self.critical if critical is None else critical,
        )


@dataclass(frozen=True)
class Measurement:
    """A value of the performance data; without a limit it is only reported.

    ``message`` replaces the text of the result if the value is outside of its limit.
    """

    label: str
    value: float
    unit: str = ""
    limit: Thresholds | None = None
    message: str = ""


@dataclass(frozen=True)
class CheckResult:
    """What a check found: ``text`` is the status line if everything is OK.

    ``faults`` are states that hold at any threshold; ``details`` are lines for --verbose.
    """

    text: str
    measurements: Sequence[Measurement] = ()
    faults: Sequence[tuple[ServiceState, str]] = ()
    details: Sequence[str] = ()


def is_known(value: float | None, limit: Thresholds, args: Namespace, what: str) -> bool:
    """Return whether a value is known.

    :raises CheckError: it is unknown, and the command line sets a threshold for it.
    """
    # Who sets a threshold wants to be told when it cannot be applied; a default one is left out
    # silently (docs/nagios.md, "What a result means").
    if value is None and limit.is_given(args):
        raise CheckError(f"{what} is unknown, and a threshold was given for it")
    return value is not None
