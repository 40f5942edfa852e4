"""What a check found: values to hold against thresholds, and words for people."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Sequence
from dataclasses import dataclass, field

from nagiosplugin import CheckError
from nagiosplugin.state import ServiceState

from buildapi.nagios.formatting import round_value


@dataclass(frozen=True)
class Thresholds:
    """A pair of thresholds: ``-w`` and ``-c`` where ``name`` is empty, else ``--NAME-warning``.

    ``warning`` and ``critical`` are the ranges that hold unless others are given.
    """

    name: str
    what: str
    warning: str = ""
    critical: str = ""

    @property
    def keys(self) -> tuple[str, str]:
        """Name both among the options that were read."""
        prefix = f"{self.name.replace('-', '_')}_" if self.name else ""
        return f"{prefix}warning", f"{prefix}critical"

    def is_given(self, args: Namespace) -> bool:
        """Tell whether a threshold was given, rather than left at its default."""
        return any(getattr(args, key) is not None for key in self.keys)

    def ranges(self, args: Namespace) -> tuple[str, str]:
        """Give the thresholds that hold."""
        warning, critical = (getattr(args, key) for key in self.keys)
        return (
            self.warning if warning is None else warning,
            self.critical if critical is None else critical,
        )


@dataclass(frozen=True)
class Measurement:
    """A value for the performance data; ``message`` is what to tell where it passes its limit.

    Without a limit it is only reported.
    """

    label: str
    value: float
    unit: str = ""
    limit: Thresholds | None = None
    message: str = ""

    @property
    def rounded(self) -> int | float:
        """Give the value as performance data may hold it."""
        return round_value(self.value)


@dataclass(frozen=True)
class CheckResult:
    """What was found: ``text`` where all is well, ``faults`` that are so at any threshold.

    ``details`` are lines for who asks for more.
    """

    text: str
    measures: Sequence[Measurement] = ()
    faults: Sequence[tuple[ServiceState, str]] = ()
    details: Sequence[str] = field(default=())


def is_known(value: float | None, limit: Thresholds, args: Namespace, what: str) -> bool:
    """Tell whether a value is known; :raises CheckError: it is not, and a threshold asks for it."""
    if value is None and limit.is_given(args):
        raise CheckError(f"{what} is not known, and a threshold was given for it")
    return value is not None
