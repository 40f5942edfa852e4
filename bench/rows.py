"""The rows of the table: a figure of ours beside that of a reference, and the goal."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal

import attrs


@attrs.frozen
class Goal:
    """A bound of the ratio of ours to the reference, or of our own figure or processor time."""

    bound: float
    at_most: bool = False
    of: Literal["ratio", "value", "cpu"] = "ratio"
    unit: str = ""

    def __str__(self) -> str:
        return f"{'≤' if self.at_most else '≥'} {self.bound:g}{self.unit and ' ' + self.unit}"

    def reached(self, value: float) -> bool:
        """Return whether a value reaches it."""
        return value <= self.bound if self.at_most else value >= self.bound

    def share(self, value: float) -> float:
        """Return how much of the goal a value is: 1 is the goal itself, more is better."""
        if not self.bound or not value:
            return 1.0 if self.reached(value) else 0.0
        return self.bound / value if self.at_most else value / self.bound


def at_least(ratio: float) -> Goal:
    """Return the goal of a ratio that is better the higher it is."""
    return Goal(ratio)


def at_most(ratio: float) -> Goal:
    """Return the goal of a ratio that is better the lower it is."""
    return Goal(ratio, at_most=True)


def below(bound: float, unit: str) -> Goal:
    """Return the goal of a figure without a reference."""
    return Goal(bound, at_most=True, of="value", unit=unit)


def cpu_below(milliseconds: float) -> Goal:
    """Return the goal of the processor time of each item."""
    return Goal(milliseconds, at_most=True, of="cpu", unit="ms CPU")


@attrs.frozen
class Figure:
    """Medians of interleaved rounds; ``cpu`` is milliseconds of processor time for each item."""

    value: float
    cpu: float | None = None
    lowest: float | None = None
    highest: float | None = None


def medians(rounds: Sequence[tuple[float, float | None]]) -> Figure:
    """Return the medians of rounds, each a value and milliseconds of processor time."""
    values = [value for value, _ in rounds]
    cpu = [one for _, one in rounds if one is not None]
    return Figure(
        statistics.median(values),
        statistics.median(cpu) if cpu else None,
        min(values),
        max(values),
    )


@attrs.frozen
class Row:
    """One line of the table; ``beside`` names the reference, ``others`` are further ones."""

    section: str
    work: str
    unit: str
    ours: Figure
    reference: Figure | None = None
    beside: str = ""
    goal: Goal | None = None
    note: str = ""
    others: dict[str, Figure] = attrs.field(factory=dict)

    @property
    def ratio(self) -> float | None:
        """Return ours divided by the reference."""
        if self.reference is None or not self.reference.value:
            return None
        return self.ours.value / self.reference.value

    @property
    def measured(self) -> float | None:
        """Return what the goal is about; None without a goal or without a reference."""
        if self.goal is None:
            return None
        values = {"ratio": self.ratio, "value": self.ours.value, "cpu": self.ours.cpu}
        return values[self.goal.of]

    @property
    def reached(self) -> bool | None:
        """Return whether the goal is reached; None without a goal or without a reference."""
        if self.goal is None or self.measured is None:
            return None
        return self.goal.reached(self.measured)

    def document(self) -> dict[str, Any]:
        """Return it as it is stored."""
        share = None
        if self.goal is not None and self.measured is not None:
            share = self.goal.share(self.measured)
        return {
            **attrs.asdict(self),
            "goal": None if self.goal is None else str(self.goal),
            "ratio": self.ratio,
            "reached": self.reached,
            "measured": self.measured,
            "share_of_goal": share,
        }


Round = Callable[[], tuple[float, float | None]]
"""Measure once; return a value and milliseconds of processor time for each item."""


def interleaved(rounds: int, measures: dict[str, Round]) -> dict[str, Figure]:
    """Measure in turns, so that what disturbs one round disturbs all; return medians by name."""
    found: dict[str, list[tuple[float, float | None]]] = {name: [] for name in measures}
    for _ in range(rounds):
        for name, measure in measures.items():
            found[name].append(measure())
    return {name: medians(values) for name, values in found.items()}


Measure = Callable[..., Iterable[Row]]
